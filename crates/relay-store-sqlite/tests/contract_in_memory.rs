//! The store passes the conformance suite, in memory.

#![expect(clippy::unwrap_used, reason = "what fails fails the test")]

use relay_store::Stores;
use relay_store::contract::fixture::{RECORD_LIFETIME, calendar};
use relay_store_sqlite::{Access, SqliteOptions, SqliteStore};

async fn in_memory() -> ((), Stores) {
    let options = SqliteOptions {
        calendar: calendar(),
        record_capacity: 1_000,
        record_lifetime: RECORD_LIFETIME,
        access: Access::Serve,
    };
    ((), SqliteStore::in_memory(options).unwrap().stores())
}

relay_store::contract_suite!(in_memory);
