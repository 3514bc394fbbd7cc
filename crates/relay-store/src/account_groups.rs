//! Where groups of accounts are kept.

use async_trait::async_trait;
use relay_domain::{AccountGroup, AccountGroupId};

use crate::{GroupRemoval, StoreError, Update};

/// Groups of accounts. Who is in one decides which accounts serve a key: every change raises
/// [`ConfigVersion::accounts`](crate::ConfigVersion::accounts) in the same step.
///
/// An account that is removed leaves its groups in that step, which raises their revisions
/// ([`AccountRepository::delete`](crate::AccountRepository::delete)).
///
/// # Errors
///
/// All methods fail with [`StoreError`] when the store does.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AccountGroupRepository: Send + Sync {
    /// Adds a group.
    ///
    /// # Errors
    ///
    /// [`StoreError::Duplicate`] if its id is taken; [`StoreError::Missing`] if a member is not there.
    async fn create(&self, group: &AccountGroup) -> Result<(), StoreError>;

    /// Adds a group of another store as it is there: v1 has members that Relay does not know.
    ///
    /// # Errors
    ///
    /// [`StoreError::Duplicate`] if its id is taken.
    async fn import(&self, group: &AccountGroup) -> Result<(), StoreError>;

    /// The group with this id.
    async fn get(&self, id: &AccountGroupId) -> Result<Option<AccountGroup>, StoreError>;

    /// Every group, by name and then by id.
    async fn list(&self) -> Result<Vec<AccountGroup>, StoreError>;

    /// Writes everything but `platform` and `created_at`, if the stored revision still is `group.revision`,
    /// and raises it. A member that it had need not be there.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if a new member is not there.
    async fn update(&self, group: &AccountGroup) -> Result<Update, StoreError>;

    /// Removes a group, if its stored revision still is `revision` and no key is bound to it, whoever binds
    /// one meanwhile. Deleted keys do not count: one that is restored is then served by nobody.
    async fn delete(&self, id: &AccountGroupId, revision: u64) -> Result<GroupRemoval, StoreError>;
}
