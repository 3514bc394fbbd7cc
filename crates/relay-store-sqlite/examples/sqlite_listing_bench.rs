//! How long listings and look-ups take with ten thousand API keys and two hundred accounts.
//!
//! `cargo run --release -p relay-store-sqlite --example sqlite_listing_bench`, on a file of its own.

#![expect(clippy::print_stdout, reason = "printing figures is all that it does")]
#![expect(clippy::unwrap_used, reason = "a failing benchmark has nothing to say")]

use relay_domain::Calendar;
use relay_store::contract::listing_load::{fill, time};
use relay_store_sqlite::{Access, SqliteOptions, SqliteStore};

const KEYS: u64 = 10_000;
const ACCOUNTS: u32 = 200;
const ROUNDS: u64 = 200;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions {
        calendar: Calendar::UTC,
        record_capacity: 10,
        record_lifetime: std::time::Duration::from_hours(24),
        access: Access::Serve,
    };
    let store = SqliteStore::open(&folder.path().join("relay.db"), options).unwrap();
    let stores = store.stores();
    fill(&stores, KEYS, ACCOUNTS).await;
    println!("{:<28} {:>10} {:>10} {:>10}", "with 10,000 keys", "p50 ms", "p95 ms", "p99 ms");
    for timed in time(&stores, KEYS, ROUNDS).await {
        let millis = |percent| timed.percentile(percent).as_secs_f64() * 1e3;
        let (p50, p95, p99) = (millis(50), millis(95), millis(99));
        println!("{:<28} {p50:>10.2} {p95:>10.2} {p99:>10.2}", timed.name);
    }
}
