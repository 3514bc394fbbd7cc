//! What no list, no question, no housekeeping and no settlement does to Redis: keep everybody else waiting.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use relay_domain::{LimitScope, Limits, NanoUsd, RequestId, RequestRecord, Timestamp};
use relay_store::contract::fixture::{
    account_id, admit_request, at, group_id, key_id, model, record, settlement,
};
use relay_store::contract::history::{self, Shape};
use relay_store::contract::listing_load;
use relay_store::statistics::Fresh;
use relay_store::{AdmitRequest, Settlement, Stores};
use relay_testkit::{Deadline, RedisServer};
use tokio::task::JoinSet;

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

/// How many requests end at once.
const BURST: u32 = 80;

/// Whose requests end at once.
#[derive(Clone, Copy, Debug)]
enum Mix {
    /// All of one key, for one model, by one account.
    Alike,
    /// Each of another key.
    Keys,
    /// Of one key, each for another model by another account.
    Models,
    /// Each of another key and another group, for another model by another account.
    Different,
}

impl Mix {
    const ALL: [Self; 4] = [Self::Alike, Self::Keys, Self::Models, Self::Different];

    /// The `number`th request of a round, with budgets of its key and its group, and how it ends.
    fn request(self, number: u32, round: u64) -> (AdmitRequest, Settlement) {
        let of = |stem: &str, differs: bool| format!("{stem}-{}", if differs { number } else { 0 });
        let (keys, models) = match self {
            Self::Alike => (false, false),
            Self::Keys => (true, false),
            Self::Models => (false, true),
            Self::Different => (true, true),
        };
        let budget = Some(NanoUsd::from_nanos(i64::MAX));
        let limits = Limits { daily_cost: budget, weekly_cost: budget, ..Limits::default() };
        let group = group_id(&of("group", keys && models));
        let now = at(round);
        let id = RequestId::new(now, u128::from(number));
        let key = of("key", keys);
        let request = AdmitRequest {
            request: id,
            limits,
            group: Some((group.clone(), limits)),
            ..admit_request(0, &key, now)
        };
        let record = RequestRecord {
            id,
            group: Some(group.clone()),
            served_model: Some(model(&of("model", models))),
            account: Some(account_id(&of("account", models))),
            ..record(0, &key)
        };
        let scopes = [LimitScope::Key(key_id(&key)), LimitScope::Group(group)];
        let budgets = scopes.into_iter().map(|scope| (scope, limits)).collect();
        (request, Settlement { budgets, ..settlement(record, now) })
    }
}

/// Lets the requests of a round in. Returns how they end.
async fn let_in(stores: &Stores, mix: Mix, round: u64) -> Vec<Settlement> {
    let mut ends = Vec::new();
    for number in 0..BURST {
        let (request, end) = mix.request(number, round);
        assert!(stores.ledger.admit(&request).await.unwrap().decision.is_ok());
        ends.push(end);
    }
    ends
}

/// Ends requests all at once.
async fn end(stores: &Stores, ends: Vec<Settlement>) {
    let mut settling = JoinSet::new();
    for end in ends {
        let ledger = stores.ledger.clone();
        settling.spawn(async move { ledger.settle(&end).await.unwrap().is_first() });
    }
    assert!(settling.join_all().await.into_iter().all(|is_first| is_first));
}

/// How often each command was called, those of scripts included.
async fn calls(raw: &mut MultiplexedConnection) -> Vec<(String, u64)> {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(raw).await.unwrap();
    let of_command = |line: &str| {
        let (name, told) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let (calls, _) = told.split_once(',')?;
        Some((name.to_owned(), calls.parse().ok()?))
    };
    info.lines().filter_map(of_command).collect()
}

/// Time tells little on a machine that others use too: what a script has to do can be counted.
#[tokio::test]
async fn a_script_that_settles_has_a_bound_and_takes_along_what_is_alike() {
    let server = RedisServer::tcp();
    let (stores, mut raw) = (store(&server).await.stores(), raw(&server).await);
    for mix in Mix::ALL {
        // What is the first of its period has more to do.
        let ends = let_in(&stores, mix, 0).await;
        end(&stores, ends).await;
        let ends = let_in(&stores, mix, 1).await;
        let () = redis::cmd("CONFIG").arg("RESETSTAT").query_async(&mut raw).await.unwrap();
        end(&stores, ends).await;
        let calls = calls(&mut raw).await;
        let scripts = calls.iter().find(|(name, _)| name == "evalsha").unwrap().1;
        let commands: u64 = calls.iter().map(|(_, calls)| calls).sum();
        assert!(commands / scripts < 1_500, "{mix:?}: {commands} commands in {scripts} scripts");
        if matches!(mix, Mix::Alike) {
            assert!(scripts <= 4, "{scripts} scripts");
        }
    }
}
