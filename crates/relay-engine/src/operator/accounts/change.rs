//! Changing accounts: editing, switching, resetting, removing.

use relay_domain::{
    Account, AccountId, Actor, HealthEvent, LimitScope, ProxySetting, SealedSecret,
};
use relay_store::Update;
use secrecy::{ExposeSecret as _, SecretString};

use super::{NewProxy, check_fields, check_proxy, check_secret, spelled, trimmed};
use crate::operator::audit::Change;
use crate::operator::error::{check_revision, contended};
use crate::operator::{ATTEMPTS, Operator, OperatorError, limits, snapshot};

/// What is to be done to an account. What is `None` stays as it is.
#[derive(Default)]
pub struct AccountChange<'a> {
    /// Changes settings other than those below. What no operator may change is put back afterwards.
    pub edit: Option<&'a (dyn Fn(&mut Account) + Send + Sync)>,
    /// Another address, in any spelling that [`UpstreamUrl`](crate::UpstreamUrl) reads.
    pub base_url: Option<String>,
    /// Another credential.
    pub secret: Option<SecretString>,
    /// Another way to reach it.
    pub proxy: ProxyChange,
    /// Whether it is well: every penalty ends, as [`Operator::reset_account`] has it.
    pub is_well: bool,
}

/// What is to be done to the way in which an account is reached.
#[derive(Clone, Debug, Default)]
pub enum ProxyChange {
    /// Nothing.
    #[default]
    Keep,
    /// It is reached directly.
    Remove,
    /// It is reached through this proxy. An empty password means the one that this user had before, which
    /// is never shown and so cannot be sent back.
    Set(NewProxy),
}

impl Operator {
    /// Changes an account. `expected`: only if its revision still is that.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NotFound`], [`OperatorError::Stale`], [`OperatorError::Invalid`] with the first
    /// field that is wrong, or the store's.
    pub async fn update_account(
        &self,
        actor: &Actor,
        id: &AccountId,
        expected: Option<u64>,
        change: AccountChange<'_>,
    ) -> Result<Account, OperatorError> {
        let AccountChange { edit, base_url, secret, proxy, is_well } = change;
        let before = self.account_at(id, expected).await?;
        let salt = self.salt_of_account(&before).await;
        let base_url = base_url.as_deref().map(spelled).transpose()?;
        let secret = match secret {
            Some(secret) => {
                check_secret(&secret)?;
                Some(self.seal(trimmed(&secret), salt).await?)
            }
            None => None,
        };
        let proxy = match proxy {
            ProxyChange::Keep => None,
            ProxyChange::Remove => Some(ProxySetting::Direct),
            ProxyChange::Set(proxy) => {
                check_proxy(&proxy)?;
                let known = known_password(&before, &proxy);
                let mut sealed = self.seal_proxy(proxy, salt).await?;
                if let (Some(auth), Some(known)) = (&mut sealed.auth, known) {
                    auth.password = known;
                }
                Some(ProxySetting::Via(sealed))
            }
        };
        let change = |mut new: Account| {
            if let Some(edit) = edit {
                let untouched = (new.base_url.clone(), new.secret.clone(), new.proxy.clone());
                edit(&mut new);
                (new.base_url, new.secret, new.proxy) = untouched;
            }
            if let Some(base_url) = &base_url {
                new.base_url.clone_from(base_url);
            }
            if let Some(secret) = &secret {
                new.secret = secret.clone();
            }
            if let Some(proxy) = &proxy {
                new.proxy = proxy.clone();
            }
            new
        };
        if !is_well {
            return self.change_account(actor, "account.update", id, expected, change).await;
        }
        let (old, changed) = self.changed_account(id, expected, change).await?;
        let action = if changed == old { "account.reset" } else { "account.update" };
        // One change to the operator: what was written before a fault is noted as well.
        let healed = self.healed_account(id).await;
        let new = healed.as_ref().unwrap_or(&changed);
        if healed.is_ok() || changed != old {
            self.note_account(actor, action, &old, new).await;
        }
        healed
    }

    /// Takes an account into scheduling or out of it.
    ///
    /// # Errors
    ///
    /// As [`update_account`](Self::update_account).
    pub async fn schedule_account(
        &self,
        actor: &Actor,
        id: &AccountId,
        expected: Option<u64>,
        schedulable: bool,
    ) -> Result<Account, OperatorError> {
        let change = |account: Account| Account { schedulable, ..account };
        self.change_account(actor, "account.schedule", id, expected, change).await
    }

    /// Says that an account is well: every penalty ends, of single models too, and what was noted about
    /// its state is cleared.
    ///
    /// # Errors
    ///
    /// As [`update_account`](Self::update_account).
    pub async fn reset_account(
        &self,
        actor: &Actor,
        id: &AccountId,
        expected: Option<u64>,
    ) -> Result<Account, OperatorError> {
        let old = self.account_at(id, expected).await?;
        let new = self.healed_account(id).await?;
        self.note_account(actor, "account.reset", &old, &new).await;
        Ok(new)
    }

