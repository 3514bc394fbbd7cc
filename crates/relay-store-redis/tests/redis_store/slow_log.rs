//! What no list, no question and no settlement does to Redis: keep everybody else waiting.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use relay_domain::{LimitScope, Limits, NanoUsd, Timestamp};
use relay_store::Stores;
use relay_store::contract::history::{self, Shape};
use relay_store::contract::listing_load;
use relay_store::statistics::Fresh;
use relay_testkit::{Deadline, RedisServer};

use crate::{raw, store};

const KEYS: u64 = 2_000;
const ACCOUNTS: u32 = 50;
/// A midnight of the store's calendar, ten days into a month.
const END: Timestamp = Timestamp::from_millis(2_209_824_000_000);
const SHAPE: Shape = Shape {
    requests: 20_000,
    days: 40,
    keys: KEYS,
    accounts: 50,
    end: END,
    records: 1_000,
    settled: 200,
};

/// Appends what settlements have counted, as they do.
async fn append(raw: &mut MultiplexedConnection, fresh: &[Fresh]) {
    let mut pipeline = redis::Pipeline::with_capacity(fresh.len());
    for Fresh { hour, written } in fresh {
        let element = [&hour.number().to_le_bytes()[..], written].concat();
        pipeline.cmd("RPUSH").arg("relay:stats:fresh").arg(element).ignore();
    }
    let () = pipeline.query_async(raw).await.unwrap();
}

/// Asks for every list, every kind of question, and how every account stands.
async fn ask(stores: &Stores) {
    listing_load::time(stores, KEYS, 2).await;
    history::measure(stores, SHAPE, 1).await;
    let any = Limits { daily_cost: Some(NanoUsd::from_nanos(1)), ..Limits::default() };
    let accounts = stores.accounts.list().await.unwrap();
    let scopes = accounts.into_iter().map(|account| (LimitScope::Account(account.id), any));
    let scopes: Vec<_> = scopes.collect();
    assert_eq!(scopes.len(), 50);
    stores.ledger.standings(&scopes, END).await.unwrap();
}

/// The machine may be busy elsewhere, and then anything takes long now and then; what takes long by itself
/// does so every time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_slow_log_stays_empty() {
    let server = RedisServer::tcp();
    let store = store(&server).await;
    let stores = store.stores();
    let mut raw = raw(&server).await;
    listing_load::fill(&stores, KEYS, ACCOUNTS).await;
    let append = |fresh: Vec<Fresh>| {
        let mut raw = raw.clone();
        async move { append(&mut raw, &fresh).await }
    };
    history::make(&stores, SHAPE, append, |_| {}).await;
    let mut last = SHAPE.requests;
    let quiet = Deadline::after(Duration::from_mins(2));
    let check = async || {
        let () = redis::cmd("SLOWLOG").arg("RESET").query_async(&mut raw).await.unwrap();
        ask(&stores).await;
        history::settle(&stores, SHAPE, last..last + 200).await;
        last += 200;
        stores.ledger.reap(Timestamp::from_millis(END.as_millis() + last), 100).await.unwrap();
        let slow: u64 = redis::cmd("SLOWLOG").arg("LEN").query_async(&mut raw).await.unwrap();
        slow == 0
    };
    quiet.until("no command of a round takes ten milliseconds", check).await;
}
