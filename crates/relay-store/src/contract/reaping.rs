//! What every [`Ledger`](crate::Ledger) owes a request whose process has died.

use std::collections::BTreeSet;

use relay_domain::{
    CostBreakdown, Edit, NanoUsd, Outcome, Period, RequestRecord, ServedTerms, TokenUsage,
    UsageSource,
};

use super::fixture::{
    LEASE, account_id, admit_request, admitted, at, at_once, checkpoint, key_id, model, record,
    request_id, settlement, usage,
};
use crate::{AdmitRequest, Checkpoint, Stores, UsageScope, UsageTotals};

/// After the end of the leases that the fixture's requests take at the start.
const LATER: u64 = 61_000;

async fn total_of_key(stores: &Stores) -> UsageTotals {
    stores.usage.totals(&UsageScope::Key(key_id("k")), Period::Total).await.unwrap()
}

fn counted_partially() -> UsageTotals {
    UsageTotals {
        requests: 1,
        tokens: usage(3),
        cost: NanoUsd::from_nanos(4_200),
        charged: NanoUsd::from_nanos(5_000),
        unpriced_requests: 0,
    }
}

/// The record of an orphan has what was known at its last checkpoint, and is stored and counted for key,
/// account and model.
pub async fn an_orphan_is_settled_with_its_last_checkpoint(stores: &Stores) {
    admitted(stores, 0, "k", at(0)).await;
    for scale in [1, 3] {
        let told = checkpoint(0, at(0).plus(LEASE), usage(scale));
        assert!(stores.ledger.checkpoint(&told).await.unwrap());
    }
    let renewed =
        Checkpoint { request: request_id(0), lease_until: at(0).plus(LEASE), progress: None };
    assert!(stores.ledger.checkpoint(&renewed).await.unwrap(), "which keeps what was told before");

    let reaped = stores.ledger.reap(at(LATER), 10).await.unwrap();
    assert_eq!(reaped.len(), 1, "{reaped:?}");
    let orphan = reaped.first().unwrap();
    let expected = RequestRecord {
        outcome: Outcome::Orphaned,
        // What the client got is not known.
        status: orphan.status,
        usage: usage(3),
        usage_source: UsageSource::Partial,
        terms: ServedTerms { fast: true, ..ServedTerms::default() },
        settled_at: Some(at(LATER)),
        cost_by_kind: Some(CostBreakdown::of_kinds(
            [4_000, 200, 0, 0, 0, 0].map(NanoUsd::from_nanos),
        )),
        cost: Some(NanoUsd::from_nanos(4_200)),
        presumed_cost: Some(NanoUsd::from_nanos(4_300)),
        charged: Some(NanoUsd::from_nanos(5_000)),
        edits: vec![Edit::Model { to: "claude-fable-5".to_owned() }],
        started_at: at(0),
        times: orphan.times,
        ..record(0, "k")
    };
    assert_eq!(orphan, &expected);
    assert_eq!(stores.usage.record(request_id(0)).await.unwrap().as_ref(), Some(&expected));
    assert_eq!(stores.usage.recent(10).await.unwrap(), [expected]);
    for scope in [
        UsageScope::Key(key_id("k")),
        UsageScope::Account(account_id("account-one")),
        UsageScope::Model(model("claude-sonnet-4-5-20250929")),
    ] {
        let totals = stores.usage.totals(&scope, Period::Total).await.unwrap();
        assert_eq!(totals, counted_partially(), "{scope:?}");
    }
}

/// An orphan that its upstream had, and had counted nothing of yet, counts with what was reckoned, and says so.
pub async fn an_orphan_whose_usage_was_reckoned_says_so(stores: &Stores) {
    admitted(stores, 0, "k", at(0)).await;
    let mut told = checkpoint(0, at(60_000), usage(3));
    let progress = told.progress.as_mut().unwrap();
    progress.usage_source = UsageSource::Estimated;
    assert!(stores.ledger.checkpoint(&told).await.unwrap());
    let reaped = stores.ledger.reap(at(LATER), 10).await.unwrap();
    let sources: Vec<_> = reaped.iter().map(|orphan| orphan.usage_source).collect();
    assert_eq!(sources, [UsageSource::Estimated]);
    assert_eq!(stores.usage.record(request_id(0)).await.unwrap().as_ref(), reaped.first());
    assert_eq!(total_of_key(stores).await, counted_partially());
}

