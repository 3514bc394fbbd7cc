//! Upstream accounts: adding and finding them.

mod change;

use std::sync::Arc;

use http::HeaderValue;
use http::uri::Authority;
use relay_crypto::LegacySalt;
use relay_domain::{
    Account, AccountHealth, AccountId, AccountKind, Actor, Limits, ModelMap, ModelName, Multiplier,
    OnDisconnect, Platform, Priority, Proxy, ProxyAuth, ProxyScheme, ProxySetting, SealedSecret,
    Timestamp, WindowCaps,
};
use relay_store::{AccountQuery, Page};
use secrecy::{ExposeSecret as _, SecretString};

use super::audit::Change;
use super::{Operator, OperatorError, check_description, check_name, fresh_id, limits, snapshot};
use crate::UpstreamUrl;
use crate::account_secrets::salt_of;

pub use change::{AccountChange, ProxyChange};

/// An account to be added.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Which protocol and provider it speaks for.
    pub platform: Platform,
    /// Its name, 1 to 100 characters; `None`: one made of its platform and id.
    pub name: Option<String>,
    /// What the operator notes about it, up to 500 characters.
    pub description: String,
    /// Where it is, in any spelling that [`UpstreamUrl`] reads.
    pub base_url: String,
    /// Its credential; white space around it is dropped.
    pub secret: SecretString,
    /// Smaller is tried first.
    pub priority: Priority,
    /// Which models it serves and under what names; empty: all.
    pub models: ModelMap,
    /// Replaces the client's user agent.
    pub user_agent: Option<String>,
    /// The proxy that it is reached through.
    pub proxy: Option<NewProxy>,
    /// An operator's switch.
    pub is_active: bool,
    /// Whether the scheduler may choose it.
    pub schedulable: bool,
    /// Whether any key may use it.
    pub kind: AccountKind,
    /// How long a 429 without a reset time keeps it out, in minutes. Zero: by the provider's word only.
    pub rate_limit_minutes: u32,
    /// What may be spent on it and how fast. A number of zero means no limit.
    pub limits: Limits,
    /// By how much what it costs counts for a key that uses it.
    pub rate: Multiplier,
    /// When its subscription ends.
    pub subscription_ends: Option<Timestamp>,
    /// What becomes of a request whose client leaves.
    pub on_disconnect: OnDisconnect,
}

/// A proxy in front of an account to be added.
#[derive(Clone, Debug)]
pub struct NewProxy {
    /// How the proxy is spoken to.
    pub scheme: ProxyScheme,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What it asks for.
    pub auth: Option<NewProxyAuth>,
}

/// The name and password that a proxy asks for.
#[derive(Clone, Debug)]
pub struct NewProxyAuth {
    /// The name.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

impl NewAccount {
    /// An account of the shared pool that serves every model, is reached directly and can be used at
    /// once.
    #[must_use]
    pub fn new(platform: Platform, base_url: impl Into<String>, secret: SecretString) -> Self {
        Self {
            platform,
            name: None,
            description: String::new(),
            base_url: base_url.into(),
            secret,
            priority: Priority::DEFAULT,
            models: ModelMap::default(),
            user_agent: None,
            proxy: None,
            is_active: true,
            schedulable: true,
            kind: AccountKind::Shared,
            rate_limit_minutes: 0,
            limits: Limits::default(),
            rate: Multiplier::ONE,
            subscription_ends: None,
            on_disconnect: OnDisconnect::Abort,
        }
    }
}

impl Operator {
    /// Adds an account. Its address is kept in one spelling, its credential sealed.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Invalid`] with the first field that is wrong, or the store's.
    pub async fn create_account(
        &self,
        actor: &Actor,
        new: NewAccount,
    ) -> Result<Account, OperatorError> {
        check_secret(&new.secret)?;
        new.proxy.as_ref().map_or(Ok(()), check_proxy)?;
        let base_url = spelled(&new.base_url)?;
        let salt = salt_of(new.platform);
        let proxy = match new.proxy {
            None => ProxySetting::Direct,
            Some(proxy) => ProxySetting::Via(self.seal_proxy(proxy, salt).await?),
        };
        let id = fresh_id::account_id();
        let default_name = || format!("{} Account {:.8}", new.platform, id.as_str());
        let account = Account {
            platform: new.platform,
            name: new.name.unwrap_or_else(default_name),
            id,
            description: new.description,
            base_url,
            secret: self.seal(trimmed(&new.secret), salt).await?,
            priority: new.priority,
            models: new.models,
            user_agent: new.user_agent.filter(|agent| !agent.is_empty()),
            proxy,
            is_active: new.is_active,
            schedulable: new.schedulable,
            kind: new.kind,
            rate_limit_minutes: new.rate_limit_minutes,
            limits: limits::without_zeros(new.limits),
            rate: new.rate,
            subscription_ends: new.subscription_ends,
            on_disconnect: new.on_disconnect,
            error_message: String::new(),
            health: AccountHealth::default(),
            created_at: self.clock.now(),
            updated_at: None,
            last_used_at: None,
            revision: 0,
        };
        check_fields(&account)?;
        self.stores.accounts.create(&account).await?;
        let (id, after) = (account.id.to_string(), Some(snapshot::account(&account)));
        let change = Change { action: "account.create", kind: "account", id, before: None, after };
        self.note(actor, change).await;
        Ok(account)
    }

