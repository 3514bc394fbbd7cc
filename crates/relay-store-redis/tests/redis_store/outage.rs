//! Redis stops answering, comes back, forgets its scripts, or vanishes without a word.

use std::time::Duration;

use redis::AsyncCommands as _;
use relay_domain::{LimitScope, Limits, NanoUsd, Period};
use relay_store::contract::fixture::{
    admit_request, admitted, at, key, key_id, record, settlement,
};
use relay_store::{AdmitRequest, StoreError, Stores, UsageScope};
use relay_store_redis::{RedisAddress, RedisOptions, RedisStore};
use relay_testkit::{Listen, Persistence, RedisServer, eventually};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Longer than any single call may take, however busy the machine.
const BOUND: Duration = Duration::from_secs(5);

fn limited(number: u8) -> AdmitRequest {
    let limits = Limits { concurrency: Some(100), ..Limits::default() };
    AdmitRequest { limits, ..admit_request(number, "k", at(0)) }
}

async fn total(stores: &Stores) -> u64 {
    let scope = UsageScope::Key(key_id("k"));
    stores.usage.totals(&scope, Period::Total).await.unwrap().requests
}

/// Asks until there is an answer: on a busy machine one may take longer than a caller is made to wait. For
/// what may be asked more than once.
async fn in_the_end<T>(ask: impl AsyncFn() -> Result<T, StoreError>) -> T {
    let asking = async {
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(StoreError::Unavailable(_)) => tokio::task::yield_now().await,
                Err(error) => panic!("it fails for good: {error}"),
            }
        }
    };
    tokio::time::timeout(4 * BOUND, asking).await.expect("an answer in the end")
}

async fn is_unavailable<T>(call: impl Future<Output = Result<T, StoreError>>) -> bool {
    let result = tokio::time::timeout(BOUND, call).await.expect("every wait has a bound");
    matches!(result, Err(StoreError::Unavailable(_)))
}

#[tokio::test]
async fn a_frozen_redis_is_unavailable_and_a_thawed_one_is_not() {
    let mut server = RedisServer::private(Listen::UnixSocket, Persistence::None);
    let stores = crate::store(&server).await.stores();
    admitted(&stores, 0, "k", at(0)).await;
    admitted(&stores, 1, "k", at(0)).await;
    server.freeze();
    for _ in 0..2 {
        assert!(is_unavailable(stores.ledger.admit(&admit_request(2, "k", at(0)))).await);
        assert!(is_unavailable(stores.ledger.version()).await);
        assert!(is_unavailable(stores.keys.list()).await);
    }
    let ends = [0, 1].map(|number| settlement(record(number, "k"), at(1)));
    let (first, second) = tokio::join!(
        is_unavailable(stores.ledger.settle(&ends[0])),
        is_unavailable(stores.ledger.settle(&ends[1])),
    );
    assert!(first && second, "all of a batch learn it");
    server.thaw();
    eventually("the store recovers", async || stores.ledger.version().await.is_ok()).await;
    eventually("the pool recovers", async || stores.keys.list().await.is_ok()).await;
    for end in &ends {
        // Whether it was done in the thaw or is done now: it is done once.
        stores.ledger.settle(end).await.unwrap().is_first();
    }
    assert_eq!(total(&stores).await, 2);
    let charged: String = crate::raw(&server).await.get("usage:cost:total:k").await.unwrap();
    assert_eq!(charged, "0.025200002", "every counter of it or none");
}

