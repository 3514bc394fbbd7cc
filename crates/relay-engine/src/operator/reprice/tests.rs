//! History by other prices, on a real store.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use relay_domain::{
    Limits, NanoUsd, Period, Platform, RequestId, TokenCount, TokenUsage, UsageSource,
};
use relay_store::contract::fixture::{admit_request, key, record, settlement};
use relay_store::{
    AdmitRequest, AuditQuery, Charge, Corrections, Settlement, StoreError, UsageScope,
};

use super::*;
use crate::operator::fixture::{Desk, NOW, root};

/// So many dollars for a million tokens of `known`.
fn prices(dollars: u32) -> Prices {
    let price = format!(
        r#"{{"known": {{"mode": "chat", "litellm_provider": "anthropic",
        "input_cost_per_token": {dollars}e-06, "output_cost_per_token": {dollars}e-06}}}}"#
    );
    Prices::of(PriceBook::parse(&price).unwrap())
}

fn at(minutes: u64) -> Timestamp {
    NOW.plus(Duration::from_mins(minutes))
}

fn all() -> RepriceRange {
    RepriceRange { from: NOW, to: at(60), key: None, model: None, only_unpriced: false }
}

/// The `number`th request: of a thousand tokens, a minute after the one before.
fn request(number: u64, model: &str, micros: Option<i64>) -> RequestRecord {
    let cost = micros.map(|micros| NanoUsd::from_nanos(micros * 1_000));
    RequestRecord {
        id: RequestId::new(at(number), u128::from(number)),
        model: ModelName::try_from(model).unwrap(),
        served_model: None,
        usage: TokenUsage { output: TokenCount::new(1_000), ..TokenUsage::ZERO },
        settled_at: Some(at(number)),
        cost,
        charged: cost,
        ..record(0, "k")
    }
}

async fn settle(stores: &Stores, record: &RequestRecord, charge: Charge) {
    let now = record.settled_at.unwrap_or(record.id.arrived_at());
    let asked = AdmitRequest {
        request: record.id,
        limits: Limits::default(),
        platform: Platform::ClaudeConsole,
        ..admit_request(0, record.key.as_str(), now)
    };
    assert!(stores.ledger.admit(&asked).await.unwrap().decision.is_ok());
    let end = Settlement { charge, ..settlement(record.clone(), now) };
    assert!(stores.ledger.settle(&end).await.unwrap().is_first());
}

/// A desk with a history: three requests of `known`, of which one had no price and one a wrong one, and what
/// cannot be recomputed.
async fn desk() -> Desk {
    let desk = Desk::new();
    desk.stores.keys.create(&key("k", 1)).await.unwrap();
    let counted = [
        request(0, "known", None),
        request(1, "known", Some(500)),
        request(2, "known", Some(2_000)),
        request(3, "other", None),
        request(4, "gone", Some(77)),
        RequestRecord { settled_at: None, ..request(5, "known", None) },
    ];
    for record in &counted {
        settle(&desk.stores, record, Charge::Count).await;
    }
    let unused = RequestRecord { usage_source: UsageSource::None, ..request(6, "known", Some(0)) };
    settle(&desk.stores, &unused, Charge::Release).await;
    desk
}

async fn repricing(desk: &Desk, range: RepriceRange) -> Repricing {
    desk.operator.repricing(&prices(2), range).await.unwrap()
}

async fn cost_of_key(stores: &Stores) -> (i64, u64) {
    let scope = UsageScope::Key(KeyId::try_from("k").unwrap());
    let totals = stores.usage.totals(&scope, Period::Total).await.unwrap();
    (totals.cost.as_nanos() / 1_000, totals.unpriced_requests)
}

async fn noted(desk: &Desk) -> Vec<String> {
    let page = desk.operator.audit(&AuditQuery { limit: 9, ..AuditQuery::default() }).await;
    page.unwrap().entries.into_iter().map(|entry| entry.action).collect()
}

