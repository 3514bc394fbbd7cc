//! What every [`Archive`](crate::Archive) owes its callers.

use relay_domain::{NanoUsd, Period, RequestRecord};

use super::fixture::{
    account_id, admitted, at, group_id, key, key_id, model, record, request_id, rich_record,
    settlement, usage,
};
use crate::{Counted, RecordQuery, Stores, UsageScope, UsageTotals};

async fn all_counters(stores: &Stores) -> Vec<Counted> {
    let (mut found, mut position) = (Vec::new(), None);
    loop {
        let page = stores.archive.counters(position).await.unwrap();
        found.extend(page.items);
        position = page.next;
        if position.is_none() {
            break;
        }
    }
    found.sort_by(|a, b| (&a.scope, a.period).cmp(&(&b.scope, b.period)));
    found.dedup();
    found
}

async fn all_records(stores: &Stores) -> Vec<RequestRecord> {
    let (mut found, mut position) = (Vec::new(), None);
    loop {
        let page = stores.archive.records(position).await.unwrap();
        found.extend(page.items);
        position = page.next;
        if position.is_none() {
            return found;
        }
    }
}

fn counted(scope: UsageScope, period: Period, requests: u64) -> Counted {
    let totals = UsageTotals {
        requests,
        tokens: usage(requests),
        cost: NanoUsd::from_nanos(1_234_567),
        unpriced_requests: 1,
        charged: NanoUsd::from_nanos(2_345_678),
    };
    let presumed = if let UsageScope::Account(_) = scope { 456_789 } else { 0 };
    let (claude, presumed) = (NanoUsd::from_nanos(345_678), NanoUsd::from_nanos(presumed));
    Counted { scope, period, totals, claude, presumed }
}

/// Scopes of every kind with names that could be taken for something else, in periods of every kind.
fn every_kind() -> Vec<Counted> {
    let scopes = [
        UsageScope::Key(key_id("k")),
        UsageScope::Key(key_id("daily")),
        UsageScope::Account(account_id("account-one")),
        UsageScope::Account(account_id("model")),
        UsageScope::Model(model("claude-sonnet-4-5")),
        UsageScope::Model(model("vendor:model:1")),
        UsageScope::Group(group_id("team-one")),
    ];
    let periods = [
        Period::Total,
        Period::Month { year: 2039, month: 12 },
        Period::Day { year: 2040, month: 1, day: 1 },
        Period::Hour { year: 2040, month: 1, day: 1, hour: 0 },
    ];
    let mut all: Vec<Counted> = scopes
        .into_iter()
        .flat_map(|scope| periods.map(|period| counted(scope.clone(), period, 7)))
        .collect();
    all.sort_by(|a, b| (&a.scope, a.period).cmp(&(&b.scope, b.period)));
    all
}

/// An empty store has nothing to give.
pub async fn an_empty_archive_has_no_pages(stores: &Stores) {
    assert_eq!(all_counters(stores).await, []);
    assert_eq!(all_records(stores).await, []);
}

/// Whatever was counted is on a page: key, account and model in four periods.
pub async fn what_was_counted_is_given(stores: &Stores) {
    stores.keys.create(&key("k", 1)).await.unwrap();
    admitted(stores, 0, "k", at(0)).await;
    assert!(stores.ledger.settle(&settlement(record(0, "k"), at(1))).await.unwrap().is_first());
    let given = all_counters(stores).await;
    assert_eq!(given.len(), 12, "{given:#?}");
    for Counted { scope, period, totals, .. } in given {
        assert_eq!(stores.usage.totals(&scope, period).await.unwrap(), totals, "{scope:?}");
        assert_eq!(totals.requests, 1);
    }
}

/// What is taken in reads back, and is given again.
pub async fn counters_read_back(stores: &Stores) {
    let counters = every_kind();
    assert_eq!(stores.archive.add_counters(&counters).await.unwrap(), counters.len());
    for Counted { scope, period, totals, .. } in &counters {
        let found = stores.usage.totals(scope, *period).await.unwrap();
        assert_eq!(found, *totals, "{scope:?} {period:?}");
    }
    assert_eq!(all_counters(stores).await, counters);
}

/// Taking in what is there already changes nothing.
pub async fn counters_are_not_added_up(stores: &Stores) {
    let total = counted(UsageScope::Key(key_id("k")), Period::Total, 7);
    let more = counted(UsageScope::Key(key_id("k")), Period::Total, 9);
    let other = counted(UsageScope::Key(key_id("other")), Period::Total, 9);
    assert_eq!(stores.archive.add_counters(std::slice::from_ref(&total)).await.unwrap(), 1);
    assert_eq!(stores.archive.add_counters(&[more, other]).await.unwrap(), 1);
    assert_eq!(stores.usage.totals(&total.scope, Period::Total).await.unwrap(), total.totals);
}

/// A request after an import adds to what was taken in.
pub async fn counters_that_were_taken_in_go_on(stores: &Stores) {
    stores.keys.create(&key("k", 1)).await.unwrap();
    let total = counted(UsageScope::Key(key_id("k")), Period::Total, 7);
    stores.archive.add_counters(std::slice::from_ref(&total)).await.unwrap();
    admitted(stores, 0, "k", at(0)).await;
    assert!(stores.ledger.settle(&settlement(record(0, "k"), at(1))).await.unwrap().is_first());
    let found = stores.usage.totals(&total.scope, Period::Total).await.unwrap();
    assert_eq!((found.requests, found.tokens), (8, total.totals.tokens + usage(1)));
}

/// Counters that were taken in say nothing of when a key was used.
pub async fn counters_that_were_taken_in_date_no_use(stores: &Stores) {
    let used = relay_domain::ApiKey { last_used_at: Some(at(5)), ..key("k", 1) };
    for key in [used.clone(), key("never", 2)] {
        stores.keys.create(&key).await.unwrap();
        let total = counted(UsageScope::Key(key.id.clone()), Period::Total, 7);
        stores.archive.add_counters(&[total]).await.unwrap();
        let found = stores.keys.get(&key.id).await.unwrap().unwrap();
        assert_eq!(found.last_used_at, key.last_used_at);
    }
}

/// Records read back in every field, the oldest first, and once.
pub async fn records_are_taken_in_once(stores: &Stores) {
    let records: Vec<_> = (0..20).map(|number| rich_record(number, "k")).collect();
    assert_eq!(stores.archive.add_records(&records[..12]).await.unwrap(), 12);
    assert_eq!(stores.archive.add_records(&records).await.unwrap(), 8);
    assert_eq!(all_records(stores).await, records);
    assert_eq!(stores.usage.record(request_id(3)).await.unwrap().as_ref(), records.get(3));
    let totals = stores.usage.totals(&UsageScope::Key(key_id("k")), Period::Total).await.unwrap();
    assert_eq!(totals, UsageTotals::default(), "they count nowhere");
    let found =
        |query: RecordQuery| async move { stores.usage.search(&query).await.unwrap().records };
    let query = RecordQuery { limit: 100, ..RecordQuery::default() };
    let of_key = RecordQuery {
        key: Some(key_id("k")),
        account: records[0].account.clone(),
        status: Some(records[0].status),
        min_cost: records[0].cost,
        ..query.clone()
    };
    assert_eq!(found(of_key).await.len(), 20, "they are found by what they say");
    assert_eq!(found(RecordQuery { key: Some(key_id("other")), ..query }).await, []);
}
