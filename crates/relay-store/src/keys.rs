//! Where API keys are kept.

use async_trait::async_trait;
use relay_domain::{ApiKey, KeyDigest, KeyId, Timestamp};

use crate::StoreError;

/// API keys, deleted ones included. Every change that a relaying process must see raises
/// [`ConfigVersion::keys`](crate::ConfigVersion::keys) in the same step.
///
/// # Errors
///
/// All methods fail with [`StoreError`] when the store does.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait KeyRepository: Send + Sync {
    /// Adds a key.
    ///
    /// # Errors
    ///
    /// [`StoreError::Duplicate`] if its id or digest is taken.
    async fn create(&self, key: &ApiKey) -> Result<(), StoreError>;

    /// The key with this id, deleted or not.
    async fn get(&self, id: &KeyId) -> Result<Option<ApiKey>, StoreError>;

    /// The first key that is stored under one of `digests`, in their order. A presented key has two:
    /// v1 salted its digests and v2 did not.
    async fn find_by_digest(&self, digests: &[KeyDigest]) -> Result<Option<ApiKey>, StoreError>;

    /// Every key, the newest first.
    async fn list(&self) -> Result<Vec<ApiKey>, StoreError>;

    /// Writes what an operator may change (not `last_used_at`, `digest`, `created_at`). `false`: there
    /// is no such key. An end that the first use has set is not taken back: whoever still asks for one
    /// after first use knows the key as it was before, and the end stays.
    async fn update(&self, key: &ApiKey) -> Result<bool, StoreError>;

    /// Sets the end of a key whose time starts with its first use, unless another request was first.
    /// Returns the end that now holds; `None` if there is no such key or its end is not of that kind.
    async fn activate(
        &self,
        id: &KeyId,
        now: Timestamp,
        end: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError>;
}
