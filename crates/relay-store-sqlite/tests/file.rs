//! What is in the file stays there.

#![expect(clippy::unwrap_used, reason = "what fails fails the test")]

use std::error::Error as _;
use std::path::Path;

use relay_domain::{
    Account, Limits, NanoUsd, Outcome, Period, TokenCount, TokenUsage, UsageSource,
};
use relay_store::contract::fixture::{
    RECORD_LIFETIME, account, account_id, admit_request, admitted, affinity, at, calendar,
    checkpoint, group, key_id, rebind, record, request_id, rich_account, rich_key, settlement,
    usage,
};
use relay_store::{AdmitRequest, Settlement, StoreError, Stores, UsageScope};
use relay_store_sqlite::{Access, SqliteOptions, SqliteStore};

fn open(path: &Path) -> Stores {
    open_with(path, 1_000).unwrap().stores()
}

fn open_with(path: &Path, record_capacity: usize) -> Result<SqliteStore, StoreError> {
    let options = SqliteOptions {
        calendar: calendar(),
        record_capacity,
        record_lifetime: RECORD_LIFETIME,
        access: Access::Serve,
    };
    SqliteStore::open(path, options)
}

#[tokio::test]
async fn a_restart_finds_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.db");
    let stores = open(&path);
    stores.groups.create(&group("team-one")).await.unwrap();
    stores.keys.create(&rich_key("k", 1)).await.unwrap();
    stores.accounts.create(&rich_account("a")).await.unwrap();
    admitted(&stores, 0, "k", at(0)).await;
    let bound = Settlement {
        bind: Some(rebind("aa", "account-one", at(90_000))),
        ..settlement(record(0, "k"), at(9))
    };
    assert!(stores.ledger.settle(&bound).await.unwrap().is_first());
    let version = stores.ledger.version().await.unwrap();
    drop(stores);

    let stores = open(&path);
    let mut key = rich_key("k", 1);
    key.last_used_at = Some(at(9));
    assert_eq!(stores.keys.list().await.unwrap(), [key]);
    assert_eq!(stores.accounts.list().await.unwrap(), [rich_account("a")]);
    assert_eq!(stores.usage.recent(9).await.unwrap(), [record(0, "k")]);
    assert_eq!(stores.ledger.version().await.unwrap(), version);
    let again = AdmitRequest { affinity: Some(affinity("aa")), ..admit_request(1, "k", at(10)) };
    let grant = stores.ledger.admit(&again).await.unwrap().decision.unwrap();
    assert_eq!(grant.binding.map(|binding| binding.account), Some(account_id("account-one")));
}

#[tokio::test]
async fn what_was_running_at_the_end_is_settled_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.db");
    let stores = open(&path);
    let limits = Limits { concurrency: Some(3), ..Limits::default() };
    for number in 0..3 {
        let asked = AdmitRequest { limits, ..admit_request(number, "k", at(0)) };
        assert!(stores.ledger.admit(&asked).await.unwrap().decision.is_ok());
    }
    assert!(stores.ledger.checkpoint(&checkpoint(0, at(70_000), usage(3))).await.unwrap());
    drop(stores);

    let stores = open(&path);
    let asked = AdmitRequest { limits, ..admit_request(9, "k", at(1)) };
    let decision = stores.ledger.admit(&asked).await.unwrap().decision;
    assert!(decision.is_ok(), "what does not run any more takes no slot");
    assert!(
        stores.ledger.settle(&settlement(record(1, "k"), at(2))).await.unwrap().is_first(),
        "whoever knows how it ended can still say so"
    );
    assert_eq!(stores.ledger.reap(at(59_999), 10).await.unwrap(), [], "until its lease ends");
    let mut reaped = stores.ledger.reap(at(70_000), 10).await.unwrap();
    reaped.sort_by_key(|orphan| orphan.id);
    let ends: Vec<_> = reaped.iter().map(|o| (o.id, o.outcome, o.usage_source)).collect();
    let expected = [
        (request_id(0), Outcome::Orphaned, UsageSource::Partial),
        (request_id(2), Outcome::Orphaned, UsageSource::None),
        (request_id(9), Outcome::Orphaned, UsageSource::None),
    ];
    assert_eq!(ends, expected);
    drop(stores);

    let stores = open(&path);
    assert_eq!(stores.ledger.reap(at(1_000_000), 10).await.unwrap(), [], "and stays settled");
    let scope = UsageScope::Key(key_id("k"));
    assert_eq!(stores.usage.totals(&scope, Period::Total).await.unwrap().requests, 2);
}

#[tokio::test]
async fn what_was_settled_stays_settled_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.db");
    let stores = open(&path);
    admitted(&stores, 0, "k", at(0)).await;
    assert!(stores.ledger.checkpoint(&checkpoint(0, at(70_000), usage(3))).await.unwrap());
    assert!(stores.ledger.settle(&settlement(record(0, "k"), at(1))).await.unwrap().is_first());
    drop(stores);

    let stores = open(&path);
    assert_eq!(stores.ledger.reap(at(1_000_000), 10).await.unwrap(), []);
    assert!(!stores.ledger.settle(&settlement(record(0, "k"), at(2))).await.unwrap().is_first());
    assert_eq!(stores.usage.recent(9).await.unwrap(), [record(0, "k")]);
}

