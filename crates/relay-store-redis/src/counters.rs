//! Usage counters: v1's hashes and fields, with Relay's exact cost beside them.

use relay_domain::{NanoUsd, Period, RequestRecord, TokenCount, TokenUsage};
use relay_store::{UsageScope, UsageTotals};

use crate::hash::Hash;
use crate::keyspace::Keyspace;

/// What is added to the counters of one scope in the four periods of one moment.
#[derive(Debug)]
pub(crate) struct Increment {
    scope: UsageScope,
    periods: [Period; 4],
    added: UsageTotals,
}

/// The increments of a batch of requests, those of the same counters added up.
#[derive(Debug, Default)]
pub(crate) struct Increments {
    all: Vec<Increment>,
}

impl Increments {
    /// Adds a counted request that ended in `periods`.
    pub(crate) fn count(&mut self, record: &RequestRecord, periods: [Period; 4]) {
        let added = UsageTotals {
            requests: 1,
            tokens: record.usage,
            cost: record.cost.unwrap_or_default(),
            charged: record.charged.unwrap_or_default(),
            unpriced_requests: u64::from(record.cost.is_none()),
        };
        let served = record.served_model.as_ref().unwrap_or(&record.model);
        self.add(UsageScope::Key(record.key.clone()), periods, &added);
        self.add(UsageScope::Model(served.clone()), periods, &added);
        if let Some(account) = &record.account {
            self.add(UsageScope::Account(account.clone()), periods, &added);
        }
        if let Some(group) = &record.group {
            self.add(UsageScope::Group(group.clone()), periods, &added);
        }
    }

    /// How many counters there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// The four hashes of each counter, as `settle.lua` takes them.
    pub(crate) fn names<'a>(&'a self, keyspace: &'a Keyspace) -> impl Iterator<Item = String> + 'a {
        self.all.iter().flat_map(|increment| {
            increment.periods.map(|period| keyspace.counter(&increment.scope, period))
        })
    }

    /// The arguments of each counter, as `settle.lua` takes them.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = (&'static str, [i128; 10])> + '_ {
        self.all.iter().map(|Increment { scope, added, .. }| {
            let kind = match scope {
                UsageScope::Key(_) | UsageScope::Account(_) => "full",
                UsageScope::Model(_) | UsageScope::Group(_) => "model",
            };
            let tokens = &added.tokens;
            let count = |count: TokenCount| i128::from(count.get());
            let increments = [
                i128::from(added.requests),
                count(tokens.input),
                count(tokens.output),
                count(tokens.cache_write_5m + tokens.cache_write_1h),
                count(tokens.cache_read),
                count(tokens.cache_write_5m),
                count(tokens.cache_write_1h),
                i128::from(added.cost.as_nanos()),
                i128::from(added.charged.as_nanos()),
                i128::from(added.unpriced_requests),
            ];
            (kind, increments)
        })
    }

    fn add(&mut self, scope: UsageScope, periods: [Period; 4], added: &UsageTotals) {
        let same = |known: &&mut Increment| known.scope == scope && known.periods == periods;
        match self.all.iter_mut().find(same) {
            Some(known) => {
                let sum = &mut known.added;
                sum.requests += added.requests;
                sum.tokens = sum.tokens + added.tokens;
                sum.cost = sum.cost + added.cost;
                sum.charged = sum.charged + added.charged;
                sum.unpriced_requests += added.unpriced_requests;
            }
            None => self.all.push(Increment { scope, periods, added: *added }),
        }
    }
}

/// Reads a counter. What v1 or v2 counted before Relay has no exact cost.
pub(crate) fn totals(hash: &Hash, scope: &UsageScope, period: Period) -> UsageTotals {
    let is_whole = matches!(scope, UsageScope::Key(_) | UsageScope::Account(_));
    let total = period == Period::Total && is_whole;
    let count = |of_total: &str, of_period: &str| {
        hash.number(if total { of_total } else { of_period }).unwrap_or(0)
    };
    let tokens = |of_total: &str, of_period: &str| TokenCount::new(count(of_total, of_period));
    let written = count("totalCacheCreateTokens", "cacheCreateTokens");
    let written_1h = count("totalEphemeral1hTokens", "ephemeral1hTokens");
    UsageTotals {
        requests: count("totalRequests", "requests"),
        tokens: TokenUsage {
            input: tokens("totalInputTokens", "inputTokens"),
            output: tokens("totalOutputTokens", "outputTokens"),
            cache_read: tokens("totalCacheReadTokens", "cacheReadTokens"),
            // v1 does not split what was written without a breakdown: that was for five minutes.
            cache_write_5m: TokenCount::new(written.saturating_sub(written_1h)),
            cache_write_1h: TokenCount::new(written_1h),
        },
        cost: NanoUsd::from_nanos(hash.signed("costNano").unwrap_or(0)),
        charged: NanoUsd::from_nanos(hash.signed("chargedNano").unwrap_or(0)),
        unpriced_requests: hash.number("unpricedRequests").unwrap_or(0),
    }
}
