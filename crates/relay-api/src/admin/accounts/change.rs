//! What an operator sends to change an account.

#![expect(clippy::option_option, reason = "left out, null and a value are three things")]

use relay_domain::{Account, AccountKind, ModelMap, Multiplier, OnDisconnect, Priority, Timestamp};
use relay_engine::operator::{AccountChange, NewProxy, ProxyChange};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Number;
use utoipa::ToSchema;

use super::proxy::ProxyRecord;
use super::settings::{
    AccountKindName, OnDisconnectName, SupportedModels, end_of_subscription, multiplier,
};
use crate::admin::error::ApiError;
use crate::admin::extract::optional_secret;
use crate::admin::given_limits::{BudgetPolicyName, GivenLimits, minute_of_day, money};
use crate::admin::nullable::nullable;

/// What is to be changed of an account. What is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AccountChangeRecord {
    /// Where it is: scheme, host and perhaps a path; `/v1` and `/v1/messages` at its end are dropped.
    #[schema(format = "uri")]
    api_url: Option<String>,
    /// Another credential. It is never shown again.
    #[serde(default, deserialize_with = "optional_secret")]
    #[schema(value_type = Option<String>, format = Password, min_length = 1)]
    api_key: Option<SecretString>,
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// Replaces the client's user agent.
    user_agent: Option<String>,
    /// Smaller is tried first.
    #[schema(value_type = Option<u8>, minimum = 1, maximum = 100)]
    priority: Option<Priority>,
    supported_models: Option<SupportedModels>,
    /// How long a 429 without a reset time keeps it out, in minutes. 0: by the provider's word only.
    rate_limit_duration: Option<u32>,
    /// `null`: it is reached directly.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<ProxyRecord>)]
    proxy: Option<Option<ProxyRecord>>,
    is_active: Option<bool>,
    account_type: Option<AccountKindName>,
    schedulable: Option<bool>,
    /// Requests in flight at once; 0 means no limit.
    max_concurrent_tasks: Option<u32>,
    /// Dollars in a day; 0 means no limit.
    #[schema(value_type = Option<f64>, minimum = 0)]
    daily_quota: Option<Number>,
    /// When its day begins, in the operator's calendar.
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$", example = "08:30")]
    quota_reset_time: Option<String>,
    /// Dollars in a week; 0 means no limit.
    #[schema(value_type = Option<f64>, minimum = 0)]
    weekly_cost_limit: Option<Number>,
    /// Dollars in a calendar month; 0 means no limit.
    #[schema(value_type = Option<f64>, minimum = 0)]
    monthly_cost_limit: Option<Number>,
    /// Dollars over all time; 0 means no limit.
    #[schema(value_type = Option<f64>, minimum = 0)]
    total_cost_limit: Option<Number>,
    /// The day on which its week begins, 1 (Monday) to 7.
    #[schema(minimum = 1, maximum = 7)]
    weekly_reset_day: Option<u8>,
    /// The hour of that day.
    #[schema(maximum = 23)]
    weekly_reset_hour: Option<u8>,
    budget_policy: Option<BudgetPolicyName>,
    /// By how much what it costs counts for a key that uses it, with up to six decimals.
    #[schema(value_type = Option<f64>, minimum = 0)]
    rate_multiplier: Option<Number>,
    on_disconnect: Option<OnDisconnectName>,
    /// When its subscription ends; it is not used afterwards. `null`: it does not end.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, format = DateTime)]
    subscription_expires_at: Option<Option<String>>,
    /// What is noted about its state.
    error_message: Option<String>,
    /// `active` says that it is well: whatever kept it out ends.
    status: Option<StatusName>,
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
    proxy: Option<Option<NewProxy>>,
    /// Whether what keeps the account out is to end.
    pub(super) is_well: bool,
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
    subscription_ends: Option<Option<Timestamp>>,
    error_message: Option<String>,
}

