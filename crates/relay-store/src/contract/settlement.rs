//! What every [`Ledger`](crate::Ledger) and [`UsageRepository`](crate::UsageRepository) owe a request
//! that has ended.

use relay_domain::{
    NanoUsd, Outcome, Period, Platform, RequestRecord, RequestTimes, TokenUsage, UsageSource,
};

use super::fixture::{
    account, account_id, admitted, at, at_once, calendar, checkpoint, key, key_id, model, record,
    request_id, rich_record, settlement, usage,
};
use crate::{Charge, Settlement, Stores, UsageScope, UsageTotals};

/// Half past midnight of a new year in the fixture's calendar, in milliseconds after the fixture's now.
const NEW_YEAR: u64 = 0;
const NEXT_HOUR: u64 = 3_600_000;
const NEXT_DAY: u64 = 24 * 3_600_000;
const NEXT_MONTH: u64 = 31 * 24 * 3_600_000;

fn scopes() -> [UsageScope; 3] {
    [
        UsageScope::Key(key_id("k")),
        UsageScope::Account(account_id("account-one")),
        UsageScope::Model(model("claude-sonnet-4-5-20250929")),
    ]
}

async fn total_of(stores: &Stores, scope: &UsageScope) -> UsageTotals {
    stores.usage.totals(scope, Period::Total).await.unwrap()
}

fn counted(requests: u32) -> UsageTotals {
    let scale = u64::from(requests);
    UsageTotals {
        requests: scale,
        tokens: usage(scale),
        cost: NanoUsd::from_nanos(10_500_001 * i64::from(requests)),
        charged: NanoUsd::from_nanos(12_600_001 * i64::from(requests)),
        unpriced_requests: 0,
    }
}

/// A request that was never let in can be neither checkpointed nor settled, and leaves nothing.
pub async fn what_is_not_held_cannot_be_settled(stores: &Stores) {
    let (ledger, stray) = (&stores.ledger, settlement(record(0, "k"), at(1)));
    assert!(!ledger.checkpoint(&checkpoint(0, at(60_000), usage(1))).await.unwrap());
    assert!(!ledger.settle(&stray).await.unwrap().is_first());
    assert!(
        !ledger.settle(&Settlement { charge: Charge::Release, ..stray }).await.unwrap().is_first()
    );
    assert_eq!(stores.usage.record(request_id(0)).await.unwrap(), None);
    assert_eq!(stores.usage.recent(10).await.unwrap(), []);
    assert_eq!(ledger.reap(at(1_000_000), 10).await.unwrap(), []);
    for scope in scopes() {
        assert_eq!(total_of(stores, &scope).await, UsageTotals::default(), "{scope:?}");
    }
}

/// A settlement that is repeated, whatever it says, changes nothing.
pub async fn a_request_counts_once(stores: &Stores) {
    admitted(stores, 0, "k", at(0)).await;
    assert!(stores.ledger.checkpoint(&checkpoint(0, at(60_000), usage(7))).await.unwrap());
    assert!(stores.ledger.settle(&settlement(record(0, "k"), at(1))).await.unwrap().is_first());
    let other = RequestRecord { status: 500, usage: usage(3), ..record(0, "k") };
    assert!(!stores.ledger.settle(&settlement(other, at(2))).await.unwrap().is_first());
    assert!(!stores.ledger.checkpoint(&checkpoint(0, at(90_000), usage(3))).await.unwrap());
    assert_eq!(stores.ledger.reap(at(1_000_000), 10).await.unwrap(), []);
    for scope in scopes() {
        assert_eq!(total_of(stores, &scope).await, counted(1), "{scope:?}");
    }
    assert_eq!(stores.usage.record(request_id(0)).await.unwrap(), Some(record(0, "k")));
    assert_eq!(stores.usage.recent(10).await.unwrap(), [record(0, "k")]);
}

/// Of settlements of one request at once, one counts.
pub async fn settlements_at_once_count_once(stores: &Stores) {
    admitted(stores, 0, "k", at(0)).await;
    let settled =
        at_once(
            (0..50).map(|n| {
                let ledger = stores.ledger.clone();
                async move {
                    ledger.settle(&settlement(record(0, "k"), at(n))).await.unwrap().is_first()
                }
            }),
        )
        .await;
    assert_eq!(settled.iter().filter(|&&counted| counted).count(), 1);
    for scope in scopes() {
        assert_eq!(total_of(stores, &scope).await, counted(1), "{scope:?}");
    }
}

