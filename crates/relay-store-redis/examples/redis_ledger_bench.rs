//! What a request's two trips to the ledger cost: the process that makes them, and Redis, in CPU time.
//!
//! `cargo run --release -p relay-store-redis --example redis_ledger_bench [URL [CONCURRENCY [REQUESTS]]]`; without a
//! URL it starts a Redis of its own, and with one it fills that database with test usage. Pin both sides to get steady
//! figures: `taskset -c 1 redis-server --port 7777 &`, then `taskset -c 0` and `redis://127.0.0.1:7777`.

#![expect(clippy::print_stdout, reason = "printing figures is all that it does")]
#![expect(clippy::unwrap_used, reason = "a failing benchmark has nothing to say")]

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use relay_domain::{
    AccountId, AffinityKey, AttemptOutcome, AttemptRecord, Calendar, KeyId, LimitScope, Limits,
    ModelName, NanoUsd, Outcome, Platform, RequestId, RequestRecord, RequestTimes, ServedTerms,
    Timestamp, TokenCount, TokenUsage, UsageSource,
};
use relay_store::{AdmitRequest, Charge, Estimate, Settlement, Stores};
use relay_store_redis::{RedisAddress, RedisOptions, RedisStore};
use relay_testkit::{NOW, RedisServer};

const ROUNDS: u32 = 40_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let concurrency = std::env::args().nth(2).map(|given| given.parse().unwrap());
    let rounds = std::env::args().nth(3).map_or(ROUNDS, |given| given.parse().unwrap());
    let (_server, url) = if let Some(url) = std::env::args().nth(1) {
        (None, url)
    } else {
        let server = RedisServer::tcp();
        let url = server.url().to_owned();
        (Some(server), url)
    };
    let client = redis::Client::open(url.as_str()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let options = RedisOptions {
        address: RedisAddress::Url(url.into()),
        calendar: Calendar::UTC,
        record_capacity: 10_000,
        record_lifetime: Duration::from_hours(24 * 30),
        billing_events: true,
        prefix: "relay:".to_owned(),
    };
    let stores = RedisStore::connect(&options).await.unwrap().stores();
    println!(
        "{:<22} {:>11} {:>12} {:>14} {:>12}",
        "requests", "concurrency", "CPU µs each", "Redis µs each", "wall µs each"
    );
    let slots = Limits { concurrency: Some(1_000), ..Limits::default() };
    let much = Some(NanoUsd::from_nanos(i64::MAX));
    let budgets = Limits { daily_cost: much, weekly_cost: much, total_cost: much, ..slots };
    for (name, load) in [
        ("without limits", Load { limits: Limits::default(), keys: 1 }),
        ("with a limit of 1000", Load { limits: slots, keys: 1 }),
        ("with budgets", Load { limits: budgets, keys: 1 }),
        ("with budgets, 64 keys", Load { limits: budgets, keys: 64 }),
    ] {
        for concurrency in concurrency.map_or_else(|| vec![1, 16, 64], |given| vec![given]) {
            run(&stores, load, concurrency, rounds / 10).await;
            let of_redis = redis_time(&mut redis).await;
            let (began, used) = (Instant::now(), cpu_time());
            run(&stores, load, concurrency, rounds).await;
            let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(rounds);
            let (cpu, wall) = (each(cpu_time().saturating_sub(used)), each(began.elapsed()));
            let of_redis = each(redis_time(&mut redis).await.saturating_sub(of_redis));
            println!("{name:<22} {concurrency:>11} {cpu:>12.1} {of_redis:>14.1} {wall:>12.1}");
        }
    }
}

/// Whose requests they are.
#[derive(Clone, Copy)]
struct Load {
    limits: Limits,
    keys: u32,
}