/// A second reaper finds nothing.
pub async fn an_orphan_counts_once(stores: &Stores) {
    admitted(stores, 0, "k", at(0)).await;
    assert!(stores.ledger.checkpoint(&checkpoint(0, at(60_000), usage(3))).await.unwrap());
    assert_eq!(stores.ledger.reap(at(LATER), 10).await.unwrap().len(), 1);
    assert_eq!(stores.ledger.reap(at(LATER), 10).await.unwrap(), []);
    assert_eq!(stores.ledger.reap(at(10 * LATER), 10).await.unwrap(), []);
    assert_eq!(total_of_key(stores).await, counted_partially());
}

/// Of an orphan that no upstream had told anything about there is a record, and no usage.
pub async fn an_orphan_without_progress_counts_nothing(stores: &Stores) {
    let asked = AdmitRequest { stream: false, ..admit_request(0, "k", at(0)) };
    assert!(stores.ledger.admit(&asked).await.unwrap().decision.is_ok());
    let reaped = stores.ledger.reap(at(LATER), 10).await.unwrap();
    assert_eq!(reaped.len(), 1, "{reaped:?}");
    let orphan = reaped.first().unwrap();
    let expected = RequestRecord {
        served_model: None,
        account: None,
        stream: false,
        outcome: Outcome::Orphaned,
        status: orphan.status,
        usage: TokenUsage::ZERO,
        usage_source: UsageSource::None,
        settled_at: Some(at(LATER)),
        cost: None,
        charged: None,
        started_at: at(0),
        times: orphan.times,
        ..record(0, "k")
    };
    assert_eq!(orphan, &expected);
    assert_eq!(stores.usage.record(request_id(0)).await.unwrap(), Some(expected));
    assert_eq!(total_of_key(stores).await, UsageTotals::default());
    assert_eq!(stores.ledger.reap(at(LATER), 10).await.unwrap(), []);
}

/// Of an orphan whose upstream had it and then refused it, so that what was told before was withdrawn, there is a
/// record, and no usage; unless another upstream told something after that.
pub async fn what_was_told_and_withdrawn_counts_nothing(stores: &Stores) {
    for number in 0..2 {
        admitted(stores, number, "k", at(0)).await;
        let told = checkpoint(number, at(60_000), usage(3));
        let mut withdrawn = checkpoint(number, at(60_000), TokenUsage::ZERO);
        withdrawn.progress.as_mut().unwrap().usage_source = UsageSource::None;
        for step in [&told, &withdrawn] {
            assert!(stores.ledger.checkpoint(step).await.unwrap());
        }
    }
    assert!(stores.ledger.checkpoint(&checkpoint(1, at(60_000), usage(3))).await.unwrap());
    let mut reaped = stores.ledger.reap(at(LATER), 10).await.unwrap();
    reaped.sort_by_key(|orphan| orphan.id);
    let sources: Vec<_> = reaped.iter().map(|orphan| orphan.usage_source).collect();
    assert_eq!(sources, [UsageSource::None, UsageSource::Partial]);
    let orphan = reaped.first().unwrap();
    assert_eq!((&orphan.account, orphan.usage, orphan.cost), (&None, TokenUsage::ZERO, None));
    assert_eq!(stores.usage.record(request_id(0)).await.unwrap().as_ref(), Some(orphan));
    assert_eq!(total_of_key(stores).await, counted_partially());
}

/// Of an orphan whose upstream had told of no usage yet the request counts, and nothing else.
pub async fn an_orphan_that_was_answered_counts_though_it_had_used_nothing(stores: &Stores) {
    admitted(stores, 0, "k", at(0)).await;
    let told = checkpoint(0, at(60_000), TokenUsage::ZERO);
    assert!(stores.ledger.checkpoint(&told).await.unwrap());
    let reaped = stores.ledger.reap(at(LATER), 10).await.unwrap();
    let sources: Vec<_> = reaped.iter().map(|orphan| orphan.usage_source).collect();
    assert_eq!(sources, [UsageSource::Partial]);
    let expected = UsageTotals { tokens: TokenUsage::ZERO, ..counted_partially() };
    assert_eq!(total_of_key(stores).await, expected);
}

