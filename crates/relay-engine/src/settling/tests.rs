use std::path::Path;

use relay_domain::{
    LimitScope, NanoUsd, Outcome, Period, RequestRecord, Timestamp, TokenCount, TokenUsage,
    UsageSource,
};
use relay_journal::Journal;
use relay_store::UsageScope;
use relay_testkit::eventually;

use super::*;
use crate::fixture::Bench;
use crate::flight::tests::record;

fn outgoing() -> Outgoing {
    let usage = TokenUsage { input: TokenCount::new(5), ..TokenUsage::ZERO };
    let record = RequestRecord {
        usage,
        usage_source: UsageSource::Final,
        outcome: Outcome::Completed,
        status: 200,
        ..record("k", "claude-sonnet-4-5")
    };
    let now = record.started_at;
    let budgets = Vec::new();
    let settlement = Settlement { record, charge: Charge::Count, bind: None, budgets, now };
    Outgoing { settlement, was_admitted: true }
}

fn journal(folder: &Path) -> Journal {
    Journal::open(folder, 1 << 20).unwrap()
}

async fn admit(bench: &Bench, core: &Core, outgoing: &Outgoing) {
    let request = again(core, &outgoing.settlement);
    assert!(bench.stores.ledger.admit(&request).await.unwrap().decision.is_ok());
    core.airspace.enter(request.request);
}

async fn requests(bench: &Bench) -> u64 {
    let scope = UsageScope::Key(outgoing().settlement.record.key);
    bench.stores.usage.totals(&scope, Period::Total).await.unwrap().requests
}

fn kept(core: &Core) -> usize {
    core.journal.as_ref().map_or(0, Journal::len)
}

async fn settle(core: &Core, outgoing: &Outgoing) {
    super::settle(core, outgoing, oneshot::channel().0).await;
}

#[tokio::test]
async fn what_the_store_does_not_take_is_delivered_once_when_it_is_back() {
    let (bench, folder) = (Bench::new(), tempfile::tempdir().unwrap());
    let engine = bench.engine(Some(journal(folder.path()))).await;
    let (core, outgoing) = (engine.core(), outgoing());
    admit(&bench, core, &outgoing).await;
    bench.ledger.go_away(true);
    settle(core, &outgoing).await;
    assert_eq!(kept(core), 1);
    assert_eq!(core.airspace.all(), [outgoing.settlement.record.id], "its lease is renewed");
    assert_eq!(deliver(core).await, Delivery::StoreAway);
    assert_eq!(kept(core), 1);

    bench.ledger.go_away(false);
    assert_eq!(deliver(core).await, Delivery::Done);
    assert_eq!((kept(core), requests(&bench).await), (0, 1));
    assert_eq!(core.airspace.all(), []);
    assert_eq!(deliver(core).await, Delivery::Done);
    assert_eq!(requests(&bench).await, 1);
    let stored = bench.stores.usage.record(outgoing.settlement.record.id).await.unwrap();
    assert_eq!(stored, Some(outgoing.settlement.record));
}

#[tokio::test]
async fn what_a_store_does_not_answer_is_in_the_journal_before_anybody_sees_it_finished() {
    let (bench, folder) = (Bench::new(), tempfile::tempdir().unwrap());
    let engine = bench.engine(Some(journal(folder.path()))).await;
    let (core, outgoing) = (Arc::clone(engine.core()), outgoing());
    admit(&bench, &core, &outgoing).await;
    bench.ledger.hold_settlements(true);
    let (told, is_kept) = oneshot::channel();
    let settling = {
        let core = Arc::clone(&core);
        bench.tasks.spawn(async move { super::settle(&core, &outgoing, told).await })
    };
    assert!(is_kept.await.is_err(), "it is closed");
    assert_eq!(kept(&core), 1);
    let read = form::read(&core.journal.as_ref().unwrap().oldest(1)[0].1).unwrap();
    assert_eq!(read.record.outcome, Outcome::Completed);
    assert!(!settling.is_finished(), "the store is waited for all the same");

    bench.ledger.hold_settlements(false);
    settling.await.unwrap();
    assert_eq!((kept(&core), requests(&bench).await), (0, 1), "it need not be delivered any more");
    assert_eq!(core.airspace.all(), []);
}