/// Admits and settles `rounds` requests, `concurrency` at once.
async fn run(stores: &Stores, load: Load, concurrency: u32, rounds: u32) {
    let workers = tokio::task::LocalSet::new();
    for worker in 0..concurrency {
        let ledger = stores.ledger.clone();
        workers.spawn_local(async move {
            for round in 0..rounds / concurrency {
                let request = request(worker, round, load);
                assert!(ledger.admit(&request).await.unwrap().decision.is_ok());
                assert!(ledger.settle(&end_of(request)).await.unwrap().is_first());
            }
        });
    }
    workers.await;
}

fn request(worker: u32, round: u32, load: Load) -> AdmitRequest {
    let now = NOW.plus(Duration::from_millis(u64::from(round)));
    AdmitRequest {
        request: RequestId::new(now, u128::from(worker)),
        key: KeyId::try_from(format!("0f8fad5b-d9cb-469f-a165-{:012}", worker % load.keys))
            .unwrap(),
        limits: load.limits,
        platform: Platform::ClaudeConsole,
        model: ModelName::try_from("claude-sonnet-4-5").unwrap(),
        may_be_claude: true,
        stream: true,
        group: None,
        estimate: Estimate {
            tokens: 1_000,
            cost: NanoUsd::from_nanos(5_000_000),
            charged: NanoUsd::from_nanos(5_000_000),
        },
        affinity: AffinityKey::try_from("9b96a1fe1d548cbbc960cc6a0286668f").ok(),
        now,
        lease_until: now.plus(Duration::from_mins(5)),
    }
}

fn end_of(request: AdmitRequest) -> Settlement {
    let scope = LimitScope::Key(request.key.clone());
    let has_budget = request.limits.has_budget();
    let budgets = has_budget.then_some((scope, request.limits)).into_iter().collect();
    let account = AccountId::try_from("9587c04b-d968-4df8-81a7-48f8307b10d1").unwrap();
    let attempt = AttemptRecord {
        account: account.clone(),
        outcome: AttemptOutcome::Answered,
        status: Some(200),
        started_us: 120,
        took_us: 1_500_000,
    };
    let record = RequestRecord {
        id: request.request,
        key: request.key,
        group: None,
        platform: request.platform,
        model: request.model,
        served_model: ModelName::try_from("claude-sonnet-4-5-20250929").ok(),
        account: Some(account),
        stream: true,
        outcome: Outcome::Completed,
        status: 200,
        started_at: request.now,
        times: RequestTimes {
            admitted_us: Some(100),
            end_us: Some(1_500_120),
            ..RequestTimes::default()
        },
        usage: TokenUsage {
            input: TokenCount::new(12),
            output: TokenCount::new(345),
            cache_read: TokenCount::new(50_000),
            cache_write_5m: TokenCount::new(1_200),
            cache_write_1h: TokenCount::ZERO,
        },
        usage_source: UsageSource::Final,
        terms: ServedTerms::default(),
        settled_at: None,
        cost: Some(NanoUsd::from_nanos(24_711_000)),
        cost_by_kind: None,
        presumed_cost: None,
        charged: Some(NanoUsd::from_nanos(24_711_000)),
        attempts: vec![attempt],
        edits: Vec::new(),
        decision: Vec::new(),
    };
    Settlement {
        record,
        charge: Charge::Count,
        budgets,
        bind: None,
        now: Timestamp::from_millis(request.now.as_millis()),
    }
}

/// The CPU time of this thread, which is all that the benchmark uses.
fn cpu_time() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(told.split(' ').next().unwrap().parse().unwrap())
}

/// The CPU time of Redis.
async fn redis_time(redis: &mut MultiplexedConnection) -> Duration {
    let info: String = redis::cmd("INFO").arg("cpu").query_async(redis).await.unwrap();
    let fields = info.lines().filter_map(|line| line.split_once(':'));
    let used = fields.filter(|(name, _)| ["used_cpu_sys", "used_cpu_user"].contains(name));
    used.map(|(_, seconds)| Duration::from_secs_f64(seconds.parse().unwrap())).sum()
}
