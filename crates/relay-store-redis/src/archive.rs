//! What was used, as a whole: given and taken in a page at a time.

mod bindings;
mod limit_facts;
mod segments;

use std::sync::Arc;

use async_trait::async_trait;
use redis::Pipeline;
use relay_domain::{
    AuditEntry, LimitScope, Limits, NanoUsd, PeriodKind, Platform, RequestRecord, Timestamp,
    TokenCount,
};
use relay_store::{
    Archive, ArchivePage, Counted, LimitFacts, Rebind, StatisticsProgress, StoreError,
    StoredRecord, StoredSegment, UsageScope, UsageTotals,
};

use crate::audit;
use crate::connection;
use crate::counters::{self, sums};
use crate::guarded_write::GuardedWrite;
use crate::scan::{self, Kind};
use crate::shared::Shared;
use crate::statistics;
use crate::usage::RedisUsage;

/// How many records are on a page.
const PAGE: usize = 500;
/// How long counters are kept from their first change on, in seconds: v1's.
const MONTH_FOR_S: &str = "31536000";
const DAY_FOR_S: &str = "2764800";
const HOUR_FOR_S: &str = "604800";

/// What was used.
pub(crate) struct RedisArchive {
    pub(crate) shared: Arc<Shared>,
}

#[async_trait]
impl Archive for RedisArchive {
    async fn counters(&self, position: Option<String>) -> Result<ArchivePage<Counted>, StoreError> {
        let Shared { pool, keyspace, .. } = &*self.shared;
        let position = position.unwrap_or_default();
        let (next, names) = scan::step(pool, "*usage:*", &position, Kind::Hash).await?;
        let counted: Vec<_> = names
            .into_iter()
            .filter_map(|name| Some((keyspace.counter_of(&name)?, name)))
            .collect();
        let names: Vec<_> = counted.iter().map(|(_, name)| name.clone()).collect();
        let hashes = scan::read_all(pool, &names).await?;
        let mut items = Vec::with_capacity(counted.len());
        for (((scope, period), _), hash) in counted.into_iter().zip(hashes) {
            if !hash.is_absent() {
                let totals = counters::totals(&hash, &scope, period);
                let claude = NanoUsd::from_nanos(hash.signed("claudeNano").unwrap_or(0));
                let presumed = NanoUsd::from_nanos(hash.signed("presumedNano").unwrap_or(0));
                let counted = Counted { scope, period, totals, claude, presumed };
                items.push((counted, sums::is_exact(&hash)));
            }
        }
        self.take_sums(&mut items).await?;
        let items = items.into_iter().map(|(counted, _)| counted).collect();
        Ok(ArchivePage { items, next })
    }

    async fn records(
        &self,
        position: Option<String>,
    ) -> Result<ArchivePage<RequestRecord>, StoreError> {
        let Shared { pool, keyspace, .. } = &*self.shared;
        let first: usize = position.and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("ZRANGE").arg(keyspace.record_index()).arg(first).arg(first + PAGE - 1);
        let ids = pool.send(&pipeline).await?.pop().unwrap_or_default();
        let ids: Vec<String> = connection::read(ids, "ZRANGE")?;
        if ids.is_empty() {
            return Ok(ArchivePage { items: Vec::new(), next: None });
        }
        let usage = RedisUsage { shared: Arc::clone(&self.shared) };
        let items = usage.records(&ids).await?;
        let next = (ids.len() == PAGE).then(|| (first + PAGE).to_string());
        Ok(ArchivePage { items, next })
    }

    async fn add_counters(&self, counters: &[Counted]) -> Result<usize, StoreError> {
        let mut added = 0;
        for counted in counters {
            added += usize::from(self.add_counter(counted).await?);
        }
        Ok(added)
    }

    async fn add_records(&self, records: &[RequestRecord]) -> Result<usize, StoreError> {
        let keyspace = &self.shared.keyspace;
        let mut added = 0;
        for records in records.chunks(PAGE) {
            let mut pipeline = Pipeline::with_capacity(2 * records.len());
            for record in records {
                let id = record.id.to_string();
                let form = serde_json::to_string(&StoredRecord::from(record.clone()))
                    .map_err(|error| StoreError::Refused(Box::new(error)))?;
                pipeline.cmd("HSETNX").arg(keyspace.records()).arg(&id).arg(form);
                let arrival = record.id.arrived_at().as_millis();
                pipeline.cmd("ZADD").arg(keyspace.record_index()).arg(arrival).arg(id);
            }
            let answers = self.shared.pool.send(&pipeline).await?;
            for answer in answers.into_iter().step_by(2) {
                added += usize::from(connection::read::<bool>(answer, "HSETNX")?);
            }
        }
        Ok(added)
    }

    async fn limits(
        &self,
        limits: &[(LimitScope, Limits)],
        now: Timestamp,
    ) -> Result<Vec<LimitFacts>, StoreError> {
        self.limit_facts(limits, now).await
    }

    async fn add_limits(&self, facts: &[LimitFacts], now: Timestamp) -> Result<usize, StoreError> {
        let mut added = 0;
        for facts in facts {
            added += usize::from(self.take_limit_facts(facts, now).await?);
        }
        Ok(added)
    }

    async fn bindings(&self, position: Option<String>) -> Result<ArchivePage<Rebind>, StoreError> {
        self.binding_page(position).await
    }

    async fn add_bindings(
        &self,
        bindings: &[(Platform, Rebind)],
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        self.bind(bindings, now).await
    }

    async fn segments(
        &self,
        position: Option<String>,
    ) -> Result<ArchivePage<StoredSegment>, StoreError> {
        self.segment_page(position).await
    }

