//! What is configured, as a snapshot in memory: API keys by digest and the roster of accounts.
//!
//! The store is the one source of truth. A snapshot carries the version at which it was read, and every
//! admission brings the store's present versions along, so a change made on any instance holds from the
//! next request on, without a message that could get lost.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;
use relay_crypto::{KeyHasher, Keyring, plausible};
use relay_domain::{ApiKey, GroupId, KeyDigest, Limits, Timestamp};
use relay_store::{ConfigVersion, StoreError, Stores};
use tokio::sync::Mutex;

use crate::payer::Payer;
use crate::roster::{Known, Roster};

/// Keys kept in memory. Beyond it the cache starts afresh: one more look-up for each key in use.
const MAX_CACHED_KEYS: usize = 20_000;

/// The keys that were looked up since they were last changed.
struct KeyCache {
    version: u64,
    by_digest: RwLock<HashMap<KeyDigest, KnownKey>>,
}

/// A key that was recognised, as of a version.
#[derive(Clone)]
pub(crate) struct KnownKey {
    pub(crate) key: Arc<ApiKey>,
    /// The key's group and its limits.
    group: Option<(GroupId, Limits)>,
    /// It is at least as new as this version of the keys.
    pub(crate) version: u64,
    /// What was presented: v1's digest, which is salted, the same under former salts, and v2's, which is
    /// not salted.
    digests: Arc<[KeyDigest]>,
}

impl KnownKey {
    /// Whether what was presented is a secret of the key's at `now`.
    pub(crate) fn has_secret(&self, now: Timestamp) -> bool {
        self.key.has_secret(&self.digests, now)
    }

    /// The group that it names if that is not there, so that nobody knows the limits to hold it to.
    pub(crate) fn lost_group(&self) -> Option<&GroupId> {
        self.key.group.as_ref().filter(|_| self.group.is_none())
    }

    /// Who pays for its requests.
    pub(crate) fn payer(&self) -> Payer {
        Payer { key: Arc::clone(&self.key), group: self.group.clone() }
    }
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
        let groups = stores.account_groups.list().await?;
        let roster = Roster::build(version.accounts, accounts, &groups, &keyring, Known::default());
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
    pub(crate) async fn find_key(&self, presented: &str) -> Result<Option<KnownKey>, StoreError> {
        if !plausible(presented, &self.key_prefix) {
            return Ok(None);
        }
        let salted = KeyDigest::new(self.hasher.digest(presented));
        if let Some(known) = self.cached(&salted) {
            return Ok(Some(known));
        }
        let former = self.hasher.former(presented).map(KeyDigest::new);
        let unsalted = KeyDigest::new(self.hasher.unsalted(presented));
        self.read_key(std::iter::once(salted).chain(former).chain([unsalted]).collect()).await
    }

    /// Reads a key again, after its version turned out to be old.
    pub(crate) async fn read_again(
        &self,
        known: &KnownKey,
    ) -> Result<Option<KnownKey>, StoreError> {
        self.read_key(Arc::clone(&known.digests)).await
    }

    async fn read_key(&self, digests: Arc<[KeyDigest]>) -> Result<Option<KnownKey>, StoreError> {
        // The version first, so that the key is at least as new as it says.
        let cache = self.keys.load_full();
        let Some(key) = self.stores.keys.find_by_digest(&digests).await? else { return Ok(None) };
        let Some(presented) = digests.first().copied() else { return Ok(None) };
        // Changes of groups raise the keys' version.
        let group = match &key.group {
            Some(id) => self.stores.groups.get(id).await?.map(|group| (group.id, group.limits)),
            None => None,
        };
        let known = KnownKey { key: Arc::new(key), group, version: cache.version, digests };
        if let Some(group) = known.lost_group() {
            tracing::warn!(key = %known.key.id, %group, "an API key is refused: its group is not there");
        }
        let mut by_digest = cache.by_digest.write().unwrap_or_else(PoisonError::into_inner);
        if by_digest.len() >= MAX_CACHED_KEYS {
            by_digest.clear();
        }
        by_digest.insert(presented, known.clone());
        Ok(Some(known))
    }

    fn cached(&self, digest: &KeyDigest) -> Option<KnownKey> {
        let cache = self.keys.load();
        let by_digest = cache.by_digest.read().unwrap_or_else(PoisonError::into_inner);
        by_digest.get(digest).cloned()
    }

    /// Forgets the cached keys if the store's are newer.
    pub(crate) fn hear_keys(&self, version: ConfigVersion) {
        if self.keys.load().version < version.keys {
            let by_digest = RwLock::default();
            self.keys.store(Arc::new(KeyCache { version: version.keys, by_digest }));
        }
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
            let known = old.known();
            let accounts = self.stores.accounts.list().await?;
            let groups = self.stores.account_groups.list().await?;
            self.roster.store(Arc::new(Roster::build(
                version.accounts,
                accounts,
                &groups,
                &self.keyring,
                known,
            )));
        }
        Ok(())
    }
}
