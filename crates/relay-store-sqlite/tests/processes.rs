//! What becomes of a file when processes die over it, or share it.
//!
//! The other process is this very test program, started again with one test that does nothing unless it
//! is told a database.

#![expect(clippy::unwrap_used, reason = "what fails fails the test")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use relay_domain::{ApiKey, LimitKind, Limits, NanoUsd, Outcome, Period, RequestId, UsageSource};
use relay_store::contract::fixture::{
    RECORD_LIFETIME, account, account_id, admit_request, at, calendar, checkpoint, group_id, key,
    key_id, record, settlement, usage,
};
use relay_store::contract::spender::{Spender, Whose, dimes, limit};
use relay_store::{
    AdmitRequest, Assignment, Checkpoint, HoldAnswer, Progress, StoreError, Stores, UsageScope,
};
use relay_store_sqlite::{Access, SqliteOptions, SqliteStore};

const DATABASE: &str = "RELAY_STORE_SQLITE_TEST_DATABASE";

fn open(path: &Path, access: Access) -> Result<SqliteStore, StoreError> {
    let options = SqliteOptions {
        calendar: calendar(),
        record_capacity: 1_000_000,
        record_lifetime: RECORD_LIFETIME,
        access,
    };
    SqliteStore::open(path, options)
}

/// The database that this program was started again for.
fn told_database() -> Option<PathBuf> {
    std::env::var_os(DATABASE).map(PathBuf::from)
}

/// Starts this program again, to run one test on a database.
fn start(test: &str, database: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(DATABASE, OsString::from(database))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn say(word: &str, request: RequestId) {
    // One write, so that a line is whole or is not there.
    let line = format!("\n{word} {request}\n");
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.flush().unwrap();
}

fn request(number: u64) -> RequestId {
    RequestId::new(at(number), u128::from(number))
}

/// Lets requests in without end, several at a time: settles two of three, and leaves the third at its
/// checkpoint.
#[tokio::test]
async fn a_process_to_be_killed() {
    let Some(path) = told_database() else { return };
    let store = open(&path, Access::Serve).unwrap();
    let mut running = tokio::task::JoinSet::new();
    for number in 0.. {
        running.spawn(serve_one(store.stores(), number));
        if 20 <= running.len() {
            running.join_next().await.unwrap().unwrap();
        }
    }
}

async fn serve_one(stores: Stores, number: u64) {
    let id = request(number);
    let asked = AdmitRequest { request: id, ..admit_request(0, "k", at(number)) };
    assert!(stores.ledger.admit(&asked).await.unwrap().decision.is_ok());
    if number.is_multiple_of(3) {
        let told = Checkpoint { request: id, ..checkpoint(0, asked.lease_until, usage(1)) };
        assert!(stores.ledger.checkpoint(&told).await.unwrap());
        say("checkpointed", id);
    } else {
        let mut ended = record(0, "k");
        ended.id = id;
        assert!(stores.ledger.settle(&settlement(ended, at(number))).await.unwrap().is_first());
        say("settled", id);
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_it_was_told_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.db");
    for round in 0..3 {
        let mut child = start("a_process_to_be_killed", &path);
        let mut said: Vec<String> = Vec::new();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines.map_while(Result::ok).filter(|line| line.contains(" req_")) {
            said.push(line);
            if said.len() == 400 + 37 * round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(400 <= said.len(), "the other process has worked: {}", said.len());
        check_after_death(&path, &said).await;
        std::fs::remove_file(&path).unwrap();
    }
}

async fn check_after_death(path: &Path, said: &[String]) {
    let told = |word: &str| -> BTreeSet<RequestId> {
        let ids = said.iter().filter_map(|line| line.strip_prefix(word));
        ids.map(|id| RequestId::try_from(id.trim()).unwrap()).collect()
    };
    let (settled, checkpointed) = (told("settled "), told("checkpointed "));
    let store = open(path, Access::Serve).unwrap();
    let stores = store.stores();
    for id in &settled {
        let kept = stores.usage.record(*id).await.unwrap().unwrap();
        assert_eq!(kept.outcome, Outcome::Completed);
    }
    let later = at(10_000_000);
    let reaped = stores.ledger.reap(later, 1_000_000).await.unwrap();
    let told_of = reaped.iter().filter(|orphan| orphan.usage == usage(1));
    let orphans: BTreeSet<_> = told_of.map(|orphan| orphan.id).collect();
    assert!(checkpointed.is_subset(&orphans), "what was checkpointed is settled");
    assert!(settled.is_disjoint(&orphans), "once");
    assert_eq!(stores.ledger.reap(later, 1_000_000).await.unwrap(), []);

    let records = stores.usage.recent(1_000_000).await.unwrap();
    let counted = records.iter().filter(|kept| kept.usage == usage(1)).count();
    let scope = UsageScope::Key(key_id("k"));
    let totals = stores.usage.totals(&scope, Period::Total).await.unwrap();
    assert_eq!(totals.requests, u64::try_from(counted).unwrap(), "each record is counted once");
    assert_eq!(totals.tokens, usage(totals.requests));
}

/// Adds a key and an account.
#[tokio::test]
async fn a_process_that_administers() {
    let Some(path) = told_database() else { return };
    let stores = open(&path, Access::Administer).unwrap().stores();
    stores.keys.create(&key("from-the-other-process", 1)).await.unwrap();
    stores.accounts.create(&account("account-one")).await.unwrap();
    let refused = stores.ledger.admit(&admit_request(0, "k", at(0))).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
}

#[tokio::test]
async fn the_next_admission_sees_what_another_process_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.db");
    let stores = open(&path, Access::Serve).unwrap().stores();
    let before = stores.ledger.admit(&admit_request(0, "k", at(0))).await.unwrap().version;
    assert!(start("a_process_that_administers", &path).wait().unwrap().success());
    let after = stores.ledger.admit(&admit_request(1, "k", at(1))).await.unwrap().version;
    assert_eq!((after.keys, after.accounts), (before.keys + 1, before.accounts + 1));
    assert!(stores.keys.get(&key_id("from-the-other-process")).await.unwrap().is_some());
}

#[tokio::test]
async fn every_change_is_seen_by_the_next_admission_also_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.db");
    let serving = open(&path, Access::Serve).unwrap().stores();
    let administering = open(&path, Access::Administer).unwrap().stores();
    administering.keys.create(&key("k", 1)).await.unwrap();
    let mut settling = tokio::task::JoinSet::new();
    for round in 0..200_u8 {
        let changed = ApiKey { revision: round.into(), ..key("k", 1) };
        assert!(administering.keys.update(&changed).await.unwrap().is_done());
        let expected = administering.ledger.version().await.unwrap();
        let admission = serving.ledger.admit(&admit_request(round, "k", at(0))).await.unwrap();
        assert_eq!(admission.version, expected, "round {round}");
        let serving = serving.clone();
        settling.spawn(async move {
            let ended = settlement(record(round, "k"), at(1));
            assert!(serving.ledger.settle(&ended).await.unwrap().is_first());
        });
    }
    settling.join_all().await;
}

#[tokio::test]
async fn a_change_by_hand_is_seen_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.db");
    let stores = open(&path, Access::Serve).unwrap().stores();
    stores.keys.create(&key("k", 1)).await.unwrap();
    let before = stores.ledger.version().await.unwrap();
    let by_hand = rusqlite::Connection::open(&path).unwrap();
    by_hand.busy_timeout(Duration::from_secs(5)).unwrap();
    by_hand.execute("DELETE FROM api_key", []).unwrap();
    let after = stores.ledger.admit(&admit_request(0, "k", at(0))).await.unwrap().version;
    assert_eq!(after.keys, before.keys + 1);
    assert_eq!(stores.keys.list().await.unwrap(), []);
}

