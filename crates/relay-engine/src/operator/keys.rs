//! API keys: making and finding them.

mod bulk;
mod change;
mod standing;

use std::sync::Arc;
use std::time::Duration;

use relay_domain::{
    AccountBinding, Actor, ApiKey, Expiry, GroupId, KeyDigest, KeyId, KeyUser, Limits, ModelName,
    Permissions, Platform, Restriction, ServiceRates, Timestamp, UnpricedPolicy, WaitQueue,
    WindowCaps,
};
use relay_store::{KeyQuery, Page, StoreError};
use secrecy::{ExposeSecret as _, SecretString};

use super::audit::Change;
use super::{Operator, OperatorError, check_description, check_name, fresh_id, limits, snapshot};

pub use bulk::{BULK_AT_ONCE, KeyPreview};
pub use change::{KeyEdit, LONGEST_GRACE};
pub use standing::KeyStanding;

/// The longest time that a request may wait for its turn.
const LONGEST_WAIT: Duration = Duration::from_mins(10);
/// The longest picture, which may be a data URL.
const MAX_ICON_CHARS: usize = 65_536;
/// Labels of a key at most.
const MAX_TAGS: usize = 100;

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
    /// The Claude Console accounts that alone may serve it.
    pub claude_binding: AccountBinding,
    /// The Codex accounts that alone may serve it.
    pub codex_binding: AccountBinding,
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
    pub user: KeyUser,
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
            claude_binding: AccountBinding::Pool,
            codex_binding: AccountBinding::Pool,
            group: None,
            limits: Limits::default(),
            idle_window: WindowCaps::default(),
            service_rates: ServiceRates::default(),
            unpriced: None,
            queue: None,
            tags: Vec::new(),
            icon: String::new(),
            user: KeyUser::default(),
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
    pub async fn create_key(
        &self,
        actor: &Actor,
        new: NewKey,
    ) -> Result<(ApiKey, SecretString), OperatorError> {
        let (key, secret) = self.mint_key(new);
        self.check_key(None, &key, self.clock.now()).await?;
        if let Err(error) = self.stores.keys.create(&key).await {
            return Err(self.why_not_made(&key, error).await);
        }
        self.note_new_key(actor, &key).await;
        Ok((self.with_user(key).await?, secret))
    }

    /// A page of the keys.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn page_of_keys(&self, query: &KeyQuery) -> Result<Page<ApiKey>, OperatorError> {
        Ok(self.stores.keys.page(query).await?)
    }

    /// All keys that are asked for at once, the limit aside.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn all_keys(&self, query: &KeyQuery) -> Result<Page<Arc<ApiKey>>, OperatorError> {
        Ok(self.stores.keys.all(query).await?)
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

    /// A key that was just written, with how its user stands: of one that it was given to, only the store
    /// can tell.
    async fn with_user(&self, key: ApiKey) -> Result<ApiKey, OperatorError> {
        if key.user.standing().is_none() {
            return Ok(key);
        }
        let stored = self.stores.keys.get(&key.id).await?;
        let user = stored.map_or_else(|| key.user.clone(), |stored| stored.user);
        Ok(ApiKey { user, ..key })
    }

    /// A key as it is asked for, with a secret of its own.
    fn mint_key(&self, new: NewKey) -> (ApiKey, SecretString) {
        let secret = self.minter.mint();
        let id = fresh_id::key_id();
        let key = ApiKey {
            digest: KeyDigest::new(self.hasher.digest(secret.expose_secret())),
            retiring: None,
            name: new.name.unwrap_or_else(|| format!("API Key {id}")),
            id,
            description: new.description,
            icon: new.icon,
            is_active: new.is_active,
            deleted: None,
            restored: None,
            expiry: new.expiry,
            permissions: new.permissions,
            restricted_models: new.restricted_models,
            allowed_clients: new.allowed_clients,
            claude_binding: new.claude_binding,
            codex_binding: new.codex_binding,
            group: new.group,
            limits: limits::without_zeros(new.limits),
            idle_window: limits::caps_without_zeros(new.idle_window),
            service_rates: new.service_rates,
            unpriced: new.unpriced,
            queue: new.queue,
            tags: new.tags,
            user: new.user,
            created_by: new.created_by,
            created_at: self.clock.now(),
            updated_at: None,
            last_used_at: None,
            revision: 0,
        };
        (key, secret)
    }

    async fn note_new_key(&self, actor: &Actor, key: &ApiKey) {
        let (id, after) = (key.id.to_string(), Some(snapshot::key(key)));
        let change = Change { action: "key.create", kind: "key", id, before: None, after };
        self.note(actor, change).await;
    }

    /// Why a key was not made. A group that went since it was looked at is answered for like one that never
    /// was.
    async fn why_not_made(&self, key: &ApiKey, error: StoreError) -> OperatorError {
        if let StoreError::Missing { .. } = error
            && let Err(refused) = self.check_key(None, key, self.clock.now()).await
        {
            return refused;
        }
        error.into()
    }

    /// Whether a key can be as it is asked for. What it was before is not held against it.
    async fn check_key(
        &self,
        old: Option<&ApiKey>,
        new: &ApiKey,
        now: Timestamp,
    ) -> Result<(), OperatorError> {
        check_fields(old, new, now)?;
        let fields = [
            ("claudeConsoleAccountId", Platform::ClaudeConsole),
            ("codexAccountId", Platform::Codex),
        ];
        for (field, platform) in fields {
            let binding = new.binding(platform);
            if old.is_none_or(|old| old.binding(platform) != binding) {
                self.check_binding(field, platform, binding).await?;
            }
        }
        if let Some(group) = &new.group
            && old.is_none_or(|old| old.group.as_ref() != Some(group))
            && self.stores.groups.get(group).await?.is_none()
        {
            return Err(invalid("groupId", "must be the id of a group"));
        }
        Ok(())
    }

    /// A binding to what cannot serve it would refuse every request of the key.
    async fn check_binding(
        &self,
        field: &'static str,
        platform: Platform,
        binding: &AccountBinding,
    ) -> Result<(), OperatorError> {
        let found = match binding {
            AccountBinding::Pool => return Ok(()),
            AccountBinding::Account(id) => {
                self.stores.accounts.get(id).await?.map(|account| account.platform)
            }
            AccountBinding::Group(id) => {
                self.stores.account_groups.get(id).await?.map(|group| group.platform)
            }
            AccountBinding::Unusable => None,
        };
        if found == Some(platform) {
            return Ok(());
        }
        Err(invalid(
            field,
            "must be the id of an account of its platform, or group: and the id of a group of such accounts",
        ))
    }
}

