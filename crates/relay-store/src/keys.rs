//! Where API keys are kept.

use std::sync::Arc;

use async_trait::async_trait;
use relay_domain::{ApiKey, KeyDigest, KeyId, Timestamp};

use crate::{KeyQuery, Page, StoreError, Update};

/// API keys, deleted ones included. Every change that a relaying process must see raises
/// [`ConfigVersion::keys`](crate::ConfigVersion::keys) in the same step.
///
/// # Errors
///
/// All methods fail with [`StoreError`] when the store does.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait KeyRepository: Send + Sync {
    /// Adds a key. Where the store knows v1's users, it tells how the key's stands: one that it does not know
    /// is disabled.
    ///
    /// # Errors
    ///
    /// [`StoreError::Duplicate`] if its id or one of its digests is taken; [`StoreError::Missing`] if its
    /// group or a group of accounts that it is bound to is not there.
    async fn create(&self, key: &ApiKey) -> Result<(), StoreError>;

    /// Adds keys, a few at a time so that nobody else waits for long. If one cannot be added, some of the
    /// others may have been.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    async fn create_many(&self, keys: &[ApiKey]) -> Result<(), StoreError>;

    /// Adds a key of another store as it is there: its group and what it is bound to may be gone here as
    /// they may be gone there, and then nobody serves it. How its user stands counts unless the store knows
    /// that user itself.
    ///
    /// # Errors
    ///
    /// [`StoreError::Duplicate`] if its id or one of its digests is taken.
    async fn import(&self, key: &ApiKey) -> Result<(), StoreError>;

    /// The key with this id, deleted or not.
    async fn get(&self, id: &KeyId) -> Result<Option<ApiKey>, StoreError>;

    /// The first key that is stored under one of `digests`, in their order. A presented key has two:
    /// v1 salted its digests and v2 did not. A secret that is retiring is found too, also after its
    /// time: [`ApiKey::has_secret`] says whether it is still good.
    async fn find_by_digest(&self, digests: &[KeyDigest]) -> Result<Option<ApiKey>, StoreError>;

    /// Every key, the newest first. Reads all of them: for exports and the command line.
    async fn list(&self) -> Result<Vec<ApiKey>, StoreError>;

    /// A part of the keys. Fast with tens of thousands of them. Which keys are on it, and their order, is
    /// decided on what is known of them since they were last changed; those on it are read as they are.
    async fn page(&self, query: &KeyQuery) -> Result<Page<ApiKey>, StoreError>;

    /// All that `query` asks for at once, its limit aside, as they are since they were last changed. Fast
    /// with tens of thousands of them, which are kept in memory for it.
    async fn all(&self, query: &KeyQuery) -> Result<Page<Arc<ApiKey>>, StoreError>;

    /// Writes everything but `last_used_at` and `created_at`, if the stored revision still is
    /// `key.revision`, and raises it. Deleting, restoring and giving another secret are updates too.
    ///
    /// # Errors
    ///
    /// [`StoreError::Duplicate`] if a new digest is taken; [`StoreError::Missing`] if it puts the key into
    /// another group, or binds it to another group of accounts, which is not there.
    async fn update(&self, key: &ApiKey) -> Result<Update, StoreError>;

    /// Removes a key for good, with the totals that were counted for it, if its stored revision still is
    /// `revision`. What was counted by day or month ends with its own lifetime.
    async fn purge(&self, id: &KeyId, revision: u64) -> Result<Update, StoreError>;

    /// Sets the end of a key whose time starts with its first use, unless another request was first, and
    /// raises its revision. Returns the end that now holds; `None` if there is no such key or its end is
    /// not of that kind.
    async fn activate(
        &self,
        id: &KeyId,
        now: Timestamp,
        end: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError>;
}
