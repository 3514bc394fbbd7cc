//! Where groups of API keys are kept.

use async_trait::async_trait;
use relay_domain::{GroupId, KeyGroup};

use crate::{GroupRemoval, StoreError, Update};

/// Groups of API keys. A group's limits are its keys' too: every change raises
/// [`ConfigVersion::keys`](crate::ConfigVersion::keys) in the same step.
///
/// # Errors
///
/// All methods fail with [`StoreError`] when the store does.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait GroupRepository: Send + Sync {
    /// Adds a group.
    ///
    /// # Errors
    ///
    /// [`StoreError::Duplicate`] if its id is taken.
    async fn create(&self, group: &KeyGroup) -> Result<(), StoreError>;

    /// The group with this id.
    async fn get(&self, id: &GroupId) -> Result<Option<KeyGroup>, StoreError>;

    /// Every group, by name and then by id.
    async fn list(&self) -> Result<Vec<KeyGroup>, StoreError>;

    /// Writes everything but `created_at`, if the stored revision still is `group.revision`, and raises
    /// it.
    async fn update(&self, group: &KeyGroup) -> Result<Update, StoreError>;

    /// Removes a group, if its stored revision still is `revision` and no key belongs to it, whoever puts
    /// one into it meanwhile. Deleted keys do not count: one that is restored is then let in nowhere.
    async fn delete(&self, id: &GroupId, revision: u64) -> Result<GroupRemoval, StoreError>;
}
