//! What statistics take: how long a question takes on a long history, and how large the file is.
//!
//! `cargo run --release -p relay-store-sqlite --example sqlite_statistics_bench [requests] [rounds]`

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its result")]

use std::error::Error;
use std::time::{Duration, Instant};

use relay_domain::Timestamp;
use relay_store::contract::fixture::calendar;
use relay_store::contract::history::{self, Shape};
use relay_store::statistics::Fresh;
use relay_store_sqlite::{Access, SqliteOptions, SqliteStore};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let requests = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let rounds = arguments.next().map_or(Ok(40), |text| text.parse())?;
    // Ten days into a month.
    let end = Timestamp::from_millis(2_209_824_000_000);
    let (records, settled) = (100_000, 2_000);
    let shape = Shape { requests, days: 90, keys: 10_000, accounts: 200, end, records, settled };
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("relay.db");
    let options = SqliteOptions {
        calendar: calendar(),
        record_capacity: 100_000,
        record_lifetime: Duration::from_hours(24 * 30),
        access: Access::Serve,
    };
    let store = SqliteStore::open(&path, options)?;
    let began = Instant::now();
    let told = |day| {
        if day % 10 == 0 {
            eprintln!("{day} days after {:.0?}", began.elapsed());
        }
    };
    let raw = rusqlite::Connection::open(&path)?;
    let append = |fresh: Vec<Fresh>| {
        let appended = append(&raw, &fresh);
        async move {
            if let Err(why) = appended {
                eprintln!("not appended: {why}");
            }
        }
    };
    history::make(&store.stores(), shape, append, told).await;
    drop(raw);
    println!("{:<32} {:>7} {:>11} {:>11} {:>11}", "question", "rows", "least", "median", "p95");
    for measured in history::measure(&store.stores(), shape, rounds).await {
        let history::Measured { name, rows, least, median, p95 } = measured;
        println!("{name:<32} {rows:>7} {least:>11.1?} {median:>11.1?} {p95:>11.1?}");
    }
    drop(store);
    rusqlite::Connection::open(&path)?.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    println!("the file: {} bytes", std::fs::metadata(&path)?.len());
    let connection = rusqlite::Connection::open(&path)?;
    let mut sizes = connection.prepare(
        "SELECT kind, count(*), sum(length(cells)) FROM statistics_segment GROUP BY kind
         UNION ALL SELECT -1, count(*), coalesce(sum(length(cells)), 0) FROM statistics_fresh",
    )?;
    let rows = sizes.query_map([], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    })?;
    for row in rows {
        let (kind, segments, bytes) = row?;
        println!("segments of kind {kind}: {segments}, {bytes} bytes");
    }
    Ok(())
}

/// Appends what commits have counted, as they do.
fn append(file: &rusqlite::Connection, fresh: &[Fresh]) -> rusqlite::Result<()> {
    let mut add =
        file.prepare_cached("INSERT INTO statistics_fresh (hour, cells) VALUES (?1, ?2)")?;
    file.execute_batch("BEGIN IMMEDIATE")?;
    for Fresh { hour, written } in fresh {
        add.execute(rusqlite::params![hour.number(), written])?;
    }
    file.execute_batch("COMMIT")
}
