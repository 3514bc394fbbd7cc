//! What meets at the worst moment.

use std::time::Duration;

use relay_domain::Period;
use relay_store::contract::fixture::{
    admitted, at, checkpoint, key_id, record, request_id, settlement, usage,
};
use relay_store::{Stores, UsageScope};
use relay_testkit::RedisServer;
use tokio::task::JoinSet;

/// Longer than any of this may take, however busy the machine.
const BOUND: Duration = Duration::from_secs(10);

async fn counted(stores: &Stores) -> u64 {
    let scope = UsageScope::Key(key_id("k"));
    stores.usage.totals(&scope, Period::Total).await.unwrap().requests
}

#[tokio::test]
async fn a_request_is_extended_or_reaped_and_never_both() {
    let server = RedisServer::start();
    let store = crate::store(&server).await;
    let (stores, other) = (store.stores(), store.handle().stores());
    for number in 0..200 {
        admitted(&stores, number, "k", at(0)).await;
    }
    let extending = async {
        let mut extended = Vec::new();
        // From the end, towards the reaper.
        for number in (0..200).rev() {
            let told = checkpoint(number, at(900_000), usage(1));
            if other.ledger.checkpoint(&told).await.unwrap() {
                extended.push(request_id(number));
            }
        }
        extended
    };
    let (reaped, extended) = tokio::join!(stores.ledger.reap(at(60_000), 200), extending);
    let reaped: Vec<_> = reaped.unwrap().into_iter().map(|orphan| orphan.id).collect();
    assert!(!reaped.is_empty() && !extended.is_empty(), "they met");
    assert_eq!(reaped.len() + extended.len(), 200);
    assert!(reaped.iter().all(|orphan| !extended.contains(orphan)));
}

#[tokio::test]
async fn whoever_gives_up_holds_nobody_up() {
    let server = RedisServer::start();
    let stores = crate::store(&server).await.stores();
    for number in 0..200 {
        admitted(&stores, number, "k", at(0)).await;
    }
    let mut settling = JoinSet::new();
    let calls: Vec<_> = (0..200_u8)
        .map(|number| {
            let ledger = stores.ledger.clone();
            settling.spawn(async move {
                ledger.settle(&settlement(record(number, "k"), at(1))).await.unwrap().is_first();
            })
        })
        .collect();
    // The first one leads; one of the next few is told to lead while it is given up.
    tokio::task::yield_now().await;
    for (at, call) in calls.iter().enumerate() {
        if at % 3 == 0 {
            call.abort();
            tokio::task::yield_now().await;
        }
    }
    let (mut done, mut given_up) = (0, 0);
    let all = async {
        while let Some(ended) = settling.join_next().await {
            if ended.is_ok() { done += 1 } else { given_up += 1 }
        }
    };
    tokio::time::timeout(BOUND, all).await.expect("nobody waits forever");
    assert!(given_up > 0 && done >= 133, "{done} done, {given_up} given up");
    let total = counted(&stores).await;
    assert!(done <= total && total <= 200, "{done} done, {total} counted");
    admitted(&stores, 200, "k", at(0)).await;
    assert!(stores.ledger.settle(&settlement(record(200, "k"), at(1))).await.unwrap().is_first());
}