#[tokio::test]
async fn a_plan_says_what_applying_does_and_writes_nothing() {
    let desk = desk().await;
    assert_eq!(cost_of_key(&desk.stores).await, (2_577, 3));
    let repricing = repricing(&desk, all()).await;
    let plan = repricing.plan().await.unwrap();
    assert_eq!(cost_of_key(&desk.stores).await, (2_577, 3), "a plan writes nothing");
    assert_eq!(noted(&desk).await, [""; 0]);

    assert_eq!((plan.looked_at, plan.unused, plan.undated), (7, 1, 1));
    let total = &plan.total;
    assert_eq!((total.requests, total.changed, total.newly_priced), (6, 2, 1));
    assert_eq!(total.before.cost.as_nanos(), 2_577_000);
    assert_eq!(total.difference().as_nanos(), 3_500_000);
    let named = |names: &std::collections::BTreeMap<ModelName, u64>| {
        names.iter().map(|(name, count)| (name.to_string(), *count)).collect::<Vec<_>>()
    };
    assert_eq!(named(&plan.unpriced), [("other".to_owned(), 1)]);
    assert_eq!(named(&plan.price_gone), [("gone".to_owned(), 1)]);
    assert_eq!(plan.by_model.values().map(|shift| shift.changed).collect::<Vec<_>>(), [0, 2, 0]);
    assert_eq!(plan.unrecorded, Unrecorded::None);

    let mut done = RepriceReport::default();
    repricing.apply(&root(), &mut done).await.unwrap();
    assert_eq!(done, plan);
    assert_eq!(cost_of_key(&desk.stores).await, (6_077, 2));
    assert_eq!(noted(&desk).await, ["history.reprice"]);

    let mut again = RepriceReport::default();
    repricing.apply(&root(), &mut again).await.unwrap();
    assert_eq!((again.total.changed, again.total.difference()), (0, NanoUsd::ZERO));
    assert_eq!(cost_of_key(&desk.stores).await, (6_077, 2));
    assert_eq!(noted(&desk).await.len(), 1, "nothing was done, so nothing is noted");
}

#[tokio::test]
async fn only_what_was_asked_for_is_recomputed() {
    let desk = desk().await;
    let ranges = [
        (RepriceRange { only_unpriced: true, ..all() }, 1),
        (RepriceRange { to: at(1), ..all() }, 1),
        (RepriceRange { from: at(1), ..all() }, 1),
        (RepriceRange { model: ModelName::try_from("other").ok(), ..all() }, 0),
        (RepriceRange { key: KeyId::try_from("nobody").ok(), ..all() }, 0),
    ];
    for (range, changed) in ranges {
        let plan = repricing(&desk, range.clone()).await.plan().await.unwrap();
        assert_eq!(plan.total.changed, changed, "{range:?}");
    }
    let empty = RepriceRange { to: NOW, ..all() };
    let refused = desk.operator.repricing(&prices(2), empty).await.err();
    assert!(matches!(refused, Some(OperatorError::Invalid { field: "to", .. })), "{refused:?}");
}

#[tokio::test]
async fn what_has_no_record_any_more_is_counted() {
    let desk = Desk::new();
    for number in 0..13 {
        settle(&desk.stores, &request(number, "known", None), Charge::Count).await;
    }
    desk.stores.ledger.reap(at(20), 9).await.unwrap();
    let plan = repricing(&desk, all()).await.plan().await.unwrap();
    assert_eq!(plan.looked_at, 10, "the store of the test keeps ten");
    assert_eq!(plan.unrecorded, Unrecorded::About(3));
    let later = RepriceRange { from: at(5), ..all() };
    let plan = repricing(&desk, later).await.plan().await.unwrap();
    assert_eq!(plan.unrecorded, Unrecorded::None);
}

/// Makes one correction of the first call, and fails; then works.
struct Interrupted {
    store: Arc<dyn Corrections>,
    has_failed: AtomicBool,
}

#[async_trait]
impl Corrections for Interrupted {
    async fn correct(
        &self,
        corrections: &[Correction],
        now: Timestamp,
    ) -> Result<Vec<Corrected>, StoreError> {
        if self.has_failed.swap(true, Ordering::Relaxed) {
            return self.store.correct(corrections, now).await;
        }
        self.store.correct(&corrections[..1], now).await?;
        Err(StoreError::Unavailable("interrupted".into()))
    }
}

#[tokio::test]
async fn a_run_that_was_interrupted_is_finished_by_the_next() {
    let desk = desk().await;
    let store = Arc::clone(&desk.stores.corrections);
    let corrections = Arc::new(Interrupted { store, has_failed: AtomicBool::new(false) });
    let desk = Desk::on(Stores { corrections, ..desk.stores });
    let repricing = repricing(&desk, all()).await;
    let mut report = RepriceReport::default();
    assert!(repricing.apply(&root(), &mut report).await.is_err());
    let (halfway, _) = cost_of_key(&desk.stores).await;
    assert!(2_577 < halfway && halfway < 6_077, "{halfway}");
    let mut report = RepriceReport::default();
    repricing.apply(&root(), &mut report).await.unwrap();
    assert_eq!(report.total.changed, 1, "the other one was made before");
    assert_eq!(cost_of_key(&desk.stores).await, (6_077, 2));
}
