//! The store passes the conformance suite, in a file.

#![expect(clippy::unwrap_used, reason = "what fails fails the test")]

use relay_store::Stores;
use relay_store::contract::fixture::{RECORD_LIFETIME, calendar};
use relay_store_sqlite::{Access, SqliteOptions, SqliteStore};
use tempfile::TempDir;

async fn in_a_file() -> (TempDir, Stores) {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions {
        calendar: calendar(),
        record_capacity: 1_000,
        record_lifetime: RECORD_LIFETIME,
        access: Access::Serve,
    };
    let store = SqliteStore::open(&folder.path().join("relay.db"), options).unwrap();
    (folder, store.stores())
}

relay_store::contract_suite!(in_a_file);