    /// A page of the accounts.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn page_of_accounts(
        &self,
        query: &AccountQuery,
    ) -> Result<Page<Account>, OperatorError> {
        Ok(query.page(self.stores.accounts.list().await?))
    }

    /// Every account of every platform, by priority and then by id.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn accounts(&self) -> Result<Vec<Account>, OperatorError> {
        Ok(self.stores.accounts.list().await?)
    }

    /// The account with this id.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn account(&self, id: &AccountId) -> Result<Option<Account>, OperatorError> {
        Ok(self.stores.accounts.get(id).await?)
    }

    async fn seal_proxy(&self, new: NewProxy, salt: LegacySalt) -> Result<Proxy, OperatorError> {
        let auth = match new.auth {
            None => None,
            Some(NewProxyAuth { username, password }) => {
                Some(ProxyAuth { username, password: self.seal(password, salt).await? })
            }
        };
        Ok(Proxy { scheme: new.scheme, host: new.host, port: new.port, auth })
    }

    pub(super) async fn seal(
        &self,
        secret: SecretString,
        salt: LegacySalt,
    ) -> Result<SealedSecret, OperatorError> {
        let keyring = Arc::clone(&self.keyring);
        self.heavy(move || keyring.seal(&secret, salt)).await.map(SealedSecret::new)
    }
}

fn require(holds: bool, field: &'static str, why: &'static str) -> Result<(), OperatorError> {
    holds.then_some(()).ok_or(OperatorError::Invalid { field, why })
}

/// An address in the one spelling in which it is kept.
fn spelled(base_url: &str) -> Result<String, OperatorError> {
    let why =
        "must be http:// or https://, a host and perhaps a path, without credentials or query";
    let url = UpstreamUrl::parse(base_url);
    url.map(|url| url.to_string()).ok_or(OperatorError::Invalid { field: "apiUrl", why })
}

fn check_secret(secret: &SecretString) -> Result<(), OperatorError> {
    let secret = secret.expose_secret().trim();
    let sendable = !secret.is_empty() && HeaderValue::from_str(secret).is_ok();
    require(sendable, "apiKey", "must be one line of printable ASCII characters")
}

fn check_proxy(proxy: &NewProxy) -> Result<(), OperatorError> {
    let address = format!("{}:{}", proxy.host, proxy.port).parse::<Authority>();
    let is_host = address.is_ok_and(|address| address.host() == proxy.host);
    let whole = is_host && !proxy.host.is_empty() && proxy.port > 0;
    require(whole, "proxy", "must name a host and a port")?;
    let named = proxy.auth.as_ref().is_none_or(|auth| !auth.username.is_empty());
    require(named, "proxy", "must name a user if it has a password")
}

/// What can be told of an account without its secrets.
fn check_fields(account: &Account) -> Result<(), OperatorError> {
    check_name("name", &account.name, 100, "must have 1 to 100 characters")?;
    check_description(&account.description)?;
    let named = |name: &str| ModelName::try_from(name).is_ok();
    let models = account.models.pairs().iter();
    let all_named =
        models.into_iter().all(|(from, to)| named(from) && (to.is_empty() || named(to)));
    require(all_named, "supportedModels", "must be names of 1 to 256 bytes")?;
    let agent = account.user_agent.as_deref().unwrap_or_default();
    let why = "must be one line of printable ASCII characters";
    require(HeaderValue::from_str(agent).is_ok(), "userAgent", why)?;
    let cost = account.limits.window.and_then(|window| window.cost);
    limits::check(&account.limits, WindowCaps { cost, ..WindowCaps::default() })
}

/// A pasted credential often has a line break at its end, which no header can carry.
fn trimmed(secret: &SecretString) -> SecretString {
    SecretString::from(secret.expose_secret().trim())
}

#[cfg(test)]
mod tests;
