//! What no list, no question and no housekeeping does to Redis: keep everybody else waiting.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use relay_domain::{LimitScope, Limits, NanoUsd, Timestamp};
use relay_store::Stores;
use relay_store::contract::history::{self, Shape};
use relay_store::contract::listing_load;
use relay_store::statistics::Fresh;
use relay_testkit::{Deadline, RedisServer};

use crate::{raw, store};

const KEYS: u64 = 1_000;
const ACCOUNTS: u32 = 50;
/// A midnight of the store's calendar, ten days into a month.
const END: Timestamp = Timestamp::from_millis(2_209_824_000_000);
const SHAPE: Shape = Shape {
    requests: 6_000,
    days: 36,
    keys: KEYS,
    accounts: 50,
    end: END,
    records: 1_000,
    settled: 100,
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

/// A store with keys, accounts and a history, and a look at its Redis.
async fn filled(server: &RedisServer) -> (Stores, MultiplexedConnection) {
    let (stores, raw) = (store(server).await.stores(), raw(server).await);
    listing_load::fill(&stores, KEYS, ACCOUNTS).await;
    let append = |fresh: Vec<Fresh>| {
        let mut raw = raw.clone();
        async move { append(&mut raw, &fresh).await }
    };
    history::make(&stores, SHAPE, append, |_| {}).await;
    (stores, raw)
}

/// Does something until no command of it takes ten milliseconds. The machine may be busy elsewhere, and then
/// anything takes long now and then; what takes long by itself does so every time.
async fn until_none_is_slow(raw: &mut MultiplexedConnection, mut round: impl AsyncFnMut()) {
    let patience = Deadline::after(Duration::from_mins(1));
    loop {
        let () = redis::cmd("SLOWLOG").arg("RESET").query_async(raw).await.unwrap();
        round().await;
        let slow: redis::Value =
            redis::cmd("SLOWLOG").arg("GET").arg(9).query_async(raw).await.unwrap();
        if matches!(&slow, redis::Value::Array(entries) if entries.is_empty()) {
            return;
        }
        assert!(!patience.has_passed(), "{slow:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_list_and_no_question_is_in_the_slow_log() {
    let server = RedisServer::tcp();
    let (stores, mut raw) = filled(&server).await;
    let round = async || {
        ask(&stores).await;
        stores.ledger.reap(END, 100).await.unwrap();
    };
    until_none_is_slow(&mut raw, round).await;
}
