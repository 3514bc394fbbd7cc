//! Where upstream accounts are kept.

use async_trait::async_trait;
use relay_domain::{Account, AccountHealth, AccountId, HealthEvent, Timestamp};

use crate::{StoreError, Update};

/// Upstream accounts. Every change, of health too, raises
/// [`ConfigVersion::accounts`](crate::ConfigVersion::accounts) in the same step.
///
/// # Errors
///
/// All methods fail with [`StoreError`] when the store does.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AccountRepository: Send + Sync {
    /// Adds an account.
    ///
    /// # Errors
    ///
    /// [`StoreError::Duplicate`] if its id is taken.
    async fn create(&self, account: &Account) -> Result<(), StoreError>;

    /// The account with this id.
    async fn get(&self, id: &AccountId) -> Result<Option<Account>, StoreError>;

    /// Every account of every platform, by priority and then by id.
    async fn list(&self) -> Result<Vec<Account>, StoreError>;

    /// Writes everything but `platform`, `health`, `last_used_at` and `created_at`, if the stored revision
    /// still is `account.revision`, and raises it.
    async fn update(&self, account: &Account) -> Result<Update, StoreError>;

    /// Removes an account. `false`: there is no such account.
    async fn delete(&self, id: &AccountId) -> Result<bool, StoreError>;

    /// Applies [`AccountHealth::on`] to the stored health in one step, so that of two instances that
    /// learn something at once neither undoes the other. Returns the new health; `None` if there is no
    /// such account. An event that changes nothing raises no version.
    async fn apply_health(
        &self,
        id: &AccountId,
        event: &HealthEvent,
        now: Timestamp,
    ) -> Result<Option<AccountHealth>, StoreError>;
}