impl AccountChangeRecord {
    /// The change in the engine's words.
    pub(super) fn read(self) -> Result<ReadChange, ApiError> {
        let limits = self.limits()?;
        let end = self.subscription_expires_at.map(|end| match end {
            Some(text) => end_of_subscription(&text),
            None => Ok(None),
        });
        let proxy = self.proxy.map(|proxy| proxy.map(ProxyRecord::into_new_proxy).transpose());
        Ok(ReadChange {
            base_url: self.api_url,
            secret: self.api_key,
            proxy: proxy.transpose()?,
            is_well: self.status.is_some(),
            settings: Settings {
                name: self.name,
                description: self.description,
                user_agent: self.user_agent,
                priority: self.priority,
                models: self.supported_models.map(ModelMap::from),
                rate_limit_minutes: self.rate_limit_duration,
                is_active: self.is_active,
                kind: self.account_type.map(AccountKind::from),
                schedulable: self.schedulable,
                limits,
                rate: self.rate_multiplier.as_ref().map(multiplier).transpose()?,
                on_disconnect: self.on_disconnect.map(OnDisconnect::from),
                subscription_ends: end.transpose()?,
                error_message: self.error_message,
            },
        })
    }

    /// The limits among it.
    fn limits(&self) -> Result<GivenLimits, ApiError> {
        let minute = |text: &String| minute_of_day("quotaResetTime", text);
        Ok(GivenLimits {
            concurrency: self.max_concurrent_tasks,
            daily_cost: money("dailyQuota", self.daily_quota.as_ref())?,
            day_minute: self.quota_reset_time.as_ref().map(minute).transpose()?,
            weekly_cost: money("weeklyCostLimit", self.weekly_cost_limit.as_ref())?,
            monthly_cost: money("monthlyCostLimit", self.monthly_cost_limit.as_ref())?,
            total_cost: money("totalCostLimit", self.total_cost_limit.as_ref())?,
            week_day: self.weekly_reset_day,
            week_hour: self.weekly_reset_hour,
            policy: self.budget_policy,
            ..GivenLimits::default()
        })
    }
}

impl ReadChange {
    /// The proxy that it sets, if it sets one.
    pub(super) fn new_proxy(&self) -> Option<&NewProxy> {
        self.proxy.as_ref().and_then(Option::as_ref)
    }

    /// Hands the change on, to be made by `edit`.
    pub(super) fn into_parts(
        self,
    ) -> (impl Fn(&mut Account) + Send + Sync, AccountChange<'static>) {
        let Self { base_url, secret, proxy, is_well: _, settings } = self;
        let proxy = match proxy {
            None => ProxyChange::Keep,
            Some(None) => ProxyChange::Remove,
            Some(Some(proxy)) => ProxyChange::Set(proxy),
        };
        let change = AccountChange { edit: None, base_url, secret, proxy };
        (move |account: &mut Account| settings.apply(account), change)
    }
}

impl Settings {
    fn apply(&self, account: &mut Account) {
        set(self.name.as_ref(), &mut account.name);
        set(self.description.as_ref(), &mut account.description);
        set(self.priority.as_ref(), &mut account.priority);
        set(self.models.as_ref(), &mut account.models);
        set(self.rate_limit_minutes.as_ref(), &mut account.rate_limit_minutes);
        set(self.is_active.as_ref(), &mut account.is_active);
        set(self.kind.as_ref(), &mut account.kind);
        set(self.schedulable.as_ref(), &mut account.schedulable);
        set(self.rate.as_ref(), &mut account.rate);
        set(self.on_disconnect.as_ref(), &mut account.on_disconnect);
        set(self.subscription_ends.as_ref(), &mut account.subscription_ends);
        set(self.error_message.as_ref(), &mut account.error_message);
        if self.user_agent.is_some() {
            account.user_agent.clone_from(&self.user_agent);
        }
        self.limits.apply(&mut account.limits);
    }
}

fn set<T: Clone>(given: Option<&T>, setting: &mut T) {
    if let Some(given) = given {
        setting.clone_from(given);
    }
}
