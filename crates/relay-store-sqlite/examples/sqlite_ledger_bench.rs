//! What the ledger costs: processor time for each pair of admission and settlement.
//!
//! `taskset -c 0 cargo run --release -p relay-store-sqlite --example sqlite_ledger_bench [seconds] [keys]`
//!
//! Requests come from as many tasks as stated, each one after the other; a task goes on while its last
//! settlement is being written, as the engine does, except where it says that it waits. All of it is done
//! without limits, and with three on each key: requests in a window, cost in a day and in all. Linux only:
//! the time is read from `/proc`.

#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::error::Error;
use std::time::{Duration, Instant};

use relay_domain::{
    AccountId, AffinityKey, AttemptOutcome, AttemptRecord, Calendar, KeyId, LimitScope, Limits,
    ModelName, NanoUsd, Outcome, Platform, RateWindow, RequestId, RequestRecord, RequestTimes,
    ServedTerms, Timestamp, TokenCount, TokenUsage, UsageSource,
};
use relay_store::{
    AdmitRequest, Binding, Charge, Estimate, Rebind, Settlement, StoreError, Stores,
};
use relay_store_sqlite::{Access, SqliteOptions, SqliteStore};
use tokio::task::{JoinSet, LocalSet};

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

#[derive(Clone, Copy)]
struct Load {
    tasks: u32,
    waits: bool,
    keys: u32,
    limits: Limits,
    length: Duration,
}

/// Limits that nobody reaches here.
fn three_limits() -> Limits {
    let window = RateWindow {
        length: Duration::from_hours(1),
        requests: Some(u64::MAX),
        tokens: None,
        cost: None,
    };
    let plenty = Some(NanoUsd::from_nanos(i64::MAX));
    Limits { window: Some(window), daily_cost: plenty, total_cost: plenty, ..Limits::default() }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let length = Duration::from_secs(arguments.next().map_or(Ok(3), |text| text.parse())?);
    let keys = arguments.next().map_or(Ok(3), |text| text.parse())?;
    println!("limits  tasks  settles   pairs/s  CPU µs/pair  admit µs (median, p99)  idle RSS");
    let loads = [(1, true), (1, false), (16, true), (16, false), (64, true), (64, false)];
    let limited = [Limits::default(), three_limits()];
    for (limits, (tasks, waits)) in
        limited.into_iter().flat_map(|limits| loads.map(|load| (limits, load)))
    {
        let folder = tempfile::tempdir()?;
        let calendar = Calendar::with_offset_minutes(480).ok_or("no such calendar")?;
        let options = SqliteOptions {
            calendar,
            record_capacity: 100_000,
            record_lifetime: Duration::from_hours(24 * 30),
            access: Access::Serve,
        };
        let store = SqliteStore::open(&folder.path().join("relay.db"), options)?;
        let idle_kib = rss_kib()?;
        let load = Load { tasks, waits, keys, limits, length };
        let (before, began) = (cpu()?, Instant::now());
        let mut admissions = run(&store.stores(), load).await?;
        let (cpu, took) = (cpu()?.saturating_sub(before), began.elapsed());
        admissions.sort_unstable();
        let pairs = u32::try_from(admissions.len())?;
        let at = |percent: usize| admissions.get(admissions.len() * percent / 100);
        println!(
            "{:<6}  {tasks:>5}  {:<8} {:>8.0}  {:>11.1}  {:>9.1?} {:>12.1?}  {idle_kib} KiB",
            if limits.are_none() { "none" } else { "three" },
            if waits { "awaited" } else { "behind" },
            f64::from(pairs) / took.as_secs_f64(),
            cpu.as_secs_f64() * 1e6 / f64::from(pairs),
            at(50).copied().unwrap_or_default(),
            at(99).copied().unwrap_or_default(),
        );
    }
    Ok(())
}

/// Runs the load, and returns how long each admission took.
async fn run(stores: &Stores, load: Load) -> Result<Vec<Duration>, Box<dyn Error>> {
    let tasks = LocalSet::new();
    let mut running = JoinSet::new();
    for task in 0..load.tasks {
        running.spawn_local_on(drive(stores.clone(), task, load), &tasks);
    }
    let mut admissions = Vec::new();
    tasks
        .run_until(async {
            while let Some(driven) = running.join_next().await {
                admissions.extend(driven?.map_err(|error| error.to_string())?);
            }
            Ok::<(), Box<dyn Error>>(())
        })
        .await?;
    Ok(admissions)
}