    async fn statistics_progress(&self) -> Result<StatisticsProgress, StoreError> {
        statistics::progress(&self.shared).await
    }

    async fn add_segments(&self, segments: &[StoredSegment]) -> Result<usize, StoreError> {
        self.add_stored_segments(segments).await
    }

    async fn begin_statistics(&self, progress: &StatisticsProgress) -> Result<bool, StoreError> {
        self.take_progress(progress).await
    }

    async fn add_audit(&self, entries: &[AuditEntry]) -> Result<usize, StoreError> {
        audit::add(&self.shared, entries).await
    }
}

impl RedisArchive {
    /// Takes what keys cost from the sums of dollars, by which they are limited: what v1 counted is in
    /// them alone.
    async fn take_sums(&self, counters: &mut [(Counted, bool)]) -> Result<(), StoreError> {
        let keyspace = &self.shared.keyspace;
        let mut of_keys = Vec::new();
        let mut pipeline = Pipeline::with_capacity(counters.len());
        for (counted, is_exact) in counters {
            let UsageScope::Key(key) = &counted.scope else { continue };
            sums::ask(key, counted.period, keyspace, &mut pipeline);
            of_keys.push((counted, *is_exact));
        }
        if of_keys.is_empty() {
            return Ok(());
        }
        let answers = self.shared.pool.send(&pipeline).await?;
        for ((Counted { totals, claude, .. }, is_exact), answer) in of_keys.into_iter().zip(answers)
        {
            sums::take(answer, is_exact, totals, claude)?;
        }
        Ok(())
    }

    async fn add_counter(&self, counted: &Counted) -> Result<bool, StoreError> {
        let Counted { scope, period, totals, claude, presumed } = counted;
        let keyspace = &self.shared.keyspace;
        let name = counters::name(scope, *period, keyspace);
        let mut write = GuardedWrite::default();
        write.if_absent(&name);
        let is_whole = matches!(scope, UsageScope::Key(_) | UsageScope::Account(_));
        let is_total = period.kind() == PeriodKind::Total && is_whole;
        write.set_fields(&name, &fields(totals, is_total));
        write.set_fields(&name, &[("claudeNano", claude.as_nanos().to_string())]);
        if *presumed != NanoUsd::ZERO {
            write.set_fields(&name, &[("presumedNano", presumed.as_nanos().to_string())]);
        }
        let lifetime = match period.kind() {
            PeriodKind::Total => None,
            PeriodKind::Month => Some(MONTH_FOR_S),
            PeriodKind::Day => Some(DAY_FOR_S),
            PeriodKind::Hour => Some(HOUR_FOR_S),
        };
        if let Some(lifetime) = lifetime {
            write.write("EXPIRE", &name, [lifetime]);
        }
        if let Some((index, member)) = counters::indexed(scope, period.kind()) {
            // Without it a v1 does not find the counter.
            let name = keyspace.index(index, *period);
            write.write("DEL", keyspace.emptiness(&name), [""; 0]);
            write.write("SADD", &name, [member]);
            if let Some(lifetime) = lifetime {
                write.write("EXPIRE", &name, [lifetime]);
            }
        }
        if let UsageScope::Key(key) = scope {
            // The limits of keys are read from these alone.
            let mut sums = vec![(keyspace.charged(key, *period), totals.charged)];
            if matches!(period.kind(), PeriodKind::Total | PeriodKind::Day) {
                sums.push((keyspace.cost(key, *period), totals.cost));
            }
            if period.kind() == PeriodKind::Total {
                sums.push((keyspace.claude_charged(key, None), *claude));
            }
            for (name, amount) in sums.into_iter().filter(|(_, amount)| *amount > NanoUsd::ZERO) {
                write.write("SET", &name, [amount.to_string()]);
                if let Some(lifetime) = lifetime {
                    write.write("EXPIRE", &name, [lifetime]);
                }
            }
        }
        Ok(write.run(&self.shared).await?.is_none())
    }
}

/// The fields of a counter, as `settle.lua` counts them.
fn fields(totals: &UsageTotals, is_total: bool) -> Vec<(&'static str, String)> {
    let tokens = &totals.tokens;
    let written = tokens.cache_write_5m + tokens.cache_write_1h;
    let counts: [(&str, &str, TokenCount); 8] = [
        ("inputTokens", "totalInputTokens", tokens.input),
        ("outputTokens", "totalOutputTokens", tokens.output),
        ("cacheCreateTokens", "totalCacheCreateTokens", written),
        ("cacheReadTokens", "totalCacheReadTokens", tokens.cache_read),
        ("ephemeral5mTokens", "totalEphemeral5mTokens", tokens.cache_write_5m),
        ("ephemeral1hTokens", "totalEphemeral1hTokens", tokens.cache_write_1h),
        ("tokens", "totalTokens", tokens.input + tokens.output),
        ("allTokens", "totalAllTokens", tokens.total()),
    ];
    let named = |of_period: &'static str, of_total: &'static str| {
        if is_total { of_total } else { of_period }
    };
    let mut fields = vec![(named("requests", "totalRequests"), totals.requests.to_string())];
    fields.extend(
        counts.into_iter().map(|(of_period, of_total, count)| {
            (named(of_period, of_total), count.get().to_string())
        }),
    );
    fields.push(("costNano", totals.cost.as_nanos().to_string()));
    fields.push(("chargedNano", totals.charged.as_nanos().to_string()));
    fields.push(("unpricedRequests", totals.unpriced_requests.to_string()));
    fields
}