/// Waits until `is_so`.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_file_that_another_process_has_locked_lets_nobody_with_limits_in_until_it_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.db");
    let stores = open(&path, Access::Serve).unwrap().stores();
    let (free, ledger) = (|number| admit_request(number, "free", at(0)), &stores.ledger);
    let limits = Limits { concurrency: Some(100), ..Limits::default() };
    let limited = |number| AdmitRequest { limits, ..admit_request(number, "limited", at(0)) };
    assert!(ledger.admit(&limited(0)).await.unwrap().decision.is_ok());
    assert!(ledger.is_ready().await.is_ok());
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    // Nothing comes up that is to be written: asking whether it can be finds out.
    assert!(matches!(ledger.is_ready().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(ledger.admit(&limited(1)).await, Err(StoreError::Unavailable(_))));
    assert!(ledger.admit(&free(2)).await.unwrap().decision.is_ok());
    let account = Assignment {
        request: free(2).request,
        account: account_id("limited"),
        limits,
        cost: NanoUsd::ZERO,
        now: at(0),
    };
    assert!(matches!(ledger.assign(&account).await, Err(StoreError::Unavailable(_))));
    let unlimited = Assignment { limits: Limits::default(), ..account };
    assert_eq!(ledger.assign(&unlimited).await.unwrap(), HoldAnswer::Held);
    let ends =
        [(0, "limited"), (2, "free")].map(|(number, key)| settlement(record(number, key), at(1)));
    for end in &ends {
        assert!(matches!(ledger.settle(end).await, Err(StoreError::Unavailable(_))));
    }
    assert!(stores.keys.list().await.is_ok(), "reading goes on");

    other.execute_batch("ROLLBACK").unwrap();
    until("it is let in again", async || ledger.admit(&limited(1)).await.is_ok()).await;
    assert!(ledger.is_ready().await.is_ok());
    for end in &ends {
        assert!(ledger.settle(end).await.unwrap().is_first());
        assert!(!ledger.settle(end).await.unwrap().is_first());
    }
    let records = stores.usage.recent(9).await.unwrap();
    assert_eq!(records.len(), 2);
}

