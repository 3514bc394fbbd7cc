//! Corrections in a file: what memory tells of budgets afterwards is what the file tells, and only who owns
//! the file may make them.

#![expect(clippy::unwrap_used, reason = "what fails fails the test")]

use std::path::Path;

use relay_domain::{LimitKind, Limits, PeriodStarts, RequestRecord};
use relay_store::contract::fixture::{RECORD_LIFETIME, at, calendar};
use relay_store::contract::spender::{BUDGETS, Spender, Whose, with_limit};
use relay_store::{Corrected, Correction, Price, Settlement, StoreError, Stores};
use relay_store_sqlite::{Access, SqliteOptions, SqliteStore};

const HOUR: u64 = 3_600_000;

fn open(path: &Path, access: Access) -> Stores {
    let options = SqliteOptions {
        calendar: calendar(),
        record_capacity: 1_000,
        record_lifetime: RECORD_LIFETIME,
        access,
    };
    SqliteStore::open(path, options).unwrap().stores()
}

fn spenders(stores: &Stores) -> Vec<Spender> {
    let days =
        [(Whose::Key, 0), (Whose::Group, 0), (Whose::Account, 17 * 60), (Whose::Account, 630)];
    let spender = |(whose, day_minute)| {
        let starts = PeriodStarts { day_minute, week_day: 7, week_hour: 7 };
        let kinds = BUDGETS.into_iter().filter(|kind| *kind != LimitKind::WindowCost);
        let limits = kinds.fold(Limits::default(), |all, kind| with_limit(all, kind, Some(9_000)));
        Spender::new(stores, whose, &format!("s{day_minute}"), Limits { starts, ..limits })
    };
    days.into_iter().map(spender).collect()
}

#[tokio::test]
async fn a_process_that_starts_after_a_correction_knows_the_same_as_the_one_that_made_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.db");
    let now = at(39 * HOUR);
    let standing = async |stores: &Stores| {
        let mut all = Vec::new();
        for spender in spenders(stores) {
            all.push(spender.standing(now).await);
        }
        all
    };
    let stores = open(&path, Access::Serve);
    let mut corrections = Vec::new();
    for spender in spenders(&stores) {
        for request in 0..39 {
            let ended = at(request * HOUR);
            spender.enter(request, 9, ended).await.unwrap();
            let record =
                RequestRecord { settled_at: Some(ended), ..spender.record(request, request + 1) };
            let end = Settlement { record: record.clone(), ..spender.end(request, 0, ended) };
            assert!(stores.ledger.settle(&end).await.unwrap().is_first());
            if request == 20 {
                stores.ledger.restart(&spender.scope(), ended).await.unwrap();
            }
            let price = Price::of(&spender.record(request, 2 * request + 7));
            corrections.push(Correction::new(record, price, spender.limits.starts).unwrap());
        }
    }
    let before = standing(&stores).await;
    drop(stores);

    let administering = open(&path, Access::Administer);
    let refused = administering.corrections.correct(&corrections, now).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    drop(administering);

    let stores = open(&path, Access::Serve);
    assert_eq!(standing(&stores).await, before);
    let made = stores.corrections.correct(&corrections, now).await.unwrap();
    assert!(made.iter().all(|made| *made == Corrected::Made), "{made:?}");
    let corrected = standing(&stores).await;
    assert!(corrected.iter().zip(&before).all(|(after, before)| after != before), "it moves");
    drop(stores);
    assert_eq!(standing(&open(&path, Access::Serve)).await, corrected);
}
