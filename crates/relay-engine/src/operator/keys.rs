//! API keys: making and finding them.

use relay_domain::{
    Account, AccountId, ApiKey, Expiry, KeyDigest, KeyId, Limits, ModelName, Permissions, Platform,
    Timestamp,
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
    pub restricted_models: Vec<String>,
    /// The Claude Console account that all its requests must use.
    pub bound_claude_account: Option<AccountId>,
    /// The Codex account that all its requests must use.
    pub bound_codex_account: Option<AccountId>,
    /// What it may spend and how fast. This version keeps only the limit of requests in flight, zero
    /// meaning none; a key with another is refused, because a limit that is not kept is worse than none.
    pub limits: Limits,
    /// Free labels.
    pub tags: Vec<String>,
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
            expiry: Expiry::Never,
            permissions: Permissions::All,
            restricted_models: Vec::new(),
            bound_claude_account: None,
            bound_codex_account: None,
            limits: Limits::default(),
            tags: Vec::new(),
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
            description: new.description,
            is_active: new.is_active,
            deleted: None,
            expiry: new.expiry,
            permissions: new.permissions,
            restricted_models: new.restricted_models,
            bound_claude_account: new.bound_claude_account,
            bound_codex_account: new.bound_codex_account,
            limits: Limits { concurrency, ..new.limits },
            tags: new.tags,
            created_by: new.created_by,
            created_at: now,
            updated_at: None,
            last_used_at: None,
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
        match self.expiry {
            Expiry::At(at) if at <= now => {
                return Err(invalid("expiresAt", "must lie in the future"));
            }
            Expiry::AfterFirstUse(lifetime) if lifetime.is_zero() => {
                return Err(invalid("activationDays", "must be at least 1"));
            }
            Expiry::Never | Expiry::At(_) | Expiry::AfterFirstUse(_) => {}
        }
        if self.restricted_models.iter().any(|model| ModelName::try_from(model.as_str()).is_err()) {
            return Err(invalid("restrictedModels", "must be names of 1 to 256 bytes"));
        }
        for tag in &self.tags {
            check_name("tags", tag, 100, "must have 1 to 100 characters each")?;
        }
        match unkept_limit(&self.limits) {
            Some(field) => Err(invalid(
                field,
                "cannot be kept by this version of Relay; it keeps only concurrencyLimit",
            )),
            None => Ok(()),
        }
    }
}

/// The first limit that a request would not be held to. The engine lets no key in that has one.
fn unkept_limit(limits: &Limits) -> Option<&'static str> {
    let given = |is_set: bool, field| is_set.then_some(field);
    let of_window = limits.window.and_then(|window| {
        given(window.requests.is_some(), "rateLimitRequests")
            .or(given(window.cost.is_some(), "rateLimitCost"))
            .or(given(window.tokens.is_some(), "tokenLimit"))
            .or(Some("rateLimitWindow"))
    });
    of_window
        .or(given(limits.daily_cost.is_some(), "dailyCostLimit"))
        .or(given(limits.total_cost.is_some(), "totalCostLimit"))
        .or(given(limits.weekly_claude_cost.is_some(), "weeklyOpusCostLimit"))
}

fn invalid(field: &'static str, why: &'static str) -> OperatorError {
    OperatorError::Invalid { field, why }
}

#[cfg(test)]
mod tests;