#[test]
fn one_process_serves_and_the_error_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.db");
    let first = open(&path, Access::Serve).unwrap();
    let Err(StoreError::Refused(cause)) = open(&path, Access::Serve) else {
        panic!("a second one must be refused")
    };
    let named = cause.to_string();
    assert!(named.contains(&std::process::id().to_string()), "{named}");
    assert!(named.contains("relay.db"), "{named}");
    drop(first);
    open(&path, Access::Serve).unwrap();
}

/// Opens the store, and nothing else.
#[test]
fn a_process_that_opens() {
    let Some(path) = told_database() else { return };
    open(&path, Access::Administer).unwrap();
}

#[test]
fn processes_that_make_the_file_at_once_all_find_it_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.db");
    let openings: Vec<_> = (0..8).map(|_| start("a_process_that_opens", &path)).collect();
    for mut opening in openings {
        assert!(opening.wait().unwrap().success());
    }
    open(&path, Access::Serve).unwrap();
}

/// What the key and the team of [`a_process_that_spends`] may spend in all: some thousand requests' worth.
const BUDGET: u64 = 5_000;

/// Lets requests of a budget in without end, many at a time, and settles two of three for less than they
/// hold; of the third something is known. A request that there is no room for is given up.
#[tokio::test]
async fn a_process_that_spends() {
    let Some(path) = told_database() else { return };
    let store = open(&path, Access::Serve).unwrap();
    let spender = spender(&store.stores());
    let mut running = tokio::task::JoinSet::new();
    for number in 0.. {
        let (stores, spender) = (store.stores(), spender.clone());
        running.spawn(async move { spend(&stores, &spender, number).await });
        if 30 <= running.len() {
            running.join_next().await.unwrap().unwrap();
        }
    }
}

fn spender(stores: &Stores) -> Spender {
    Spender::new(stores, Whose::Group, "spends", limit(LimitKind::TotalCost, BUDGET))
}

async fn spend(stores: &Stores, spender: &Spender, number: u64) {
    let id = RequestId::new(at(number), u128::from(std::process::id()) << 32 | u128::from(number));
    let asked = AdmitRequest { request: id, ..spender.ask(number, 9, at(number)) };
    if stores.ledger.admit(&asked).await.unwrap().decision.is_err() {
        return say("denied", id);
    }
    let mut ended = spender.record(number, number % 9);
    ended.id = id;
    if number.is_multiple_of(3) {
        let progress = Progress {
            account: account("account-one").id,
            served_model: None,
            usage: ended.usage,
            usage_source: UsageSource::Partial,
            terms: ended.terms,
            cost: ended.cost,
            presumed_cost: ended.presumed_cost,
            cost_by_kind: ended.cost_by_kind,
            charged: ended.charged,
            edits: Vec::new(),
        };
        let told =
            Checkpoint { request: id, lease_until: asked.lease_until, progress: Some(progress) };
        assert!(stores.ledger.checkpoint(&told).await.unwrap());
        say("checkpointed", id);
    } else {
        assert!(stores.ledger.settle(&settlement(ended, at(number))).await.unwrap().is_first());
        say("settled", id);
    }
}

/// Killed again and again, the processes never spend more together than there is, and what each has said
/// is spent is.
#[tokio::test]
async fn a_budget_is_exact_however_often_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.db");
    let mut promised = BTreeSet::new();
    let mut was_full = false;
    for round in 0..6 {
        let mut child = start("a_process_that_spends", &path);
        let mut said = 0;
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines.map_while(Result::ok) {
            let Some((word, id)) = line.split_once(" req_") else { continue };
            was_full |= word == "denied";
            if word != "denied" {
                promised.insert(RequestId::try_from(format!("req_{id}")).unwrap());
            }
            said += 1;
            if said == 150 + 31 * round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let store = open(&path, Access::Serve).unwrap();
        let (used, held) = spender(&store.stores()).used_and_held(at(1)).await;
        assert!(used + held <= BUDGET, "round {round}: {used} and {held}");
    }
    assert!(was_full, "the processes have come to the end of the budget");

    let stores = open(&path, Access::Serve).unwrap().stores();
    stores.ledger.reap(at(10_000_000), 1_000_000).await.unwrap();
    let (used, held) = spender(&stores).used_and_held(at(1)).await;
    assert_eq!(held, 0, "nothing runs");
    assert!(used <= BUDGET);
    let records = stores.usage.recent(1_000_000).await.unwrap();
    let kept: BTreeSet<_> = records.iter().map(|record| record.id).collect();
    assert!(promised.is_subset(&kept), "what a process has said is done is in the records");
    assert_eq!(kept.len(), records.len(), "once");
    let charged: NanoUsd = records.iter().filter_map(|record| record.charged).sum();
    assert_eq!(charged, dimes(used), "the records add up to what is spent");
    let scope = UsageScope::Group(group_id("spends-Group"));
    let totals = stores.usage.totals(&scope, Period::Total).await.unwrap();
    assert_eq!(totals.charged, charged, "and to the counters");
}
