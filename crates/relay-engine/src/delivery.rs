//! Handing a request to accounts until one answers.

use std::sync::Arc;
use std::time::Duration;

use http::Response;
use relay_domain::{AccountId, AttemptOutcome, HealthEvent, Outcome, Platform};
use relay_scheduler::{Ask, ChosenWhy, Policy, Ranking, Shortage, Verdict, rank};

use crate::EngineError;
use crate::admission::Preference;
use crate::attempt::{Attempt, Failure, attempt};
use crate::classify::{Lesson, Retry};
use crate::flight::Flight;
use crate::journey::{Call, Relay};
use crate::roster::{AccountLive, Roster};
use crate::stream::RelayBody;

/// The pause before another account is tried while the provider is overloaded: up to this.
const OVERLOAD_JITTER_MS: u64 = 150;

impl Relay {
    /// Tries accounts until one answers.
    pub(crate) async fn deliver(
        &self,
        mut flight: Flight,
        preference: &Preference,
        call: &Call<'_>,
    ) -> Result<Response<RelayBody>, EngineError> {
        let mut tried: Vec<AccountId> = Vec::new();
        let mut last_words = None;
        let roster = self.core.directory.roster();
        loop {
            let ranking = self.rank(&roster, preference, call, &tried);
            let Some(index) = ranking.first() else { break };
            let entry = &roster.entries[index];
            let Ok(access) = &entry.access else { break };
            if tried.is_empty()
                && matches!(
                    ranking.verdicts[index],
                    Verdict::Chosen { why: ChosenWhy::Priority, .. }
                )
            {
                self.core.next_turn();
            }
            tried.push(entry.account.id.clone());
            let attempted = attempt(&self.upstream, flight, entry, access, call).await;
            let lesson = match &attempted {
                Ok(Attempt::Answered(_)) => Lesson::Certain(HealthEvent::Succeeded),
                Ok(Attempt::Failed(failed)) => failed.1.judgement.lesson.clone(),
                Err(EngineError::HeadTimeout(_)) => Lesson::Suspicion,
                Err(_) => Lesson::Nothing,
            };
            self.learn(&entry.account.id, &entry.live, lesson);
            let failure = match attempted? {
                Attempt::Answered(response) => return Ok(response),
                Attempt::Failed(failed) => failed,
            };
            let (returned, Failure { judgement, status, passable }) = *failure;
            flight = returned;
            if judgement.retry == Retry::Never
                && let Some(response) = passable
            {
                flight.land(Outcome::Rejected, Some(judgement.outcome), response.status().as_u16());
                return Ok(response);
            }
            flight.attempt_failed(judgement.outcome, status);
            last_words = passable;
            let spent = self.core.config.max_attempts <= tried.len()
                || (judgement.retry == Retry::Once && 1 < tried.len());
            if spent || !self.core.retries.withdraw(self.core.clock.now()) {
                break;
            }
            if judgement.outcome == AttemptOutcome::Overloaded {
                jitter().await;
            }
        }
        self.give_up(flight, &roster, preference, call, last_words)
    }

    fn rank(
        &self,
        roster: &Roster,
        preference: &Preference,
        call: &Call<'_>,
        tried: &[AccountId],
    ) -> Ranking {
        let healths = roster.healths();
        let ask = Ask {
            platform: Platform::ClaudeConsole,
            model: call.scan.model.as_str(),
            now: self.core.clock.now(),
            day_ends: None,
            tried,
            bound: preference.bound.as_ref(),
            sticky: preference.sticky.as_ref(),
        };
        rank(&roster.candidates(&healths), &ask, Policy::default(), self.core.turn())
    }

    /// Nobody is left: the provider's own last words, unless all accounts rest, which says more.
    fn give_up(
        &self,
        mut flight: Flight,
        roster: &Roster,
        preference: &Preference,
        call: &Call<'_>,
        last_words: Option<Response<RelayBody>>,
    ) -> Result<Response<RelayBody>, EngineError> {
        let ranking = self.rank(roster, preference, call, &[]);
        if let Some(response) = last_words.filter(|_| !ranking.order.is_empty()) {
            flight.land(Outcome::Rejected, None, response.status().as_u16());
            return Ok(response);
        }
        let shortage =
            if ranking.order.is_empty() { ranking.shortage() } else { Shortage::Unavailable };
        let error = EngineError::NoAccount { shortage, retry_at: ranking.earliest_recovery() };
        tracing::warn!(request.id = %flight.record.id, model = call.scan.model.as_str(), %error, "no account");
        for (entry, verdict) in roster.entries.iter().zip(&ranking.verdicts) {
            tracing::info!(request.id = %flight.record.id, account.id = %entry.account.id, %verdict, "verdict");
        }
        let status = if matches!(shortage, Shortage::RateLimited { .. }) { 429 } else { 529 };
        flight.land(Outcome::NoAccount, None, status);
        Err(error)
    }

    /// Lets this process know at once, and the store beside.
    fn learn(&self, id: &AccountId, live: &Arc<AccountLive>, lesson: Lesson) {
        let now = self.core.clock.now();
        let event = match lesson {
            Lesson::Certain(HealthEvent::Succeeded) => {
                live.is_marked().then_some(HealthEvent::Succeeded)
            }
            Lesson::Certain(event) => Some(event),
            Lesson::Suspicion => live.breaker.failed(now).then_some(HealthEvent::BreakerOpened),
            Lesson::Nothing => None,
        };
        let Some(event) = event else { return };
        live.learn(&event, now);
        let accounts = Arc::clone(&self.core.directory.stores.accounts);
        let (id, live) = (id.clone(), Arc::clone(live));
        self.core.spawn(async move {
            let told = accounts.apply_health(&id, &event, now).await;
            live.told(told.unwrap_or_else(|error| {
                tracing::warn!(account.id = %id, %error, "health not kept");
                None
            }));
        });
    }
}

/// A short pause, different for every request, so that they do not all knock at the next door at once.
async fn jitter() {
    let [low, high] = relay_crypto::random_bytes::<2>();
    let pause = u64::from(u16::from_le_bytes([low, high])) % OVERLOAD_JITTER_MS;
    tokio::time::sleep(Duration::from_millis(pause)).await;
}
