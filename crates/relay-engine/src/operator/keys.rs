//! API keys: making and finding them.

use relay_domain::{
    Account, AccountId, ApiKey, Expiry, GroupId, KeyDigest, KeyId, Limits, ModelName, Permissions,
    Platform, Restriction, ServiceRates, Timestamp, UnpricedPolicy, WaitQueue, WindowCaps,
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{Operator, OperatorError, check_description, check_name, fresh_id};

/// An API key to be made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Its name, 1 to 100 characters; `None`: one made of its id.
    pub name: Option<String>,
    /// What the operator notes about it, up to 500 characters.
    pub description: String,
    /// Whether it can be used at once.
    pub is_active: bool,
    /// When it ends.
    pub expiry: Expiry,
    /// Which platforms it may use.
    pub permissions: Permissions,
    /// Models that it may not use, by exact name.
    pub restricted_models: Restriction,
    /// Clients that alone may use it, by v1's names for them.
    pub allowed_clients: Restriction,
    /// The Claude Console account that all its requests must use.
    pub bound_claude_account: Option<AccountId>,
    /// The Codex account that all its requests must use.
    pub bound_codex_account: Option<AccountId>,
    /// The group whose limits it shares.
    pub group: Option<GroupId>,
    /// What it may spend and how fast. A number of zero means no limit.
    pub limits: Limits,
    /// What its rate window would allow, while it has none.
    pub idle_window: WindowCaps,
    /// By how much its costs count against its budgets.
    pub service_rates: ServiceRates,
    /// What becomes of a request for a model without a price.
    pub unpriced: Option<UnpricedPolicy>,
    /// Where requests wait that are one too many at once.
    pub queue: Option<WaitQueue>,
    /// Free labels.
    pub tags: Vec<String>,
    /// A picture's name for the console.
    pub icon: String,
    /// v1's user whose key it is.
    pub user_id: String,
    /// That user's name.
    pub user_username: String,
    /// Who makes it.
    pub created_by: String,
}

impl Default for NewKey {
    /// A key that may do everything and never ends.
    fn default() -> Self {
        Self {
            name: None,
            description: String::new(),
            is_active: true,
            expiry: Expiry::NEVER,
            permissions: Permissions::All,
            restricted_models: Restriction::default(),
            allowed_clients: Restriction::default(),
            bound_claude_account: None,
            bound_codex_account: None,
            group: None,
            limits: Limits::default(),
            idle_window: WindowCaps::default(),
            service_rates: ServiceRates::default(),
            unpriced: None,
            queue: None,
            tags: Vec::new(),
            icon: String::new(),
            user_id: String::new(),
            user_username: String::new(),
            created_by: "admin".to_owned(),
        }
    }
}

impl Operator {
    /// Makes an API key. Its secret is returned here and never again: only its digest is kept.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Invalid`] with the first field that is wrong, or the store's.
    pub async fn create_key(&self, new: NewKey) -> Result<(ApiKey, SecretString), OperatorError> {
        let now = self.clock.now();
        new.check(now)?;
        let bindings = [
            ("claudeConsoleAccountId", Platform::ClaudeConsole, &new.bound_claude_account),
            ("codexAccountId", Platform::Codex, &new.bound_codex_account),
        ];
        for (field, platform, account) in bindings {
            if let Some(account) = account {
                self.check_binding(field, platform, account).await?;
            }
        }
        let secret = self.minter.mint();
        let id = fresh_id::key_id();
        let concurrency = new.limits.concurrency.filter(|limit| *limit > 0);
        let key = ApiKey {
            digest: KeyDigest::new(self.hasher.digest(secret.expose_secret())),
            name: new.name.unwrap_or_else(|| format!("API Key {id}")),
            id,
            retiring: None,
            description: new.description,
            icon: new.icon,
            is_active: new.is_active,
            deleted: None,
            restored: None,
            expiry: new.expiry,
            permissions: new.permissions,
            restricted_models: new.restricted_models,
            allowed_clients: new.allowed_clients,
            bound_claude_account: new.bound_claude_account,
            bound_codex_account: new.bound_codex_account,
            group: new.group,
            limits: Limits { concurrency, ..new.limits },
            idle_window: new.idle_window,
            service_rates: new.service_rates,
            unpriced: new.unpriced,
            queue: new.queue,
            tags: new.tags,
            user_id: new.user_id,
            user_username: new.user_username,
            created_by: new.created_by,
            created_at: now,
            updated_at: None,
            last_used_at: None,
            revision: 0,
        };
        self.stores.keys.create(&key).await?;
        tracing::info!(key.id = %key.id, created_by = key.created_by, "API key created");
        Ok((key, secret))
    }

    /// Every key, deleted ones included, the newest first.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn keys(&self) -> Result<Vec<ApiKey>, OperatorError> {
        Ok(self.stores.keys.list().await?)
    }

    /// The key with this id, deleted or not.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn key(&self, id: &KeyId) -> Result<Option<ApiKey>, OperatorError> {
        Ok(self.stores.keys.get(id).await?)
    }

    /// A binding to an account that cannot serve it would refuse every request of the key.
    async fn check_binding(
        &self,
        field: &'static str,
        platform: Platform,
        account: &AccountId,
    ) -> Result<(), OperatorError> {
        let fits = |account: &Account| account.platform == platform;
        let found = self.stores.accounts.get(account).await?;
        let why = "must be the id of an account of its platform";
        found.filter(fits).map(|_| ()).ok_or(OperatorError::Invalid { field, why })
    }
}

impl NewKey {
    fn check(&self, now: Timestamp) -> Result<(), OperatorError> {
        if let Some(name) = &self.name {
            check_name("name", name, 100, "must have 1 to 100 characters")?;
        }
        check_description(&self.description)?;
        if self.expiry.is_over(now) {
            return Err(invalid("expiresAt", "must lie in the future"));
        }
        if self.expiry.due().is_some_and(|lifetime| lifetime.is_zero()) {
            return Err(invalid("activationDays", "must be at least 1"));
        }
        if self
            .restricted_models
            .names
            .iter()
            .any(|model| ModelName::try_from(model.as_str()).is_err())
        {
            return Err(invalid("restrictedModels", "must be names of 1 to 256 bytes"));
        }
        for tag in &self.tags {
            check_name("tags", tag, 100, "must have 1 to 100 characters each")?;
        }
        Ok(())
    }
}

fn invalid(field: &'static str, why: &'static str) -> OperatorError {
    OperatorError::Invalid { field, why }
}

#[cfg(test)]
mod tests;