async fn drive(
    stores: Stores,
    task: u32,
    load: Load,
) -> Result<Vec<Duration>, Box<dyn Error + Send + Sync>> {
    let began = Instant::now();
    let mut admissions = Vec::new();
    let mut settling: JoinSet<Result<bool, StoreError>> = JoinSet::new();
    let mut number = 0_u32;
    while began.elapsed() < load.length {
        number += 1;
        let passed = u64::try_from(began.elapsed().as_millis())?;
        let now = Timestamp::from_millis(START.as_millis() + passed);
        let asked = request(task, number, load, now)?;
        let asked_at = Instant::now();
        let admission = stores.ledger.admit(&asked).await?;
        admissions.push(asked_at.elapsed());
        let Ok(grant) = admission.decision else { return Err("a limit is reached".into()) };
        tokio::task::yield_now().await;
        let settlement = settlement(&asked, grant.binding.as_ref())?;
        if load.waits {
            stores.ledger.settle(&settlement).await?;
        } else {
            let ledger = stores.ledger.clone();
            settling.spawn(async move { Ok(ledger.settle(&settlement).await?.is_first()) });
            while let Some(settled) = settling.try_join_next() {
                settled??;
            }
            if 1_000 <= settling.len() {
                settling.join_next().await;
            }
        }
    }
    while let Some(settled) = settling.join_next().await {
        settled??;
    }
    Ok(admissions)
}

fn request(
    task: u32,
    number: u32,
    load: Load,
    now: Timestamp,
) -> Result<AdmitRequest, Box<dyn Error + Send + Sync>> {
    let key = format!("0f8fad5b-d9cb-469f-a165-{:012x}", number % load.keys);
    Ok(AdmitRequest {
        request: RequestId::new(now, u128::from(task) << 32 | u128::from(number)),
        key: KeyId::try_from(key)?,
        limits: load.limits,
        platform: Platform::ClaudeConsole,
        model: ModelName::try_from("claude-sonnet-4-5")?,
        may_be_claude: true,
        stream: true,
        group: None,
        estimate: Estimate {
            tokens: 1_000,
            cost: NanoUsd::from_nanos(1_000_000),
            charged: NanoUsd::from_nanos(1_000_000),
        },
        affinity: Some(AffinityKey::try_from(format!("{:064x}", number % 200))?),
        now,
        lease_until: Timestamp::from_millis(now.as_millis() + 60_000),
    })
}

fn settlement(
    asked: &AdmitRequest,
    binding: Option<&Binding>,
) -> Result<Settlement, Box<dyn Error + Send + Sync>> {
    let account = AccountId::try_from("7c9e6679-7425-40de-944b-e07fc1f90ae7")?;
    let until = Timestamp::from_millis(asked.now.as_millis() + 15 * 24 * 3_600_000);
    let affinity = asked.affinity.clone().filter(|_| binding.is_none());
    let bind = affinity
        .map(|affinity| Rebind { affinity, binding: Binding { account: account.clone(), until } });
    let attempt = AttemptRecord {
        account: account.clone(),
        outcome: AttemptOutcome::Answered,
        status: Some(200),
        started_us: 120,
        took_us: 2_345_678,
    };
    let count = TokenCount::new;
    let record = RequestRecord {
        id: asked.request,
        key: asked.key.clone(),
        group: None,
        platform: asked.platform,
        model: asked.model.clone(),
        served_model: Some(ModelName::try_from("claude-sonnet-4-5-20250929")?),
        account: Some(account),
        stream: true,
        outcome: Outcome::Completed,
        status: 200,
        started_at: asked.now,
        times: RequestTimes {
            admitted_us: Some(80),
            sent_us: Some(120),
            head_us: Some(700_123),
            first_content_us: Some(700_456),
            end_us: Some(2_345_678),
            longest_stall_us: 45_678,
            added_us: Some(210),
            ..RequestTimes::default()
        },
        usage: TokenUsage {
            input: count(1_234),
            output: count(567),
            cache_read: count(89_012),
            cache_write_5m: count(3_456),
            cache_write_1h: count(0),
        },
        usage_source: UsageSource::Final,
        terms: ServedTerms::default(),
        settled_at: None,
        cost: Some(NanoUsd::from_nanos(52_890_100)),
        cost_by_kind: None,
        presumed_cost: None,
        charged: Some(NanoUsd::from_nanos(5_000_000)),
        attempts: vec![attempt],
        edits: Vec::new(),
        decision: Vec::new(),
    };
    let budgets = if asked.limits.has_budget() {
        vec![(LimitScope::Key(asked.key.clone()), asked.limits)]
    } else {
        Vec::new()
    };
    Ok(Settlement { record, charge: Charge::Count, bind, budgets, now: asked.now })
}

/// The processor time of the process so far, in ticks of ten milliseconds.
fn cpu() -> Result<Duration, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no name in stat")?;
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).flat_map(str::parse::<u64>).sum();
    Ok(Duration::from_millis(ticks * 10))
}

fn rss_kib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