/// Requests that begin and end at once are all counted, none twice.
pub async fn settlements_of_many_requests_all_count(stores: &Stores) {
    let settled = at_once((0..100).map(|number| {
        let stores = stores.clone();
        async move {
            admitted(&stores, number, "k", at(0)).await;
            stores.ledger.settle(&settlement(record(number, "k"), at(1))).await.unwrap().is_first()
        }
    }))
    .await;
    assert!(settled.iter().all(|&counted| counted));
    for scope in scopes() {
        assert_eq!(total_of(stores, &scope).await, counted(100), "{scope:?}");
    }
    assert_eq!(stores.usage.recent(200).await.unwrap().len(), 100);
}

/// Usage is counted for key, account and model, in the total and in the month, day and hour of the
/// operator's calendar in which the request ended.
pub async fn usage_is_counted_in_every_scope_and_period(stores: &Stores) {
    let moments = [NEW_YEAR, NEW_YEAR + 1, NEXT_HOUR, NEXT_DAY, NEXT_MONTH];
    for (number, &moment) in (0_u8..).zip(&moments) {
        admitted(stores, number, "k", at(moment)).await;
        let ended = settlement(record(number, "k"), at(moment));
        assert!(stores.ledger.settle(&ended).await.unwrap().is_first());
    }
    let day = Period::Day { year: 2040, month: 1, day: 1 };
    let hour = |hour| Period::Hour { year: 2040, month: 1, day: 1, hour };
    assert!(calendar().periods(at(NEW_YEAR)).contains(&hour(0)), "the fixture is as it says");
    let cases = [
        (Period::Total, 5),
        (Period::Month { year: 2040, month: 1 }, 4),
        (Period::Month { year: 2040, month: 2 }, 1),
        (Period::Month { year: 2039, month: 12 }, 0),
        (day, 3),
        (Period::Day { year: 2040, month: 1, day: 2 }, 1),
        (Period::Day { year: 2039, month: 12, day: 31 }, 0),
        (hour(0), 2),
        (hour(1), 1),
        (hour(16), 0),
        (Period::Hour { year: 2039, month: 12, day: 31, hour: 16 }, 0),
    ];
    for scope in scopes() {
        for (period, requests) in cases {
            let totals = stores.usage.totals(&scope, period).await.unwrap();
            assert_eq!(totals, counted(requests), "{scope:?} in {period:?}");
        }
    }
    for scope in [
        UsageScope::Key(key_id("other")),
        UsageScope::Account(account_id("account-two")),
        UsageScope::Model(model("claude-sonnet-4-5")),
    ] {
        assert_eq!(total_of(stores, &scope).await, UsageTotals::default(), "{scope:?}");
    }
}

/// A request that ended without an account counts for its key and for the model that it named.
pub async fn without_an_account_key_and_model_count(stores: &Stores) {
    admitted(stores, 0, "k", at(0)).await;
    let lonely = RequestRecord { account: None, served_model: None, ..record(0, "k") };
    assert!(stores.ledger.settle(&settlement(lonely, at(1))).await.unwrap().is_first());
    let named = UsageScope::Model(model("claude-sonnet-4-5"));
    assert_eq!(total_of(stores, &named).await, counted(1));
    let [key, account, served] = scopes();
    assert_eq!(total_of(stores, &key).await, counted(1));
    assert_eq!(total_of(stores, &account).await, UsageTotals::default());
    assert_eq!(total_of(stores, &served).await, UsageTotals::default());
}

/// A release ends the request and keeps its record, and no counter moves.
pub async fn a_release_counts_nothing(stores: &Stores) {
    stores.keys.create(&key("k", 1)).await.unwrap();
    admitted(stores, 0, "k", at(0)).await;
    let refused = RequestRecord {
        outcome: Outcome::NoAccount,
        status: 529,
        usage: TokenUsage::ZERO,
        usage_source: UsageSource::None,
        cost: None,
        ..record(0, "k")
    };
    let release = Settlement { charge: Charge::Release, ..settlement(refused.clone(), at(1)) };
    assert!(stores.ledger.settle(&release).await.unwrap().is_first());
    assert!(!stores.ledger.settle(&release).await.unwrap().is_first());
    for scope in scopes() {
        assert_eq!(total_of(stores, &scope).await, UsageTotals::default(), "{scope:?}");
    }
    assert_eq!(stores.usage.record(request_id(0)).await.unwrap(), Some(refused));
}

