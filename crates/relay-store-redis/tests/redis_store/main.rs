//! The store on a real Redis.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failing store fails the test")]
#![expect(clippy::panic, reason = "so does a fixture that is not as it should be")]

mod contract;
mod corrections;
mod key_lists;
mod layout;
mod limits;
mod outage;
mod races;
mod slow_log;
mod take_over;
mod tls;
mod v1_counters;

use relay_store_redis::{RedisAddress, RedisOptions, RedisStore};
use relay_testkit::RedisServer;

/// How a store of these tests is opened.
fn options(server: &RedisServer) -> RedisOptions {
    RedisOptions {
        address: RedisAddress::Url(server.url().to_owned().into()),
        calendar: relay_store::contract::fixture::calendar(),
        record_capacity: 1_000,
        record_lifetime: relay_store::contract::fixture::RECORD_LIFETIME,
        billing_events: true,
        prefix: "relay:".to_owned(),
    }
}

/// A store on `server`.
async fn store(server: &RedisServer) -> RedisStore {
    RedisStore::connect(&options(server)).await.unwrap()
}

/// A connection that looks at what is really there.
async fn raw(server: &RedisServer) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(server.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}
