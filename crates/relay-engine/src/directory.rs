//! What is configured, as a snapshot in memory: API keys by digest and the roster of accounts.
//!
//! The store is the one source of truth. A snapshot carries the version at which it was read, and every
//! admission brings the store's present versions along, so a change made on any instance holds from the
//! next request on, without a message that could get lost.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;
use relay_crypto::{KeyHasher, Keyring, plausible};
use relay_domain::{ApiKey, KeyDigest};
use relay_store::{ConfigVersion, StoreError, Stores};
use tokio::sync::Mutex;

use crate::roster::Roster;

/// Keys kept in memory. Beyond it the cache starts afresh: one more look-up for each key in use.
const MAX_CACHED_KEYS: usize = 20_000;

/// The keys that were looked up since they were last changed.
struct KeyCache {
    version: u64,
    by_digest: RwLock<HashMap<KeyDigest, Arc<ApiKey>>>,
}

/// A presented key, as digests.
#[derive(Clone, Copy)]
pub(crate) struct PresentedKey {
    salted: KeyDigest,
    unsalted: KeyDigest,
}

/// Snapshots of what is configured, shared by all runtimes of the process.
pub(crate) struct Directory {
    pub(crate) stores: Stores,
    hasher: KeyHasher,
    key_prefix: String,
    keyring: Keyring,
    keys: ArcSwap<KeyCache>,
    roster: ArcSwap<Roster>,
    refreshing: Mutex<()>,
}

impl Directory {
    /// Reads the roster. Keys are read when they are presented.
    pub(crate) async fn load(
        stores: Stores,
        hasher: KeyHasher,
        keyring: Keyring,
        key_prefix: String,
    ) -> Result<Self, StoreError> {
        let version = stores.ledger.version().await?;
        let accounts = stores.accounts.list().await?;
        let roster = Roster::build(version.accounts, accounts, &keyring, &Roster::default());
        let keys = KeyCache { version: version.keys, by_digest: RwLock::default() };
        Ok(Self {
            stores,
            hasher,
            key_prefix,
            keyring,
            keys: ArcSwap::from_pointee(keys),
            roster: ArcSwap::from_pointee(roster),
            refreshing: Mutex::new(()),
        })
    }

    /// The accounts, as of the last admission that brought a change along.
    pub(crate) fn roster(&self) -> Arc<Roster> {
        self.roster.load_full()
    }

    /// The key that `presented` is, if it could be and is one.
    pub(crate) async fn find_key(
        &self,
        presented: &str,
    ) -> Result<Option<(PresentedKey, Arc<ApiKey>)>, StoreError> {
        if !plausible(presented, &self.key_prefix) {
            return Ok(None);
        }
        // v1's digest is salted and v2's is not; the second is only worked out on a miss.
        let salted = KeyDigest::new(self.hasher.digest(presented));
        if let Some(key) = self.cached(&salted) {
            return Ok(Some((PresentedKey { salted, unsalted: salted }, key)));
        }
        let presented =
            PresentedKey { salted, unsalted: KeyDigest::new(self.hasher.unsalted(presented)) };
        Ok(self.look_up(presented).await?.map(|key| (presented, key)))
    }

    /// Reads a key again, after its version turned out to be old.
    pub(crate) async fn look_up(
        &self,
        presented: PresentedKey,
    ) -> Result<Option<Arc<ApiKey>>, StoreError> {
        let cache = self.keys.load_full();
        let digests = [presented.salted, presented.unsalted];
        let Some(key) = self.stores.keys.find_by_digest(&digests).await? else { return Ok(None) };
        let key = Arc::new(key);
        let mut by_digest = cache.by_digest.write().unwrap_or_else(PoisonError::into_inner);
        if by_digest.len() >= MAX_CACHED_KEYS {
            by_digest.clear();
        }
        by_digest.insert(presented.salted, Arc::clone(&key));
        Ok(Some(key))
    }

    fn cached(&self, digest: &KeyDigest) -> Option<Arc<ApiKey>> {
        let cache = self.keys.load();
        let by_digest = cache.by_digest.read().unwrap_or_else(PoisonError::into_inner);
        by_digest.get(digest).map(Arc::clone)
    }

    /// Whether the cached keys are those of `version`. If not, they are forgotten.
    pub(crate) fn keys_are_current(&self, version: ConfigVersion) -> bool {
        if self.keys.load().version == version.keys {
            return true;
        }
        self.keys.store(Arc::new(KeyCache { version: version.keys, by_digest: RwLock::default() }));
        false
    }

    /// Makes sure that the roster is at least that of `version`.
    pub(crate) async fn refresh_roster(&self, version: ConfigVersion) -> Result<(), StoreError> {
        if self.roster.load().version == version.accounts {
            return Ok(());
        }
        let _one_at_a_time = self.refreshing.lock().await;
        // The version is read before the accounts, so that the snapshot is at least as new as it says.
        let version = self.stores.ledger.version().await?;
        let old = self.roster.load_full();
        if old.version != version.accounts {
            let accounts = self.stores.accounts.list().await?;
            self.roster.store(Arc::new(Roster::build(
                version.accounts,
                accounts,
                &self.keyring,
                &old,
            )));
        }
        Ok(())
    }
}