#[tokio::test]
async fn what_a_slow_store_has_and_the_journal_delivers_counts_once() {
    let (bench, folder) = (Bench::new(), tempfile::tempdir().unwrap());
    let engine = bench.engine(Some(journal(folder.path()))).await;
    let (core, outgoing) = (Arc::clone(engine.core()), outgoing());
    admit(&bench, &core, &outgoing).await;
    bench.ledger.hold_settlements(true);
    let (told, is_kept) = oneshot::channel();
    let shared = Arc::clone(&core);
    let settling = bench.tasks.spawn(async move { super::settle(&shared, &outgoing, told).await });
    assert!(is_kept.await.is_err());
    let delivering = async { deliver(&core).await };
    let going_on = async { bench.ledger.hold_settlements(false) };
    let (delivery, ()) = tokio::join!(delivering, going_on);
    assert_eq!(delivery, Delivery::Done);
    settling.await.unwrap();
    assert_eq!((kept(&core), requests(&bench).await), (0, 1));
}

#[tokio::test]
async fn what_the_journal_keeps_is_no_orphan_while_the_store_is_away() {
    let (bench, folder) = (Bench::new(), tempfile::tempdir().unwrap());
    let engine = bench.engine(Some(journal(folder.path()))).await;
    let (core, outgoing) = (engine.core(), outgoing());
    let request =
        AdmitRequest { lease_until: Timestamp::default(), ..again(core, &outgoing.settlement) };
    assert!(bench.stores.ledger.admit(&request).await.unwrap().decision.is_ok());
    bench.ledger.go_away(true);
    settle(core, &outgoing).await;
    // It is away when it is delivered to, and there when it would be reaped.
    bench.ledger.go_away(false);
    bench.ledger.refuse_settlements(1);
    engine.reap().await;
    assert_eq!((kept(core), requests(&bench).await), (1, 0));
    engine.reap().await;
    assert_eq!((kept(core), requests(&bench).await), (0, 1));
    let stored = bench.stores.usage.record(outgoing.settlement.record.id).await.unwrap();
    assert_eq!(stored.map(|record| record.outcome), Some(Outcome::Completed));
}

#[tokio::test]
async fn house_keeping_delivers_without_being_asked() {
    let (bench, folder) = (Bench::new(), tempfile::tempdir().unwrap());
    let engine = Arc::new(bench.engine(Some(journal(folder.path()))).await);
    let (core, outgoing) = (engine.core(), outgoing());
    admit(&bench, core, &outgoing).await;
    let stop = CancellationToken::new();
    let (house, keeping) = (Arc::clone(&engine), stop.clone());
    bench.tasks.spawn(async move { house.keep_house(keeping).await });
    bench.ledger.go_away(true);
    settle(core, &outgoing).await;
    bench.ledger.go_away(false);
    eventually("it is delivered", async || kept(core) == 0).await;
    assert_eq!(requests(&bench).await, 1);
    stop.cancel();
}

#[tokio::test]
async fn the_next_process_delivers_what_a_dead_one_kept_before_it_settles_orphans() {
    let (bench, folder) = (Bench::new(), tempfile::tempdir().unwrap());
    let outgoing = outgoing();
    {
        let engine = bench.engine(Some(journal(folder.path()))).await;
        admit(&bench, engine.core(), &outgoing).await;
        bench.ledger.go_away(true);
        settle(engine.core(), &outgoing).await;
    }
    bench.ledger.go_away(false);
    // A copy: the dead process's file is let go of some time after its journal is dropped.
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(folder.path().join("journal.log"), copy.path().join("journal.log")).unwrap();
    let engine = bench.engine(Some(journal(copy.path()))).await;
    assert_eq!(kept(engine.core()), 1);
    engine.reap().await;
    assert_eq!((kept(engine.core()), requests(&bench).await), (0, 1));
    let stored = bench.stores.usage.record(outgoing.settlement.record.id).await.unwrap();
    assert_eq!(stored.map(|record| record.outcome), Some(Outcome::Completed));
}

#[tokio::test]
async fn a_store_that_lost_the_hold_counts_it_all_the_same_and_once() {
    let (bench, folder) = (Bench::new(), tempfile::tempdir().unwrap());
    let engine = bench.engine(Some(journal(folder.path()))).await;
    let (core, outgoing) = (engine.core(), outgoing());
    bench.ledger.go_away(true);
    settle(core, &outgoing).await;
    // The same once more, as after a crash between the delivery and its note.
    settle(core, &outgoing).await;
    assert_eq!(kept(core), 2);
    bench.ledger.go_away(false);
    assert_eq!(deliver(core).await, Delivery::Done);
    assert_eq!((kept(core), requests(&bench).await), (0, 1));
}