    /// Starts every limit of an account's own anew. What requests in flight hold still weighs on them; statistics
    /// are not touched. `expected`: only if its revision still is that.
    ///
    /// # Errors
    ///
    /// As [`update_account`](Self::update_account).
    pub async fn restart_account_limits(
        &self,
        actor: &Actor,
        id: &AccountId,
        expected: Option<u64>,
    ) -> Result<Account, OperatorError> {
        let account = self.account_at(id, expected).await?;
        self.restart_limits(actor, &LimitScope::Account(id.clone()), &account.limits).await?;
        Ok(account)
    }

    /// Removes an account, also from its groups. Keys that are bound to it stay so, and are refused until they are bound
    /// otherwise.
    ///
    /// # Errors
    ///
    /// As [`update_account`](Self::update_account).
    pub async fn delete_account(
        &self,
        actor: &Actor,
        id: &AccountId,
        expected: Option<u64>,
    ) -> Result<(), OperatorError> {
        let old = self.account_at(id, expected).await?;
        let left = self.stores.accounts.delete(id).await?;
        let groups = left.ok_or(OperatorError::NotFound("Account"))?;
        let (target, before) = (id.to_string(), Some(snapshot::account(&old)));
        let (action, kind) = ("account.delete", "account");
        self.note(actor, Change { action, kind, id: target, before, after: None }).await;
        for group in groups {
            self.note_left_group(actor, group, id).await;
        }
        Ok(())
    }

    /// Ends every penalty of an account and clears what was noted about its state, which is still to be noted:
    /// how it is then.
    async fn healed_account(&self, id: &AccountId) -> Result<Account, OperatorError> {
        let now = self.clock.now();
        let health = self.stores.accounts.apply_health(id, &HealthEvent::Reset, now).await?;
        let health = health.ok_or(OperatorError::NotFound("Account"))?;
        let cleared = |account: Account| Account { error_message: String::new(), ..account };
        let (_, new) = self.changed_account(id, None, cleared).await?;
        Ok(Account { health, ..new })
    }

    async fn note_account(
        &self,
        actor: &Actor,
        action: &'static str,
        old: &Account,
        new: &Account,
    ) {
        let (before, after) = (Some(snapshot::account(old)), Some(snapshot::account(new)));
        let (kind, id) = ("account", new.id.to_string());
        self.note(actor, Change { action, kind, id, before, after }).await;
    }

    async fn account_at(
        &self,
        id: &AccountId,
        expected: Option<u64>,
    ) -> Result<Account, OperatorError> {
        let found = self.stores.accounts.get(id).await?;
        let account = found.ok_or(OperatorError::NotFound("Account"))?;
        check_revision(expected, account.revision)?;
        Ok(account)
    }

    async fn change_account(
        &self,
        actor: &Actor,
        action: &'static str,
        id: &AccountId,
        expected: Option<u64>,
        change: impl Fn(Account) -> Account + Send + Sync,
    ) -> Result<Account, OperatorError> {
        let (old, new) = self.changed_account(id, expected, change).await?;
        if new != old {
            self.note_account(actor, action, &old, &new).await;
        }
        Ok(new)
    }

    /// Writes a change that is still to be noted: how the account was, and how it is.
    async fn changed_account(
        &self,
        id: &AccountId,
        expected: Option<u64>,
        change: impl Fn(Account) -> Account + Send + Sync,
    ) -> Result<(Account, Account), OperatorError> {
        for _ in 0..ATTEMPTS {
            let old = self.account_at(id, expected).await?;
            let new = change(old.clone());
            let mut new = Account {
                id: old.id.clone(),
                platform: old.platform,
                limits: limits::without_zeros(new.limits),
                user_agent: new.user_agent.filter(|agent| !agent.is_empty()),
                health: old.health.clone(),
                created_at: old.created_at,
                updated_at: old.updated_at,
                last_used_at: old.last_used_at,
                revision: old.revision,
                ..new
            };
            if new == old {
                return Ok((old, new));
            }
            check_fields(&new)?;
            new.updated_at = Some(self.clock.now());
            match self.stores.accounts.update(&new).await? {
                Update::Done { revision } => {
                    new.revision = revision;
                    return Ok((old, new));
                }
                Update::Absent => return Err(OperatorError::NotFound("Account")),
                Update::Stale { current } if expected.is_some() => {
                    return Err(OperatorError::Stale { current });
                }
                Update::Stale { .. } => {}
            }
        }
        Err(contended("the account"))
    }
}

/// The password that an account's proxy has for the user that `new` names without one.
fn known_password(before: &Account, new: &NewProxy) -> Option<SealedSecret> {
    let asked = new.auth.as_ref().filter(|auth| auth.password.expose_secret().is_empty())?;
    let ProxySetting::Via(known) = &before.proxy else { return None };
    let known = known.auth.as_ref().filter(|known| known.username == asked.username)?;
    Some(known.password.clone())
}
