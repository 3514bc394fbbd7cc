//! Relay's store in Redis, in the layout of Claude Relay Service v1.
//!
//! What a v1 or v2 left is read as it is, and a v1 that comes back can read what Relay wrote: fields that
//! Relay does not know are never touched. What v1 has no name for lives under a prefix of Relay's own.
//!
//! A settlement writes all that v1 writes of a request, in one atomic step: `counters/families.rs` says under
//! which names, `scripts/settle.lua` with which fields and lifetimes. What a key has spent is read where v1
//! reads it, so that both hold it to the same limits.
//!
//! Requests share one connection; everything else takes one from a pool. Lost connections are made anew
//! by themselves. A command that gets no answer within 250 milliseconds fails as
//! [`StoreError::Unavailable`].
//!
//! Not here on purpose: any use of KEYS, which stops Redis while it looks; and a task of its own: whoever
//! settles carries the settlements of others along.

mod account_groups;
mod accounts;
mod admin;
mod admin_tokens;
mod archive;
mod audit;
mod call;
mod connection;
mod corrections;
mod counters;
mod events;
mod fault;
mod group_removal;
mod groups;
mod guarded_write;
mod hash;
mod idempotency;
mod javascript_date;
mod keys;
mod keyspace;
mod ledger;
mod money;
mod options;
mod permanence;
mod record_search;
mod scan;
mod scripts;
mod settings;
mod shared;
mod statistics;
mod takeover;
mod usage;

use std::sync::Arc;

use relay_store::{StoreError, Stores};
use tokio::sync::Mutex;

pub use crate::options::{RedisAddress, RedisOptions};
pub use crate::takeover::{Remark, Repair, Survey, Traces, Unreadable};

use crate::account_groups::RedisAccountGroups;
use crate::accounts::RedisAccounts;
use crate::admin::RedisAdmin;
use crate::admin_tokens::RedisAdminTokens;
use crate::archive::RedisArchive;
use crate::audit::RedisAudit;
use crate::connection::ConnectionPool;
use crate::corrections::RedisCorrections;
use crate::events::RedisEvents;
use crate::groups::RedisGroups;
use crate::idempotency::RedisIdempotency;
use crate::keys::RedisKeys;
use crate::keyspace::Keyspace;
use crate::ledger::RedisLedger;
use crate::scripts::Scripts;
use crate::settings::RedisSettings;
use crate::shared::Shared;
use crate::usage::RedisUsage;

/// A store in Redis.
///
/// A value of this type has one connection for requests, which lives on the runtime that uses it first.
/// A process with several runtimes takes a [`handle`](Self::handle) for each.
pub struct RedisStore {
    shared: Arc<Shared>,
    stores: Stores,
}

impl RedisStore {
    /// Opens the store and asks whether Redis is there.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if it is not, [`StoreError::Refused`] if the address is none or Redis
    /// does not accept the login.
    pub async fn connect(options: &RedisOptions) -> Result<Self, StoreError> {
        let store = Self::open(options)?;
        store.stores.ledger.version().await?;
        Ok(store)
    }

    /// Opens the store without connecting: Redis may start later.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if the address is none.
    pub fn open(options: &RedisOptions) -> Result<Self, StoreError> {
        let client = options.address.client()?;
        let shared = Arc::new(Shared {
            pool: ConnectionPool::new(&client)?,
            client,
            keyspace: Keyspace::new(&options.prefix),
            scripts: Scripts::new(),
            calendar: options.calendar,
            record_capacity: options.record_capacity.max(1),
            record_lifetime: options.record_lifetime,
            key_listing: Mutex::default(),
            billing_events: options.billing_events,
            keys_indexed: false.into(),
            accounts_indexed: false.into(),
        });
        Ok(Self::over(shared))
    }

    /// The same store with a connection of its own for requests, for another runtime.
    #[must_use]
    pub fn handle(&self) -> Self {
        Self::over(Arc::clone(&self.shared))
    }

    /// Its ports.
    pub fn stores(&self) -> Stores {
        self.stores.clone()
    }

    /// Who has written into this database, told from a few names.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when Redis fails.
    pub async fn traces(&self) -> Result<Traces, StoreError> {
        takeover::traces(&self.shared).await
    }

    /// Looks at everything in the database and changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when Redis fails.
    pub async fn survey(&self) -> Result<Survey, StoreError> {
        Ok(takeover::survey(&self.shared).await?.0)
    }

    /// Makes v1's indexes what they should be, and returns what was found before. Only entries that are
    /// wrong are touched; it may be repeated, also while Relay serves.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when Redis fails.
    pub async fn adopt(&self) -> Result<Survey, StoreError> {
        takeover::adopt(&self.shared).await
    }

    /// Takes away what a v2 that comes back cannot read: v1's indexes and bindings, which it takes for API
    /// keys, accounts and bindings of its own, and the login if its password was hashed anew. Returns how
    /// many names were removed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when Redis fails.
    pub async fn release_to_v2(&self) -> Result<usize, StoreError> {
        takeover::release_to_v2(&self.shared).await
    }

    /// The name that an installation has given to this database, if one has.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when Redis fails.
    pub async fn installation(&self) -> Result<Option<String>, StoreError> {
        permanence::installation(&self.shared).await
    }

    /// Gives this database a name, unless it has one, and returns the one that it has now.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when Redis fails.
    pub async fn install(&self, name: &str) -> Result<String, StoreError> {
        permanence::install(&self.shared, name).await
    }

    /// Whether this Redis writes anything to a disk by itself. `None`: it does not say.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when Redis fails.
    pub async fn persists(&self) -> Result<Option<bool>, StoreError> {
        permanence::persists(&self.shared).await
    }

    fn over(shared: Arc<Shared>) -> Self {
        let stores = Stores {
            keys: Arc::new(RedisKeys { shared: Arc::clone(&shared) }),
            accounts: Arc::new(RedisAccounts { shared: Arc::clone(&shared) }),
            account_groups: Arc::new(RedisAccountGroups { shared: Arc::clone(&shared) }),
            usage: Arc::new(RedisUsage { shared: Arc::clone(&shared) }),
            admin: Arc::new(RedisAdmin { shared: Arc::clone(&shared) }),
            groups: Arc::new(RedisGroups { shared: Arc::clone(&shared) }),
            admin_tokens: Arc::new(RedisAdminTokens { shared: Arc::clone(&shared) }),
            audit: Arc::new(RedisAudit { shared: Arc::clone(&shared) }),
            events: Arc::new(RedisEvents { shared: Arc::clone(&shared) }),
            idempotency: Arc::new(RedisIdempotency { shared: Arc::clone(&shared) }),
            settings: Arc::new(RedisSettings { shared: Arc::clone(&shared) }),
            archive: Arc::new(RedisArchive { shared: Arc::clone(&shared) }),
            corrections: Arc::new(RedisCorrections { shared: Arc::clone(&shared) }),
            ledger: Arc::new(RedisLedger::new(Arc::clone(&shared))),
        };
        Self { shared, stores }
    }
}
