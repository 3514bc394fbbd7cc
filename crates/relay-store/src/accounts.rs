//! Where upstream accounts are kept.

use async_trait::async_trait;
use relay_domain::{
    Account, AccountGroup, AccountHealth, AccountId, HealthEvent, ProxySetting, SealedSecret,
    Timestamp,
};

use crate::{StoreError, Update};

/// What is sealed of an account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccountSecrets {
    /// Its credential.
    pub credential: SealedSecret,
    /// What its proxy asks for, if it does.
    pub proxy_password: Option<SealedSecret>,
}

impl AccountSecrets {
    /// Those of `account`.
    #[must_use]
    pub fn of(account: &Account) -> Self {
        let proxy_password = match &account.proxy {
            ProxySetting::Via(proxy) => proxy.auth.as_ref().map(|auth| auth.password.clone()),
            ProxySetting::Direct | ProxySetting::Unusable => None,
        };
        Self { credential: account.secret.clone(), proxy_password }
    }

    /// `account` with these in place of its own. A proxy that asks for nothing is left alone.
    #[must_use]
    pub fn put_into(self, mut account: Account) -> Account {
        account.secret = self.credential;
        if let (ProxySetting::Via(proxy), Some(password)) =
            (&mut account.proxy, self.proxy_password)
            && let Some(auth) = &mut proxy.auth
        {
            auth.password = password;
        }
        account
    }
}

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

    /// Replaces what is sealed of an account by the same in another form, if it still is `expected`.
    /// `false`: it is not, or there is no such account, and nothing happened.
    async fn reseal(
        &self,
        id: &AccountId,
        expected: &AccountSecrets,
        next: &AccountSecrets,
    ) -> Result<bool, StoreError>;

    /// Removes an account, also from its groups, and returns those as they were before. `None`: there is no
    /// such account.
    async fn delete(&self, id: &AccountId) -> Result<Option<Vec<AccountGroup>>, StoreError>;

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
