//! Corrections of what settled requests came to: each in one atomic step, while anybody serves.

use std::sync::Arc;

use async_trait::async_trait;
use redis::Pipeline;
use relay_domain::{Period, PeriodKind, Timestamp};
use relay_store::statistics::{CommitCells, Hour};
use relay_store::{Corrected, Correction, Corrections, StoreError, StoredRecord};

use crate::call::Call;
use crate::connection;
use crate::counters::Differences;
use crate::shared::Shared;
use crate::statistics;
use crate::usage::read_record;

/// How many corrections go in one trip: others are served between any two of them.
const SENT_AT_ONCE: usize = 50;

/// How many statistics may wait to be folded. Each correction adds one, and perhaps nobody serves who would
/// fold them.
const WAITING_AT_MOST: i64 = 5_000;

/// Corrections.
pub(crate) struct RedisCorrections {
    pub(crate) shared: Arc<Shared>,
}

#[async_trait]
impl Corrections for RedisCorrections {
    async fn correct(
        &self,
        corrections: &[Correction],
        now: Timestamp,
    ) -> Result<Vec<Corrected>, StoreError> {
        let begins = statistics::begins(&self.shared).await?;
        let mut outcomes = Vec::with_capacity(corrections.len());
        for some in corrections.chunks(SENT_AT_ONCE) {
            let (some, waiting) = self.correct_some(some, begins, now).await?;
            outcomes.extend(some);
            if WAITING_AT_MOST < waiting {
                // What has been corrected is, whether they are folded now or later.
                let folded = statistics::roll(&self.shared, now).await;
                folded
                    .unwrap_or_else(|error| tracing::warn!(%error, "statistics are folded later"));
            }
        }
        Ok(outcomes)
    }
}

impl RedisCorrections {
    /// What became of each, and how many statistics wait to be folded.
    async fn correct_some(
        &self,
        corrections: &[Correction],
        begins: Option<Hour>,
        now: Timestamp,
    ) -> Result<(Vec<Corrected>, i64), StoreError> {
        let script = &self.shared.scripts.correct;
        let mut outcomes = vec![Corrected::NotAsRead; corrections.len()];
        let mut sent = Vec::with_capacity(corrections.len());
        let mut pipeline = Pipeline::with_capacity(corrections.len());
        let found = self.as_stored(corrections).await?;
        for (at, (correction, text)) in corrections.iter().zip(found).enumerate() {
            let Some(text) = text else { continue };
            pipeline.add_command(self.compose(correction, text, begins, now)?.of(script));
            sent.push(at);
        }
        let answers = script.send_on_pool(&self.shared.pool, &pipeline).await?;
        let mut all_waiting = 0;
        for (at, answer) in sent.into_iter().zip(answers) {
            let (made, refusal, waiting): (i64, String, i64) =
                connection::read(answer, "correct.lua")?;
            all_waiting = all_waiting.max(waiting);
            if !refusal.is_empty() {
                tracing::error!(refusal, "a counter could not be corrected");
            }
            if let Some(outcome) = outcomes.get_mut(at).filter(|_| made == 1) {
                *outcome = Corrected::Made;
            }
        }
        Ok((outcomes, all_waiting))
    }

    /// The records as they are stored, of those that are as they have to be found.
    async fn as_stored(
        &self,
        corrections: &[Correction],
    ) -> Result<Vec<Option<String>>, StoreError> {
        if corrections.is_empty() {
            return Ok(Vec::new());
        }
        let name = self.shared.keyspace.records();
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("HMGET").arg(&name);
        for correction in corrections {
            pipeline.arg(correction.before().id.to_string());
        }
        let answer = self.shared.pool.send(&pipeline).await?.pop();
        let texts: Vec<Option<String>> = connection::read(answer.unwrap_or_default(), "HMGET")?;
        let pairs = corrections.iter().zip(texts);
        pairs
            .map(|(correction, text)| {
                let Some(text) = text else { return Ok(None) };
                let before = correction.before();
                let stored = read_record(&name, &before.id.to_string(), &text)?;
                Ok((stored == *before).then_some(text))
            })
            .collect()
    }

    /// The call of `correct.lua` for one correction.
    fn compose(
        &self,
        correction: &Correction,
        text: String,
        begins: Option<Hour>,
        now: Timestamp,
    ) -> Result<Call<'_>, StoreError> {
        let Shared { keyspace, calendar, .. } = &*self.shared;
        let (after, counted_at) = (correction.after(), correction.counted_at());
        let mut cells = CommitCells::new(*calendar);
        // What was taken in from elsewhere, or is older than statistics are, is in none.
        if begins.is_some_and(|begins| begins <= Hour::of(*calendar, counted_at)) {
            cells.correct(correction.before(), &after, counted_at);
        }
        let form = serde_json::to_string(&StoredRecord::from(after))
            .map_err(|error| StoreError::Refused(Box::new(error)))?;
        let mut call = Call::default();
        call.name(keyspace.records());
        call.name(keyspace.statistics_fresh());
        call.arg(correction.before().id.to_string());
        call.arg(text);
        call.arg(form);
        call.optional(cells.written().next().map(|fresh| statistics::element(&fresh)));
        Differences::of(correction).write(correction, *calendar, now, (keyspace, &mut call));

        let scopes: Vec<_> = correction.spent().collect();
        call.arg(scopes.len());
        for (scope, spent) in scopes {
            call.name(keyspace.meter(&scope));
            call.arg(self.minute_of(counted_at));
            call.arg(counted_at.as_millis());
            call.arg(spent.all.as_nanos());
            call.arg(spent.claude.as_nanos());
        }
        Ok(call)
    }

    /// The minute of `moment` as digits, by which it is told whether a period began before.
    fn minute_of(&self, moment: Timestamp) -> String {
        let hour: Period = self.shared.calendar.period(PeriodKind::Hour, moment);
        let local = self.shared.calendar.local_millis(moment).div_euclid(60_000);
        let digits = hour.to_string().replace(['-', ':'], "");
        format!("{digits}{:02}", local.rem_euclid(60))
    }
}
