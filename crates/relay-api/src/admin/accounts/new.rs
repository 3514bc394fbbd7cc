//! What an operator sends to add an account.

use std::collections::BTreeMap;

use relay_domain::{AccountKind, Limits, ModelMap, Platform, Priority, ProxyScheme};
use relay_engine::operator::{NewAccount, NewProxy, NewProxyAuth};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Number;
use utoipa::ToSchema;

use crate::admin::dollars;
use crate::admin::error::ApiError;
use crate::admin::extract::secret;

/// An account to be added. All but `apiUrl` and `apiKey` may be left out.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewAccountRecord {
    /// Where it is: scheme, host and perhaps a path; `/v1` and `/v1/messages` at its end are dropped.
    #[schema(format = "uri")]
    api_url: String,
    /// Its credential. It is never shown again.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, format = Password, min_length = 1)]
    api_key: SecretString,
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// Replaces the client's user agent.
    user_agent: Option<String>,
    /// Smaller is tried first; 50 unless told otherwise.
    #[schema(value_type = Option<u8>, minimum = 1, maximum = 100)]
    priority: Option<Priority>,
    supported_models: Option<SupportedModels>,
    /// How long a 429 without a reset time keeps it out, in minutes. 0: by the provider's word only.
    rate_limit_duration: Option<u32>,
    proxy: Option<NewProxyRecord>,
    is_active: Option<bool>,
    account_type: Option<AccountKindName>,
    schedulable: Option<bool>,
    /// Requests in flight at once; 0 means no limit.
    max_concurrent_tasks: Option<u32>,
    /// Dollars; 0 means no limit.
    #[schema(value_type = Option<f64>, minimum = 0)]
    daily_quota: Option<Number>,
}

/// The models that an account serves: from the client's names to its own, or a list of names that are
/// the same on both sides. Empty: all.
#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "must be an object of names to names, or a list of names")]
pub(super) enum SupportedModels {
    Map(BTreeMap<String, String>),
    List(Vec<String>),
}

/// A proxy in front of an account. The account is never reached without it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewProxyRecord {
    /// `http`, `https` or `socks5`.
    #[schema(value_type = String)]
    protocol: ProxyScheme,
    host: String,
    #[schema(minimum = 1)]
    port: u16,
    auth: Option<NewProxyAuthRecord>,
}

/// What a proxy asks for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewProxyAuthRecord {
    username: String,
    /// It is never shown again.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// Whether any key may use an account.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum AccountKindName {
    Shared,
    Dedicated,
}

impl From<AccountKindName> for AccountKind {
    fn from(name: AccountKindName) -> Self {
        match name {
            AccountKindName::Shared => Self::Shared,
            AccountKindName::Dedicated => Self::Dedicated,
        }
    }
}

impl From<SupportedModels> for ModelMap {
    fn from(models: SupportedModels) -> Self {
        Self::new(match models {
            SupportedModels::Map(map) => map,
            SupportedModels::List(list) => {
                list.into_iter().map(|name| (name.clone(), name)).collect()
            }
        })
    }
}

impl From<NewProxyRecord> for NewProxy {
    fn from(record: NewProxyRecord) -> Self {
        let auth = record
            .auth
            .map(|NewProxyAuthRecord { username, password }| NewProxyAuth { username, password });
        Self { scheme: record.protocol, host: record.host, port: record.port, auth }
    }
}

impl NewAccountRecord {
    /// The account to be added, in the engine's words.
    pub(super) fn into_new_account(self, platform: Platform) -> Result<NewAccount, ApiError> {
        let base = NewAccount::new(platform, self.api_url, self.api_key);
        Ok(NewAccount {
            name: self.name,
            description: self.description.unwrap_or_default(),
            priority: self.priority.unwrap_or(base.priority),
            models: self.supported_models.map(ModelMap::from).unwrap_or_default(),
            user_agent: self.user_agent,
            proxy: self.proxy.map(NewProxy::from),
            is_active: self.is_active.unwrap_or(base.is_active),
            schedulable: self.schedulable.unwrap_or(base.schedulable),
            kind: self.account_type.map_or(base.kind, AccountKind::from),
            rate_limit_minutes: self.rate_limit_duration.unwrap_or(base.rate_limit_minutes),
            limits: Limits {
                daily_cost: dollars::limit("dailyQuota", self.daily_quota.as_ref())?,
                concurrency: self.max_concurrent_tasks,
                ..Limits::default()
            },
            ..base
        })
    }
}
