//! What an operator sends to change an account.

use relay_domain::{Account, AccountKind, ModelMap, Multiplier, OnDisconnect, Priority, Timestamp};
use relay_engine::operator::{AccountChange, NewProxy, ProxyChange};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Number;
use utoipa::ToSchema;

use super::proxy::ProxyRecord;
use super::record::account_record;
use super::settings::{
    AccountKindName, OnDisconnectName, SupportedModels, end_of_subscription, multiplier,
};
use crate::admin::error::ApiError;
use crate::admin::extract::given_secret;
use crate::admin::given_limits::{BudgetPolicyName, GivenLimits, minute_of_day, money};
use crate::admin::patch::{Patch, given, set};

account_record! {
    /// What is to be changed of an account. What is left out stays; `null` clears what can be empty.
    AccountChangeRecord,
    [#[serde(default, deserialize_with = "given")] #[schema(nullable = false)]],
    {
        /// Where it is: scheme, host and perhaps a path; `/v1` and `/v1/messages` at its end are dropped.
        #[serde(default, deserialize_with = "given")]
        #[schema(nullable = false, format = "uri")]
        api_url: Option<String>,
        /// Another credential. It is never shown again.
        #[serde(default, deserialize_with = "given_secret")]
        #[schema(value_type = Option<String>, nullable = false, format = Password, min_length = 1)]
        api_key: Option<SecretString>,
        /// Smaller is tried first.
        #[serde(default, deserialize_with = "given")]
        #[schema(value_type = Option<u8>, nullable = false, minimum = 1, maximum = 100)]
        priority: Option<Priority>,
        /// `null`: it is reached directly.
        #[serde(default)]
        #[schema(value_type = Option<ProxyRecord>)]
        proxy: Patch<ProxyRecord>,
        /// When its subscription ends; it is not used afterwards. `null`: it does not end.
        #[serde(default)]
        #[schema(value_type = Option<String>, format = DateTime)]
        subscription_expires_at: Patch<String>,
        /// What is noted about its state.
        #[serde(default)]
        #[schema(value_type = Option<String>)]
        error_message: Patch<String>,
        /// `active` says that it is well: whatever kept it out ends.
        #[serde(default, deserialize_with = "given")]
        #[schema(nullable = false)]
        status: Option<StatusName>,
    }
}

/// The state that an operator can give an account.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum StatusName {
    Active,
}

/// A change of an account whose every field can be read.
pub(super) struct ReadChange {
    base_url: Option<String>,
    secret: Option<SecretString>,
    proxy: Patch<NewProxy>,
    /// Whether what keeps the account out is to end.
    is_well: bool,
    settings: Settings,
}

/// Settings of an account that are no secrets. What is `None` stays.
struct Settings {
    name: Option<String>,
    description: Option<String>,
    user_agent: Option<String>,
    priority: Option<Priority>,
    models: Option<ModelMap>,
    rate_limit_minutes: Option<u32>,
    is_active: Option<bool>,
    kind: Option<AccountKind>,
    schedulable: Option<bool>,
    limits: GivenLimits,
    rate: Option<Multiplier>,
    on_disconnect: Option<OnDisconnect>,
    /// A subscription may also be said to end never.
    subscription_ends: Patch<Option<Timestamp>>,
    error_message: Option<String>,
}

impl AccountChangeRecord {
    /// The change in the engine's words.
    pub(super) fn read(self) -> Result<ReadChange, ApiError> {
        let limits = self.limits()?;
        Ok(ReadChange {
            base_url: self.api_url,
            secret: self.api_key,
            proxy: self.proxy.try_map(ProxyRecord::into_new_proxy)?,
            is_well: self.status.is_some(),
            settings: Settings {
                name: self.name,
                description: self.description.told(),
                user_agent: self.user_agent.told(),
                priority: self.priority,
                models: self.supported_models.map(ModelMap::from).told(),
                rate_limit_minutes: self.rate_limit_duration.told(),
                is_active: self.is_active,
                kind: self.account_type.map(AccountKind::from),
                schedulable: self.schedulable,
                limits,
                rate: self.rate_multiplier.as_ref().map(multiplier).transpose()?,
                on_disconnect: self.on_disconnect.map(OnDisconnect::from),
                subscription_ends: self
                    .subscription_expires_at
                    .try_map(|text| end_of_subscription(&text))?,
                error_message: self.error_message.told(),
            },
        })
    }
}

impl ReadChange {
    /// The proxy that it sets, if it sets one.
    pub(super) fn new_proxy(&self) -> Option<&NewProxy> {
        match &self.proxy {
            Patch::Set(proxy) => Some(proxy),
            Patch::Keep | Patch::Clear => None,
        }
    }

    /// Hands the change on, to be made by `edit`.
    pub(super) fn into_parts(
        self,
    ) -> (impl Fn(&mut Account) + Send + Sync, AccountChange<'static>) {
        let Self { base_url, secret, proxy, is_well, settings } = self;
        let proxy = match proxy {
            Patch::Keep => ProxyChange::Keep,
            Patch::Clear => ProxyChange::Remove,
            Patch::Set(proxy) => ProxyChange::Set(proxy),
        };
        let change = AccountChange { edit: None, base_url, secret, proxy, is_well };
        (move |account: &mut Account| settings.apply(account), change)
    }
}

impl Settings {
    fn apply(&self, account: &mut Account) {
        set(&mut account.name, self.name.as_ref());
        set(&mut account.description, self.description.as_ref());
        set(&mut account.priority, self.priority.as_ref());
        set(&mut account.models, self.models.as_ref());
        set(&mut account.rate_limit_minutes, self.rate_limit_minutes.as_ref());
        set(&mut account.is_active, self.is_active.as_ref());
        set(&mut account.kind, self.kind.as_ref());
        set(&mut account.schedulable, self.schedulable.as_ref());
        set(&mut account.rate, self.rate.as_ref());
        set(&mut account.on_disconnect, self.on_disconnect.as_ref());
        self.subscription_ends.apply(&mut account.subscription_ends, |end| *end);
        set(&mut account.error_message, self.error_message.as_ref());
        if self.user_agent.is_some() {
            account.user_agent.clone_from(&self.user_agent);
        }
        self.limits.apply(&mut account.limits);
    }
}
