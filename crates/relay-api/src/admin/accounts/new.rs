//! What an operator sends to add an account.

use relay_domain::{AccountKind, Limits, ModelMap, OnDisconnect, Platform, Priority};
use relay_engine::operator::NewAccount;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Number;
use utoipa::ToSchema;

use super::proxy::ProxyRecord;
use super::settings::{
    AccountKindName, OnDisconnectName, SupportedModels, end_of_subscription, multiplier,
};
use crate::admin::error::ApiError;
use crate::admin::extract::secret;
use crate::admin::given_limits::{BudgetPolicyName, GivenLimits, minute_of_day, money};

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
    proxy: Option<ProxyRecord>,
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
    /// When its subscription ends; it is not used afterwards.
    #[schema(format = DateTime)]
    subscription_expires_at: Option<String>,
}

impl NewAccountRecord {
    /// The account to be added, in the engine's words.
    pub(super) fn into_new_account(self, platform: Platform) -> Result<NewAccount, ApiError> {
        let mut limits = Limits::default();
        self.limits()?.apply(&mut limits);
        let base = NewAccount::new(platform, self.api_url, self.api_key);
        let end = self.subscription_expires_at.as_deref().map(end_of_subscription);
        Ok(NewAccount {
            name: self.name,
            description: self.description.unwrap_or_default(),
            priority: self.priority.unwrap_or(base.priority),
            models: self.supported_models.map(ModelMap::from).unwrap_or_default(),
            user_agent: self.user_agent,
            proxy: self.proxy.map(ProxyRecord::into_new_proxy).transpose()?,
            is_active: self.is_active.unwrap_or(base.is_active),
            schedulable: self.schedulable.unwrap_or(base.schedulable),
            kind: self.account_type.map_or(base.kind, AccountKind::from),
            rate_limit_minutes: self.rate_limit_duration.unwrap_or(base.rate_limit_minutes),
            limits,
            rate: self.rate_multiplier.as_ref().map_or(Ok(base.rate), multiplier)?,
            subscription_ends: end.transpose()?.flatten(),
            on_disconnect: self.on_disconnect.map_or(base.on_disconnect, OnDisconnect::from),
            ..base
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
