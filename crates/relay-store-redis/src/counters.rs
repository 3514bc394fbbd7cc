//! Usage counters: v1's, so that a v1 reads the same numbers, with Relay's exact costs beside them.

mod amounts;
mod billing_event;
mod breakdown;
mod costs;
mod differences;
mod families;
mod indexes;
mod model_name;
pub(crate) mod sums;
mod usage_record;

use std::collections::HashMap;
use std::sync::Arc;

use relay_domain::{
    KeyId, NanoUsd, Period, PeriodKind, RequestRecord, Timestamp, TokenCount, TokenUsage,
};
use relay_store::{UsageScope, UsageTotals};

use self::amounts::Amounts;
use self::billing_event::BillingEvent;
pub(crate) use self::costs::CLAUDE_WEEK_S;
use self::costs::Costs;
pub(crate) use self::differences::Differences;
use self::families::Counted;
use self::indexes::Indexes;
use crate::call::Call;
use crate::hash::Hash;
use crate::keyspace::{Index, Keyspace};

/// A counted request, with what can be written of it before it meets others in a batch.
#[derive(Debug)]
pub(crate) struct CountedRequest {
    amounts: Amounts,
    periods: [Period; 4],
    /// The minute since 1970.
    minute: u64,
    usage_record: String,
    billing_event: Option<BillingEvent>,
}

impl CountedRequest {
    /// What a request counts that ended at `now`, in these periods. `with_event`: also for those who bill.
    pub(crate) fn new(
        record: &RequestRecord,
        now: Timestamp,
        periods: [Period; 4],
        with_event: bool,
    ) -> Self {
        // Writing a moment as text is dear: once.
        let ended = now.to_string();
        Self {
            amounts: Amounts::of(record),
            periods,
            minute: families::minute(now),
            usage_record: usage_record::of(record, now, &ended),
            billing_event: with_event.then(|| BillingEvent::of(record, now, &ended)).flatten(),
        }
    }
}

/// Requests that count for the same, in the same periods: their amounts are added up before the counters are
/// named, which is dear.
#[derive(Debug)]
struct Alike<'a> {
    /// One of them.
    record: &'a RequestRecord,
    periods: [Period; 4],
    minute: u64,
    /// The week of the key.
    week: Arc<str>,
    amounts: Amounts,
}

impl Alike<'_> {
    fn count_with(&self, other: &Self) -> bool {
        let (this, that) = (self.record, other.record);
        self.minute == other.minute
            && this.key == that.key
            && this.model == that.model
            && this.served_model == that.served_model
            && this.account == that.account
            && this.group == that.group
            && self.periods == other.periods
            && self.week == other.week
    }
}

/// What a batch of requests adds to counters.
#[derive(Debug, Default)]
pub(crate) struct Counters<'a> {
    /// Few, as a rule: a busy key asks one model after the other.
    alike: Vec<Alike<'a>>,
    /// The list of each key's requests, and its new entries.
    lists: Vec<(String, Vec<&'a str>)>,
    /// The position of the key among those of the batch, from 1.
    events: Vec<(usize, &'a BillingEvent)>,
    /// What counts in another week of its key as well.
    elsewhere: Vec<(&'a KeyId, String, Amounts)>,
}

impl<'a> Counters<'a> {
    /// Adds a counted request: of a key at this position (from 1) among those of the batch, in this week of
    /// the key.
    pub(crate) fn add(
        &mut self,
        record: &'a RequestRecord,
        request: &'a CountedRequest,
        (key_position, week): (usize, Arc<str>),
        keyspace: &Keyspace,
    ) {
        let CountedRequest { amounts, periods, minute, usage_record, billing_event } = request;
        let new = Alike { record, periods: *periods, minute: *minute, week, amounts: *amounts };
        match self.alike.iter_mut().find(|known| known.count_with(&new)) {
            Some(known) => known.amounts += amounts,
            None => self.alike.push(new),
        }
        let list = keyspace.records_of_key(&record.key);
        match self.lists.iter_mut().find(|(known, _)| *known == list) {
            Some((_, entries)) => entries.push(usage_record),
            None => self.lists.push((list, vec![usage_record])),
        }
        self.events.extend(billing_event.iter().map(|event| (key_position, event)));
    }

    /// Lets a counted request of `key` count in another week of the key as well.
    pub(crate) fn add_elsewhere(&mut self, key: &'a KeyId, request: &CountedRequest, week: String) {
        self.elsewhere.push((key, week, request.amounts));
    }

    /// Appends what is counted, as `settle.lua` takes it.
    pub(crate) fn write(&self, call: &mut Call<'a>, keyspace: &Keyspace) {
        let mut sums: Vec<(Counted, [Period; 4], Amounts)> = Vec::new();
        let mut places = HashMap::new();
        let (mut costs, mut indexes) = (Costs::default(), Indexes::default());
        for Alike { record, periods, minute, week, amounts } in &self.alike {
            for counted in Counted::by(record, *minute) {
                let place = *places.entry((counted.clone(), *periods)).or_insert_with(|| {
                    indexes.add(&counted, *periods);
                    sums.push((counted, *periods, Amounts::default()));
                    sums.len() - 1
                });
                if let Some((_, _, sum)) = sums.get_mut(place) {
                    *sum += amounts;
                }
            }
            costs.add(&record.key, *periods, week, amounts);
        }
        call.arg(sums.len());
        for (counted, periods, amounts) in &sums {
            for name in counted.names(*periods, keyspace) {
                call.name(name);
            }
            call.arg(counted.family());
            call.arg(counted.stem());
            amounts.write(counted.claude(amounts), call);
        }
        for (key, week, amounts) in &self.elsewhere {
            costs.add_elsewhere(key, week, amounts);
        }
        costs.write(call, keyspace);
        indexes.write(call, keyspace);
        call.arg(self.lists.len());
        for (name, entries) in &self.lists {
            call.name(name.clone());
            call.arg(entries.len());
            for entry in entries {
                call.arg(*entry);
            }
        }
        call.arg(self.events.len());
        for (key_position, event) in &self.events {
            call.arg(*key_position);
            call.arg(event.head.as_str());
            call.arg(event.middle);
            call.arg(event.tail.as_str());
        }
    }
}

/// The hash of a counter, for reading it.
pub(crate) fn name(scope: &UsageScope, period: Period, keyspace: &Keyspace) -> String {
    match scope {
        UsageScope::Model(model) => keyspace.model_counter(&model_name::counted(model), period),
        UsageScope::Key(_) | UsageScope::Account(_) | UsageScope::Group(_) => {
            keyspace.counter(scope, period)
        }
    }
}

/// The index of v1 in which a counter of such a period stands, if there is one, and as what.
pub(crate) fn indexed(scope: &UsageScope, kind: PeriodKind) -> Option<(Index, String)> {
    let counted = match scope {
        UsageScope::Key(key) => Counted::Key(key.clone()),
        UsageScope::Account(account) => Counted::Account(account.clone()),
        UsageScope::Group(group) => Counted::Group(group.clone()),
        UsageScope::Model(model) => Counted::Model(model_name::counted(model).into()),
    };
    let (index, member, kinds) = counted.indexed()?;
    kinds.contains(&kind).then_some((index, member))
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
