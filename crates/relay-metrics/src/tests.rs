use std::sync::Mutex;

use relay_api::{AnsweredRoute, EdgeObserver as _};
use relay_domain::{
    AccountId, Event, EventKind, ModelName, PenaltyReason, RequestRecord, Timestamp,
};
use relay_store::{Charge, MockLedger, Settled, Settlement};
use relay_testkit::NOW;

use super::*;
use crate::requests::tests::record;
use crate::text::tests::text_of_registry;

fn metrics() -> Metrics {
    Metrics::new("1.2.3", "sqlite")
}

fn assert_shown(metrics: &Metrics, lines: &[&str]) {
    let text = text_of_registry(&metrics.registry);
    for line in lines {
        assert!(text.lines().any(|found| found == *line), "{line} in {text}");
    }
}

fn watched(metrics: &Metrics, ledger: MockLedger) -> MeteredLedger {
    MeteredLedger {
        ledger: Arc::new(ledger),
        trips: metrics.trips.clone(),
        requests: Arc::clone(&metrics.requests),
    }
}

#[tokio::test]
async fn what_the_store_has_settled_counts_once_whoever_asked() {
    let metrics = metrics();
    let mut ledger = MockLedger::new();
    let mut answers = vec![Settled::Before, Settled::Now { crossed: Vec::new() }];
    ledger
        .expect_settle()
        .times(2)
        .returning(move |_| Ok(answers.pop().unwrap_or(Settled::Before)));
    let orphan = RequestRecord { outcome: relay_domain::Outcome::Orphaned, ..record() };
    ledger.expect_reap().return_once(move |_, _| Ok(vec![orphan]));
    let ledger = watched(&metrics, ledger);
    let settlement = Settlement {
        record: record(),
        charge: Charge::Count,
        bind: None,
        budgets: Vec::new(),
        now: NOW,
    };
    assert!(ledger.settle(&settlement).await.unwrap().is_first());
    assert!(!ledger.settle(&settlement).await.unwrap().is_first());
    assert_eq!(ledger.reap(NOW, 9).await.unwrap().len(), 1);
    assert_shown(
        &metrics,
        &[
            r#"relay_requests_total{dialect="anthropic",outcome="completed",status="2xx"} 1"#,
            r#"relay_requests_total{dialect="anthropic",outcome="orphaned",status="2xx"} 1"#,
            r#"relay_tokens_total{platform="claude-console",kind="input"} 22"#,
            r#"relay_store_trip_seconds_count{operation="settle"} 2"#,
            r#"relay_store_trip_seconds_count{operation="reap"} 1"#,
        ],
    );
}

#[test]
fn answers_and_refusals_of_the_edge_are_counted() {
    let metrics = metrics();
    metrics.answered(AnsweredRoute::Messages, 429);
    metrics.answered(AnsweredRoute::Admin, 200);
    metrics.refused("concurrency_limit");
    metrics.refused("concurrency_limit");
    metrics.refused_unpriced(&ModelName::try_from("m").unwrap());
    assert_shown(
        &metrics,
        &[
            r#"relay_build_info{version="1.2.3",store="sqlite"} 1"#,
            r#"relay_http_responses_total{route="messages",status="4xx"} 1"#,
            r#"relay_http_responses_total{route="admin",status="2xx"} 1"#,
            r#"relay_http_responses_total{route="probe",status="2xx"} 0"#,
            r#"relay_refusals_total{code="concurrency_limit"} 2"#,
            r#"relay_unpriced_requests_total{model="m"} 1"#,
        ],
    );
}

#[derive(Default)]
struct Ear(Mutex<Vec<Event>>);

impl EventSink for Ear {
    fn tell(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

#[test]
fn events_are_counted_and_handed_on() {
    let (metrics, ear) = (metrics(), Arc::new(Ear::default()));
    let sink = metrics.watch_events(Arc::clone(&ear) as Arc<dyn EventSink>);
    let account = AccountId::try_from("a").unwrap();
    let kind = EventKind::AccountRecovered { account, reason: PenaltyReason::Blocked };
    let event = Event { at: Timestamp::EPOCH, kind };
    sink.tell(event.clone());
    assert_eq!(*ear.0.lock().unwrap(), [event]);
    assert_shown(
        &metrics,
        &[
            r#"relay_events_total{kind="account_recovered"} 1"#,
            r#"relay_events_total{kind="model_unpriced"} 0"#,
        ],
    );
}