/// What can be told of a key without asking the store.
fn check_fields(old: Option<&ApiKey>, new: &ApiKey, now: Timestamp) -> Result<(), OperatorError> {
    if old.is_none_or(|old| old.name != new.name) {
        check_name("name", &new.name, 100, "must have 1 to 100 characters")?;
    }
    if old.is_none_or(|old| old.description != new.description) {
        check_description(&new.description)?;
    }
    if old.is_none_or(|old| old.expiry != new.expiry) {
        if old.is_none() && new.expiry.is_over(now) {
            return Err(invalid("expiresAt", "must lie in the future"));
        }
        if new.expiry.due().is_some_and(|lifetime| lifetime.is_zero()) {
            return Err(invalid("activationDays", "must be at least 1"));
        }
    }
    let is_new = |same: fn(&ApiKey, &ApiKey) -> bool| old.is_none_or(|old| !same(old, new));
    // What a predecessor has left longer is kept as it is.
    if is_new(|old, new| old.icon == new.icon) && MAX_ICON_CHARS < new.icon.chars().count() {
        return Err(invalid("icon", "must have at most 65536 characters"));
    }
    if is_new(|old, new| old.restricted_models.names == new.restricted_models.names)
        && new
            .restricted_models
            .names
            .iter()
            .any(|name| ModelName::try_from(name.as_str()).is_err())
    {
        return Err(invalid("restrictedModels", "must be names of 1 to 256 bytes"));
    }
    if is_new(|old, new| old.allowed_clients.names == new.allowed_clients.names) {
        for client in &new.allowed_clients.names {
            check_name("allowedClients", client, 100, "must have 1 to 100 characters each")?;
        }
    }
    if is_new(|old, new| old.tags == new.tags) {
        if MAX_TAGS < new.tags.len() {
            return Err(invalid("tags", "must be at most 100"));
        }
        for tag in &new.tags {
            check_name("tags", tag, 100, "must have 1 to 100 characters each")?;
        }
    }
    if let Some(queue) = new.queue {
        if queue.max_waiting == 0 {
            return Err(invalid("queue.maxWaiting", "must be at least 1"));
        }
        if queue.deadline.is_zero() || LONGEST_WAIT < queue.deadline {
            return Err(invalid("queue.timeoutSeconds", "must be a number from 1 to 600"));
        }
    }
    limits::check(&new.limits, new.window_caps())
}

fn invalid(field: &'static str, why: &'static str) -> OperatorError {
    OperatorError::Invalid { field, why }
}

#[cfg(test)]
mod tests;