/// Killed and restarted in the middle of settlements that are tried until they are done: each has counted in
/// every place, or in none and is done later.
#[tokio::test]
async fn a_redis_that_is_killed_counts_each_request_in_every_place_once() {
    const REQUESTS: u8 = 120;
    let mut server = RedisServer::private(Listen::UnixSocket, Persistence::AppendOnly);
    let stores = crate::store(&server).await.stores();
    let limits = Limits { total_cost: Some(NanoUsd::from_nanos(i64::MAX)), ..Limits::default() };
    for number in 0..REQUESTS {
        let asked = AdmitRequest { limits, ..admit_request(number, "k", at(0)) };
        // One that asks again is one request.
        let admission = in_the_end(async || stores.ledger.admit(&asked).await).await;
        assert!(admission.decision.is_ok());
    }
    let mut settling = JoinSet::new();
    for number in 0..REQUESTS {
        let ledger = stores.ledger.clone();
        settling.spawn(async move {
            let end = settlement(record(number, "k"), at(1));
            let until_done = async {
                while ledger.settle(&end).await.is_err() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(4 * BOUND, until_done).await.expect("it is settled");
        });
        if number % 40 == 20 {
            tokio::task::yield_now().await;
            server.restart();
        }
    }
    settling.join_all().await;
    let mut raw = crate::raw(&server).await;
    let key = UsageScope::Key(key_id("k"));
    let totals = in_the_end(async || stores.usage.totals(&key, Period::Total).await).await;
    assert_eq!(totals.requests, u64::from(REQUESTS));
    let records = in_the_end(async || stores.usage.recent(1_000).await).await;
    assert_eq!(records.len(), usize::from(REQUESTS));
    assert_eq!(raw.llen::<_, u8>("usage:records:k").await.unwrap(), REQUESTS);
    assert_eq!(raw.xlen::<_, u8>("billing:events").await.unwrap(), REQUESTS);
    let global: u8 = raw.hget("usage:global:total", "requests").await.unwrap();
    assert_eq!(global, REQUESTS);
    let scope = LimitScope::Key(key_id("k"));
    let standing = in_the_end(async || stores.ledger.standing(&scope, &limits, at(2)).await).await;
    let charged = u64::from(REQUESTS) * 12_600_001;
    assert_eq!(standing.iter().map(|s| (s.used, s.held)).collect::<Vec<_>>(), [(charged, 0)]);
}

/// A way to Redis whose connections can be cut without either side being told.
struct Line {
    url: String,
    cut: watch::Sender<usize>,
    opened: watch::Receiver<usize>,
    _carrying: JoinSet<()>,
}

impl Line {
    async fn to(server: &RedisServer) -> Self {
        let target = server.url().trim_start_matches("redis://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("redis://{}/", listener.local_addr().unwrap());
        let (cut, cuts) = watch::channel(0);
        let (count, opened) = watch::channel(0);
        let mut carrying = JoinSet::new();
        carrying.spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut redis = TcpStream::connect(&target).await.unwrap();
                let mut cuts = cuts.clone();
                count.send_replace(number + 1);
                connections.spawn(async move {
                    let is_cut = async { cuts.wait_for(|cut| number < *cut).await.is_ok() };
                    let fell_silent = tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut redis) => false,
                        is_cut = is_cut => is_cut,
                    };
                    if fell_silent {
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        Self { url, cut, opened, _carrying: carrying }
    }

    /// Lets all connections that are open now fall silent.
    fn cut(&self) {
        self.cut.send_replace(*self.opened.borrow());
    }
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_replaced() {
    let server = RedisServer::tcp();
    let line = Line::to(&server).await;
    let options = RedisOptions {
        address: RedisAddress::Url(line.url.clone().into()),
        ..crate::options(&server)
    };
    let stores = RedisStore::connect(&options).await.unwrap().stores();
    line.cut();
    assert!(is_unavailable(stores.ledger.version()).await);
    eventually("a new connection", async || stores.ledger.version().await.is_ok()).await;
    admitted(&stores, 0, "k", at(0)).await;
    line.cut();
    let end = settlement(record(0, "k"), at(1));
    assert!(is_unavailable(stores.ledger.settle(&end)).await);
    assert!(
        stores.ledger.settle(&end).await.unwrap().is_first(),
        "it was not done, and is done now"
    );
}

#[tokio::test]
async fn a_restart_of_redis_is_not_noticed() {
    let mut server = RedisServer::private(Listen::UnixSocket, Persistence::AppendOnly);
    let stores = crate::store(&server).await.stores();
    stores.keys.create(&key("k", 1)).await.unwrap();
    admitted(&stores, 0, "k", at(0)).await;
    server.restart();
    assert!(stores.ledger.admit(&limited(1)).await.unwrap().decision.is_ok());
    server.restart();
    for number in 0..2 {
        assert!(
            stores.ledger.settle(&settlement(record(number, "k"), at(1))).await.unwrap().is_first()
        );
    }
    server.restart();
    assert_eq!(stores.keys.list().await.unwrap().len(), 1);
    assert_eq!(total(&stores).await, 2);
}

#[tokio::test]
async fn forgotten_scripts_are_taught_again() {
    let server = RedisServer::start();
    let stores = crate::store(&server).await.stores();
    let mut raw = crate::raw(&server).await;
    let mut forget = async || {
        let () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut raw).await.unwrap();
    };
    forget().await;
    assert!(stores.ledger.admit(&limited(0)).await.unwrap().decision.is_ok());
    forget().await;
    assert!(stores.ledger.settle(&settlement(record(0, "k"), at(1))).await.unwrap().is_first());
    forget().await;
    stores.keys.create(&key("k", 1)).await.unwrap();
    assert_eq!(total(&stores).await, 1);
}

#[tokio::test]
async fn a_store_opens_before_redis_is_there() {
    let server = RedisServer::private(Listen::UnixSocket, Persistence::None);
    let options = crate::options(&server);
    drop(server);
    assert!(is_unavailable(RedisStore::connect(&options)).await);
    let stores = RedisStore::open(&options).unwrap().stores();
    assert!(is_unavailable(stores.ledger.version()).await);
    assert!(is_unavailable(stores.accounts.list()).await);
}

#[tokio::test]
async fn handles_are_one_store() {
    let server = RedisServer::start();
    let store = crate::store(&server).await;
    let (one, other) = (store.handle().stores(), store.handle().stores());
    admitted(&one, 0, "k", at(0)).await;
    assert!(other.ledger.settle(&settlement(record(0, "k"), at(1))).await.unwrap().is_first());
    assert!(!one.ledger.settle(&settlement(record(0, "k"), at(1))).await.unwrap().is_first());
    assert_eq!(total(&one).await, 1);
}

#[tokio::test]
async fn a_foreign_value_under_a_counters_name_costs_that_counter_alone() {
    let server = RedisServer::start();
    let stores = crate::store(&server).await.stores();
    let mut raw = crate::raw(&server).await;
    raw.set::<_, _, ()>("usage:daily:k:2040-01-01", "not a hash").await.unwrap();
    admitted(&stores, 0, "k", at(0)).await;
    assert!(stores.ledger.settle(&settlement(record(0, "k"), at(0))).await.unwrap().is_first());
    assert!(!stores.ledger.settle(&settlement(record(0, "k"), at(0))).await.unwrap().is_first());
    assert_eq!(total(&stores).await, 1);
    let hour = Period::Hour { year: 2040, month: 1, day: 1, hour: 0 };
    let scope = UsageScope::Key(key_id("k"));
    assert_eq!(stores.usage.totals(&scope, hour).await.unwrap().requests, 1);
}

async fn command(raw: &mut redis::aio::MultiplexedConnection, words: &[&str]) {
    let (name, arguments) = words.split_first().unwrap();
    let () = redis::cmd(name).arg(arguments).query_async(raw).await.unwrap();
}

#[tokio::test]
async fn a_redis_that_takes_no_writes_settles_nothing_and_loses_nothing() {
    let server = RedisServer::private(Listen::UnixSocket, Persistence::None);
    let stores = crate::store(&server).await.stores();
    let mut raw = crate::raw(&server).await;
    let cases: [(&[&str], &[&str]); 2] = [
        (
            &["CONFIG", "SET", "min-replicas-to-write", "1"],
            &["CONFIG", "SET", "min-replicas-to-write", "0"],
        ),
        (&["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"]),
    ];
    for (round, (refuse, accept)) in (0..).zip(cases) {
        for number in [3 * round, 3 * round + 1] {
            assert!(stores.ledger.admit(&limited(number)).await.unwrap().decision.is_ok());
        }
        let end = settlement(record(3 * round, "k"), at(1));
        command(&mut raw, refuse).await;
        assert!(is_unavailable(stores.ledger.settle(&end)).await, "{refuse:?}");
        assert!(is_unavailable(stores.ledger.reap(at(3_600_000), 9)).await, "{refuse:?}");
        assert!(is_unavailable(stores.ledger.admit(&limited(3 * round + 2))).await, "{refuse:?}");
        assert!(is_unavailable(stores.keys.create(&key("new", 9))).await, "{refuse:?}");
        command(&mut raw, accept).await;
        assert!(stores.ledger.settle(&end).await.unwrap().is_first(), "{refuse:?}");
        assert_eq!(stores.ledger.reap(at(3_600_000), 9).await.unwrap().len(), 1, "{refuse:?}");
        assert_eq!(total(&stores).await, u64::from(round) + 1, "the orphan had used nothing");
    }
}

#[tokio::test]
async fn a_redis_that_is_not_the_one_is_left() {
    let server = RedisServer::tcp();
    let line = Line::to(&server).await;
    let options = RedisOptions {
        address: RedisAddress::Url(line.url.clone().into()),
        ..crate::options(&server)
    };
    let stores = RedisStore::connect(&options).await.unwrap().stores();
    let mut raw = crate::raw(&server).await;
    admitted(&stores, 0, "k", at(0)).await;
    command(&mut raw, &["REPLICAOF", "127.0.0.1", "1"]).await;
    let end = settlement(record(0, "k"), at(1));
    assert!(is_unavailable(stores.ledger.settle(&end)).await);
    assert!(is_unavailable(stores.keys.create(&key("new", 9))).await);
    command(&mut raw, &["REPLICAOF", "NO", "ONE"]).await;
    let before = *line.opened.borrow();
    assert!(stores.ledger.settle(&end).await.unwrap().is_first());
    stores.keys.create(&key("new", 9)).await.unwrap();
    assert_eq!(*line.opened.borrow(), before + 2, "each on a new connection");
}

#[tokio::test]
async fn a_full_redis_lets_nobody_in_and_settles_all_the_same() {
    let server = RedisServer::private(Listen::UnixSocket, Persistence::None);
    let stores = crate::store(&server).await.stores();
    let mut raw = crate::raw(&server).await;
    admitted(&stores, 0, "k", at(0)).await;
    command(&mut raw, &["CONFIG", "SET", "maxmemory", "1"]).await;
    assert!(is_unavailable(stores.ledger.admit(&admit_request(1, "k", at(0)))).await);
    assert!(is_unavailable(stores.keys.create(&key("new", 9))).await);
    assert!(stores.ledger.settle(&settlement(record(0, "k"), at(1))).await.unwrap().is_first());
    assert_eq!(total(&stores).await, 1, "it makes room first, and then is not stopped");
}
