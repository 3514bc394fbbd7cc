//! Where groups of accounts are kept.

use async_trait::async_trait;
use relay_domain::{AccountGroup, AccountGroupId};

use crate::{StoreError, Update};

/// What became of the removal of a group of accounts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AccountGroupRemoval {
    /// It was removed.
    Done,
    /// It was changed since it was looked at, and stays.
    Stale {
        /// Its revision by now.
        current: u64,
    },
    /// There is no such group.
    Absent,
    /// Keys are bound to it, and it stays.
    Bound {
        /// How many that are not deleted.
        keys: usize,
    },
}

impl AccountGroupRemoval {
    /// Whether it was removed.
    pub fn is_done(self) -> bool {
        self == Self::Done
    }
}

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
    /// [`StoreError::Duplicate`] if its id is taken.
    async fn create(&self, group: &AccountGroup) -> Result<(), StoreError>;

    /// The group with this id.
    async fn get(&self, id: &AccountGroupId) -> Result<Option<AccountGroup>, StoreError>;

    /// Every group, by name and then by id.
    async fn list(&self) -> Result<Vec<AccountGroup>, StoreError>;

    /// Writes everything but `platform` and `created_at`, if the stored revision still is `group.revision`,
    /// and raises it.
    async fn update(&self, group: &AccountGroup) -> Result<Update, StoreError>;

    /// Removes a group, if its stored revision still is `revision` and no key is bound to it, whoever binds
    /// one meanwhile. Deleted keys do not count: one that is restored is then served by nobody.
    async fn delete(
        &self,
        id: &AccountGroupId,
        revision: u64,
    ) -> Result<AccountGroupRemoval, StoreError>;
}