#[tokio::test]
async fn an_account_does_not_inherit_the_use_of_one_that_was_removed() {
    let folder = tempfile::tempdir().unwrap();
    let stores = open(&folder.path().join("relay.db"));
    admitted(&stores, 0, "k", at(0)).await;
    assert!(stores.ledger.settle(&settlement(record(0, "k"), at(1))).await.unwrap().is_first());
    let anew = Account { created_at: at(2), ..account("account-one") };
    stores.accounts.create(&anew).await.unwrap();
    assert_eq!(stores.accounts.get(&anew.id).await.unwrap(), Some(anew));
}

#[tokio::test]
async fn the_oldest_records_are_dropped_and_counters_stay() {
    let folder = tempfile::tempdir().unwrap();
    let stores = open_with(&folder.path().join("relay.db"), 3).unwrap().stores();
    for number in 0..5 {
        admitted(&stores, number, "k", at(0)).await;
        assert!(
            stores.ledger.settle(&settlement(record(number, "k"), at(0))).await.unwrap().is_first()
        );
    }
    stores.ledger.reap(at(0), 10).await.unwrap();
    let expected = [record(4, "k"), record(3, "k"), record(2, "k")];
    assert_eq!(stores.usage.recent(9).await.unwrap(), expected);
    assert_eq!(stores.usage.record(request_id(1)).await.unwrap(), None);
    let scope = UsageScope::Key(key_id("k"));
    assert_eq!(stores.usage.totals(&scope, Period::Total).await.unwrap().requests, 5);
}

#[tokio::test]
async fn old_hours_and_days_are_dropped_and_months_stay() {
    let folder = tempfile::tempdir().unwrap();
    let stores = open(&folder.path().join("relay.db"));
    admitted(&stores, 0, "k", at(0)).await;
    assert!(stores.ledger.settle(&settlement(record(0, "k"), at(0))).await.unwrap().is_first());
    let scope = UsageScope::Key(key_id("k"));
    let day = 24 * 3_600_000;
    for (days, expected) in
        [(0, [1, 1, 1, 1]), (34, [1, 1, 1, 1]), (37, [1, 1, 1, 0]), (402, [1, 1, 0, 0])]
    {
        stores.ledger.reap(at(days * day), 10).await.unwrap();
        for (period, expected) in calendar().periods(at(0)).into_iter().zip(expected) {
            let totals = stores.usage.totals(&scope, period).await.unwrap();
            assert_eq!(totals.requests, expected, "{period:?} after {days} days");
        }
    }
}

#[tokio::test]
async fn a_lying_upstream_cannot_break_the_counters() {
    let folder = tempfile::tempdir().unwrap();
    let stores = open(&folder.path().join("relay.db"));
    let most = TokenCount::new(u64::MAX);
    let lie = TokenUsage {
        input: most,
        output: most,
        cache_read: most,
        cache_write_5m: most,
        cache_write_1h: most,
    };
    for number in 0..3 {
        admitted(&stores, number, "k", at(0)).await;
        let mut ended = record(number, "k");
        (ended.usage, ended.cost) = (lie, Some(NanoUsd::from_nanos(i64::MAX)));
        let ended = settlement(ended, at(0));
        assert!(stores.ledger.settle(&ended).await.unwrap().is_first());
        assert_eq!(stores.usage.record(request_id(number)).await.unwrap(), Some(ended.record));
    }
    let totals = stores.usage.totals(&UsageScope::Key(key_id("k")), Period::Total).await.unwrap();
    assert_eq!(totals.requests, 3);
    assert_eq!(totals.cost, NanoUsd::from_nanos(i64::MAX), "a counter stops at its end");
    assert_eq!(totals.tokens.input, TokenCount::new(u64::MAX >> 1));
}

#[test]
fn a_later_schema_and_what_is_no_database_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.db");
    drop(open(&path));
    let by_hand = rusqlite::Connection::open(&path).unwrap();
    by_hand.pragma_update(None, "user_version", 99).unwrap();
    drop(by_hand);
    let Err(refused) = open_with(&path, 1) else { panic!("a later schema must be refused") };
    let why = refused.source().map(ToString::to_string).unwrap_or_default();
    assert!(why.contains("schema 99"), "{why}");

    let other = folder.path().join("other.db");
    std::fs::write(&other, "this is no database, and long enough to be seen as none".repeat(100))
        .unwrap();
    assert!(matches!(open_with(&other, 1), Err(StoreError::Corrupt { .. })));
    let nowhere = folder.path().join("nowhere").join("relay.db");
    assert!(open_with(&nowhere, 1).is_err());
}

#[cfg(unix)]
#[test]
fn the_files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let stores = open(&folder.path().join("relay.db"));
    let mut seen = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() == "relay.db-owner" {
            continue;
        }
        seen += 1;
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}", entry.file_name());
    }
    assert_eq!(seen, 3, "the database, its log and the index of that");
    drop(stores);
}