#[tokio::test]
async fn without_a_journal_a_settlement_waits_in_memory() {
    let bench = Bench::new();
    let engine = bench.engine(None).await;
    let (core, outgoing) = (Arc::clone(engine.core()), outgoing());
    admit(&bench, &core, &outgoing).await;
    bench.ledger.go_away(true);
    let shared = Arc::clone(&core);
    bench.tasks.spawn(async move { settle(&shared, &outgoing).await });
    eventually("it waits", async || core.unkept.exceeds(0)).await;
    bench.ledger.go_away(false);
    eventually("it is settled", async || requests(&bench).await == 1).await;
    eventually("nothing waits", async || !core.unkept.exceeds(0)).await;
}

#[test]
fn a_settlement_reads_back_from_the_journal() {
    let mut settlement = outgoing().settlement;
    settlement.bind = Some(relay_store::Rebind {
        affinity: "abc".try_into().unwrap(),
        binding: relay_store::Binding { account: "a".try_into().unwrap(), until: settlement.now },
    });
    settlement.budgets = vec![
        (LimitScope::Key(settlement.record.key.clone()), daily(7)),
        (LimitScope::Account("a".try_into().unwrap()), daily(9)),
    ];
    let bytes = form::write(&settlement).unwrap();
    let read = form::read(&bytes).unwrap();
    assert_eq!(format!("{read:?}"), format!("{settlement:?}"));
    assert!(bytes.len() < 4_096, "{}", bytes.len());
}

fn daily(nanos: i64) -> Limits {
    Limits { daily_cost: Some(NanoUsd::from_nanos(nanos)), ..Limits::default() }
}

#[test]
fn an_earlier_versions_entry_is_read_and_a_later_ones_is_left_to_it() {
    let settlement = outgoing().settlement;
    let bytes = form::write(&settlement).unwrap();
    let mut entry: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    entry.as_object_mut().unwrap().remove("version");
    entry.as_object_mut().unwrap().remove("budgets");
    let read = form::read(entry.to_string().as_bytes()).unwrap();
    assert_eq!(format!("{read:?}"), format!("{settlement:?}"));
    entry["version"] = 3.into();
    entry["record"] = "in another form".into();
    let refused = form::read(entry.to_string().as_bytes()).unwrap_err().to_string();
    assert!(refused.contains("version 3"), "{refused}");
}

#[tokio::test]
async fn two_deliveries_at_once_count_once_what_the_store_has_lost() {
    let (bench, folder) = (Bench::new(), tempfile::tempdir().unwrap());
    let engine = bench.engine(Some(journal(folder.path()))).await;
    let core = engine.core();
    bench.ledger.go_away(true);
    settle(core, &outgoing()).await;
    bench.ledger.go_away(false);
    assert_eq!(kept(core), 1);
    let both = tokio::join!(deliver(core), deliver(core));
    assert_eq!(both, (Delivery::Done, Delivery::Done));
    assert_eq!((kept(core), requests(&bench).await), (0, 1));
    let settlements = bench.ledger.settlements.lock().unwrap().len();
    assert_eq!(settlements, 2, "one asks, and asks again with a new hold; the other finds nothing");
}

#[tokio::test]
async fn what_is_delivered_from_the_journal_tells_the_thresholds_that_it_passes() {
    let (bench, folder) = (Bench::new(), tempfile::tempdir().unwrap());
    let engine = bench.engine(Some(journal(folder.path()))).await;
    let (core, mut outgoing) = (engine.core(), outgoing());
    let scope = LimitScope::Key(outgoing.settlement.record.key.clone());
    outgoing.settlement.record.charged = Some(NanoUsd::from_nanos(80));
    outgoing.settlement.budgets = vec![(scope.clone(), daily(100))];
    admit(&bench, core, &outgoing).await;
    bench.ledger.go_away(true);
    settle(core, &outgoing).await;
    assert!(bench.events.0.lock().unwrap().is_empty());
    bench.ledger.go_away(false);
    assert_eq!(deliver(core).await, Delivery::Done);
    let told = bench.events.0.lock().unwrap().clone();
    let told: Vec<_> = told
        .iter()
        .filter_map(|event| {
            let EventKind::BudgetThreshold { scope, percent, .. } = &event.kind else {
                return None;
            };
            Some((scope, *percent))
        })
        .collect();
    assert_eq!(told, [(&scope, 50), (&scope, 80)]);
}
