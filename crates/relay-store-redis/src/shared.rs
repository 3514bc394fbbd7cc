//! What every handle of one store shares.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use redis::Client;
use relay_domain::Calendar;
use relay_store::KeyListing;
use tokio::sync::Mutex;

use crate::connection::ConnectionPool;
use crate::keyspace::Keyspace;
use crate::scripts::Scripts;

/// What every handle of one store shares.
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) pool: ConnectionPool,
    pub(crate) keyspace: Keyspace,
    pub(crate) scripts: Scripts,
    pub(crate) calendar: Calendar,
    pub(crate) record_capacity: usize,
    pub(crate) record_lifetime: Duration,
    /// The API keys as of when they were last listed.
    pub(crate) key_listing: Mutex<KeyListing>,
    /// Whether there are v1's billing events.
    pub(crate) billing_events: bool,
    /// Whether this process has looked for API keys that are in no index.
    pub(crate) keys_indexed: AtomicBool,
    /// The same for accounts.
    pub(crate) accounts_indexed: AtomicBool,
}