/// A request of a model without a price counts its tokens, and is known to have cost an unknown amount.
pub async fn a_request_without_price_is_told_apart(stores: &Stores) {
    for (number, cost) in [(0, None), (1, Some(NanoUsd::ZERO)), (2, Some(NanoUsd::from_nanos(5)))] {
        admitted(stores, number, "k", at(0)).await;
        let ended = RequestRecord { cost, ..record(number, "k") };
        assert!(stores.ledger.settle(&settlement(ended, at(1))).await.unwrap().is_first());
    }
    let expected = UsageTotals {
        requests: 3,
        tokens: usage(3),
        cost: NanoUsd::from_nanos(5),
        charged: NanoUsd::from_nanos(3 * 12_600_001),
        unpriced_requests: 1,
    };
    for scope in scopes() {
        assert_eq!(total_of(stores, &scope).await, expected, "{scope:?}");
    }
}

/// What was settled is what is read.
pub async fn records_read_back_in_every_field(stores: &Stores) {
    let bare = RequestRecord {
        served_model: None,
        account: None,
        stream: false,
        outcome: Outcome::ClientGone,
        status: 0,
        platform: Platform::Codex,
        times: RequestTimes::default(),
        usage: TokenUsage::ZERO,
        usage_source: UsageSource::None,
        cost: None,
        ..record(1, "k")
    };
    let records = [rich_record(0, "k"), bare];
    for (number, record) in (0..).zip(&records) {
        admitted(stores, number, "k", at(0)).await;
        assert!(stores.ledger.settle(&settlement(record.clone(), at(1))).await.unwrap().is_first());
        assert_eq!(stores.usage.record(record.id).await.unwrap().as_ref(), Some(record));
    }
    assert_eq!(stores.usage.record(request_id(9)).await.unwrap(), None);
}

/// The newest requests come first, and no more than were asked for.
pub async fn recent_records_come_newest_first(stores: &Stores) {
    assert_eq!(stores.usage.recent(10).await.unwrap(), []);
    for number in 0..5 {
        admitted(stores, number, "k", at(0)).await;
        let ended = settlement(record(number, "k"), at(u64::from(number)));
        assert!(stores.ledger.settle(&ended).await.unwrap().is_first());
    }
    for (limit, expected) in [(3, vec![4, 3, 2]), (10, vec![4, 3, 2, 1, 0]), (0, vec![])] {
        let recent = stores.usage.recent(limit).await.unwrap();
        let expected: Vec<_> = expected.into_iter().map(|number| record(number, "k")).collect();
        assert_eq!(recent, expected, "at most {limit}");
    }
}

/// Counted use dates the key and the account, which is no change of what is configured.
pub async fn use_is_dated_and_raises_no_version(stores: &Stores) {
    stores.keys.create(&key("k", 1)).await.unwrap();
    stores.accounts.create(&account("account-one")).await.unwrap();
    let version = stores.ledger.version().await.unwrap();
    admitted(stores, 0, "k", at(0)).await;
    assert!(stores.ledger.settle(&settlement(record(0, "k"), at(77))).await.unwrap().is_first());
    let used_key = stores.keys.get(&key_id("k")).await.unwrap().unwrap();
    assert_eq!(used_key.last_used_at, Some(at(77)));
    let used_account = stores.accounts.get(&account_id("account-one")).await.unwrap().unwrap();
    assert_eq!(used_account.last_used_at, Some(at(77)));
    assert_eq!(stores.ledger.version().await.unwrap(), version);
    stores.keys.update(&key("k", 1)).await.unwrap();
    stores.accounts.update(&account("account-one")).await.unwrap();
    let kept_key = stores.keys.get(&key_id("k")).await.unwrap().unwrap();
    assert_eq!(kept_key.last_used_at, Some(at(77)), "an operator's change does not undo it");
    let kept_account = stores.accounts.get(&account_id("account-one")).await.unwrap().unwrap();
    assert_eq!(kept_account.last_used_at, Some(at(77)), "an operator's change does not undo it");
}