/// Whoever still has a lease is not an orphan.
pub async fn live_requests_are_left_alone(stores: &Stores) {
    admitted(stores, 0, "k", at(0)).await;
    admitted(stores, 1, "k", at(500)).await;
    assert_eq!(stores.ledger.reap(at(59_999), 10).await.unwrap(), [], "none has ended");
    assert!(stores.ledger.checkpoint(&checkpoint(0, at(90_000), usage(3))).await.unwrap());
    let reaped = stores.ledger.reap(at(60_500), 10).await.unwrap();
    assert_eq!(reaped.iter().map(|orphan| orphan.id).collect::<Vec<_>>(), [request_id(1)]);
    assert!(
        stores.ledger.settle(&settlement(record(0, "k"), at(60_600))).await.unwrap().is_first()
    );
}

/// A reaper stops at its bound; what is left is for the next.
pub async fn a_reaper_takes_no_more_than_it_is_told(stores: &Stores) {
    for number in 0..5 {
        admitted(stores, number, "k", at(0)).await;
    }
    assert_eq!(stores.ledger.reap(at(LATER), 0).await.unwrap(), []);
    let mut seen = BTreeSet::new();
    for expected in [2, 2, 1, 0] {
        let reaped = stores.ledger.reap(at(LATER), 2).await.unwrap();
        assert_eq!(reaped.len(), expected);
        seen.extend(reaped.into_iter().map(|orphan| orphan.id));
    }
    assert_eq!(seen, (0..5).map(request_id).collect());
}

/// A process that was only slow comes too late, and learns it.
pub async fn a_late_settlement_counts_nothing(stores: &Stores) {
    admitted(stores, 0, "k", at(0)).await;
    assert!(stores.ledger.checkpoint(&checkpoint(0, at(60_000), usage(3))).await.unwrap());
    let reaped = stores.ledger.reap(at(LATER), 10).await.unwrap();
    assert!(!stores.ledger.checkpoint(&checkpoint(0, at(90_000), usage(9))).await.unwrap());
    assert!(
        !stores.ledger.settle(&settlement(record(0, "k"), at(LATER))).await.unwrap().is_first()
    );
    assert_eq!(total_of_key(stores).await, counted_partially());
    assert_eq!(stores.usage.record(request_id(0)).await.unwrap().as_ref(), reaped.first());
    assert_eq!(stores.usage.recent(10).await.unwrap(), reaped);
}

enum Ended {
    ByItself(bool),
    Reaped(usize),
}

/// Reapers of several instances and the request's own settlement, all at once: one of them counts.
pub async fn reapers_and_settlements_at_once_count_once(stores: &Stores) {
    for number in 0..20 {
        admitted(stores, number, "k", at(0)).await;
        let told = checkpoint(number, at(60_000), usage(3));
        assert!(stores.ledger.checkpoint(&told).await.unwrap());
    }
    let results = at_once((0..40).map(|n: u8| {
        let ledger = stores.ledger.clone();
        async move {
            if n.is_multiple_of(2) {
                let mut ended = record(n / 2, "k");
                (ended.usage, ended.cost) = (usage(3), Some(NanoUsd::from_nanos(4_200)));
                ended.charged = Some(NanoUsd::from_nanos(5_000));
                Ended::ByItself(
                    ledger.settle(&settlement(ended, at(LATER))).await.unwrap().is_first(),
                )
            } else {
                Ended::Reaped(ledger.reap(at(LATER), 3).await.unwrap().len())
            }
        }
    }))
    .await;
    let ended: usize = results
        .iter()
        .map(|result| match result {
            Ended::ByItself(counted) => usize::from(*counted),
            Ended::Reaped(number) => *number,
        })
        .sum();
    assert_eq!(ended, 20, "each request has one end");
    let expected = UsageTotals {
        requests: 20,
        tokens: usage(60),
        cost: NanoUsd::from_nanos(20 * 4_200),
        charged: NanoUsd::from_nanos(20 * 5_000),
        unpriced_requests: 0,
    };
    assert_eq!(total_of_key(stores).await, expected);
    assert_eq!(stores.usage.recent(100).await.unwrap().len(), 20);
}
