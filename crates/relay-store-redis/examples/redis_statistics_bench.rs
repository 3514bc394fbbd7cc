//! What statistics take: how long a question takes on a long history, and how much memory Redis has for it.
//!
//! `cargo run --release -p relay-store-redis --example redis_statistics_bench [requests] [rounds]`

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its result")]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use relay_domain::Timestamp;
use relay_store::contract::fixture::calendar;
use relay_store::contract::history::{self, Shape};
use relay_store::statistics::Fresh;
use relay_store_redis::{RedisAddress, RedisOptions, RedisStore};
use relay_testkit::RedisServer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let requests = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let rounds = arguments.next().map_or(Ok(40), |text| text.parse())?;
    // Ten days into a month.
    let end = Timestamp::from_millis(2_209_824_000_000);
    let (records, settled) = (100_000, 2_000);
    let shape = Shape { requests, days: 90, keys: 10_000, accounts: 200, end, records, settled };
    let server = RedisServer::tcp();
    let options = RedisOptions {
        address: RedisAddress::Url(server.url().to_owned().into()),
        calendar: calendar(),
        record_capacity: 100_000,
        record_lifetime: Duration::from_hours(24 * 30),
        billing_events: true,
        prefix: "relay:".to_owned(),
    };
    let store = RedisStore::connect(&options).await?;
    let client = redis::Client::open(server.url())?;
    let mut raw = client.get_multiplexed_async_connection().await?;
    let began = Instant::now();
    let told = |day| {
        if day % 10 == 0 {
            eprintln!("{day} days after {:.0?}", began.elapsed());
        }
    };
    let append = |fresh: Vec<Fresh>| {
        let mut raw = raw.clone();
        async move {
            if let Err(why) = append(&mut raw, &fresh).await {
                eprintln!("not appended: {why}");
            }
        }
    };
    history::make(&store.stores(), shape, append, told).await;
    let slow_before = slow_commands(&mut raw).await?;
    println!("{:<32} {:>7} {:>11} {:>11} {:>11}", "question", "rows", "least", "median", "p95");
    for measured in history::measure(&store.stores(), shape, rounds).await {
        let history::Measured { name, rows, least, median, p95 } = measured;
        println!("{name:<32} {rows:>7} {least:>11.1?} {median:>11.1?} {p95:>11.1?}");
    }
    let slow = slow_commands(&mut raw).await?;
    println!("commands over 10 ms: {slow_before} while it was made, {slow} in all");
    for (name, count) in slowest(&mut raw).await? {
        println!("  of the last, {count} were {name}");
    }
    let info: String = redis::cmd("INFO").arg("memory").query_async(&mut raw).await?;
    let used = info.lines().find(|line| line.starts_with("used_memory:")).unwrap_or("");
    println!("{used} bytes in all");
    for (kind, (names, bytes)) in sizes(&mut raw).await? {
        println!("{kind}: {names} names, {bytes} bytes");
    }
    Ok(())
}

/// Appends what settlements have counted, as they do.
async fn append(raw: &mut MultiplexedConnection, fresh: &[Fresh]) -> redis::RedisResult<()> {
    let mut pipeline = redis::Pipeline::with_capacity(fresh.len());
    for Fresh { hour, written } in fresh {
        let element = [&hour.number().to_le_bytes()[..], written].concat();
        pipeline.cmd("RPUSH").arg("relay:stats:fresh").arg(element).ignore();
    }
    pipeline.query_async(raw).await
}

async fn slow_commands(raw: &mut MultiplexedConnection) -> Result<u64, Box<dyn Error>> {
    Ok(redis::cmd("SLOWLOG").arg("LEN").query_async(raw).await?)
}

/// The last slow commands, counted by what they do to which name.
async fn slowest(raw: &mut MultiplexedConnection) -> Result<BTreeMap<String, u64>, Box<dyn Error>> {
    type Entry = (u64, u64, u64, Vec<String>, String, String);
    let entries: Vec<Entry> = redis::cmd("SLOWLOG").arg("GET").arg(128).query_async(raw).await?;
    let mut counts = BTreeMap::new();
    for (.., words, _, _) in entries {
        let is_script = words.first().is_some_and(|word| word == "EVALSHA");
        let name = words.get(if is_script { 3 } else { 1 });
        let name = format!("{} {}", words[0], name.map_or("", String::as_str));
        *counts.entry(name).or_default() += 1;
    }
    Ok(counts)
}

/// By table: how many names, and how much memory they take.
async fn sizes(
    raw: &mut MultiplexedConnection,
) -> Result<BTreeMap<String, (u64, u64)>, Box<dyn Error>> {
    let (mut cursor, mut sizes) = (0_u64, BTreeMap::new());
    loop {
        let (next, names): (u64, Vec<String>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg("relay:stats:*")
            .arg("COUNT")
            .arg(1_000)
            .query_async(raw)
            .await?;
        for name in names {
            let bytes: u64 = redis::cmd("MEMORY")
                .arg("USAGE")
                .arg(&name)
                .arg("SAMPLES")
                .arg(0)
                .query_async(raw)
                .await?;
            let kind = name.split(':').nth(2).unwrap_or("").to_owned();
            let sum: &mut (u64, u64) = sizes.entry(kind).or_default();
            *sum = (sum.0 + 1, sum.1 + bytes);
        }
        if next == 0 {
            return Ok(sizes);
        }
        cursor = next;
    }
}
