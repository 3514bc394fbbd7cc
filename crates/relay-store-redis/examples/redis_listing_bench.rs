//! How long listings and look-ups take with ten thousand API keys and two hundred accounts.
//!
//! `cargo run --release -p relay-store-redis --example redis_listing_bench [URL]`; without a URL it starts a
//! Redis of its own, and with one it fills that database with test keys.

#![expect(clippy::print_stdout, reason = "printing figures is all that it does")]
#![expect(clippy::unwrap_used, reason = "a failing benchmark has nothing to say")]

use relay_domain::Calendar;
use relay_store::contract::listing_load::{fill, time};
use relay_store_redis::{RedisAddress, RedisOptions, RedisStore};
use relay_testkit::RedisServer;

const KEYS: u64 = 10_000;
const ACCOUNTS: u32 = 200;
const ROUNDS: u64 = 50;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (_server, url) = if let Some(url) = std::env::args().nth(1) {
        (None, url)
    } else {
        let server = RedisServer::tcp();
        let url = server.url().to_owned();
        (Some(server), url)
    };
    let options = RedisOptions {
        address: RedisAddress::Url(url.into()),
        calendar: Calendar::UTC,
        billing_events: false,
        record_capacity: 10,
        record_lifetime: std::time::Duration::from_hours(24),
        prefix: "relay:".to_owned(),
    };
    let stores = RedisStore::connect(&options).await.unwrap().stores();
    fill(&stores, KEYS, ACCOUNTS).await;
    println!("{:<28} {:>10} {:>10} {:>10}", "with 10,000 keys", "p50 ms", "p95 ms", "p99 ms");
    for timed in time(&stores, KEYS, ROUNDS).await {
        let millis = |percent| timed.percentile(percent).as_secs_f64() * 1e3;
        let (p50, p95, p99) = (millis(50), millis(95), millis(99));
        println!("{:<28} {p50:>10.2} {p95:>10.2} {p99:>10.2}", timed.name);
    }
}
