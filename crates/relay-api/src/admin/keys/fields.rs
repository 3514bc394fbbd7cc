//! What an operator says of an API key, to make one or to change it: the same fields for both.

use std::time::Duration;

use relay_domain::{
    AccountBinding, ExpiryMode, GroupId, LifetimeUnit, Permissions, Platform, ServiceRates,
    Timestamp, UnpricedPolicy, WaitQueue,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use crate::admin::dollars::Dollars;
use crate::admin::error::ApiError;
use crate::admin::given_limits::BudgetPolicyName;
use crate::admin::patch::{Patch, given};
use crate::admin::service_rates::NewRateOfServices;

/// The settings of an API key. Any of them may be left out: a new key then has the default, and a change
/// leaves it as it is. `null` means none, where none can be.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct KeyFields {
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, min_length = 1, max_length = 100)]
    pub(super) name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 500)]
    pub(super) description: Patch<String>,
    /// A picture for the console: its name, or itself as a data URL.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 65_536)]
    pub(super) icon: Patch<String>,
    /// Whether it can be used; it can unless told otherwise.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    pub(super) is_active: Option<bool>,
    /// When it ends. `null` and an empty text mean never.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) expires_at: Patch<End>,
    /// `activation`: it ends so long after its first use as `activationDays` says.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    pub(super) expiration_mode: Option<ExpirationMode>,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    pub(super) activation_days: Option<u32>,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    pub(super) activation_unit: Option<ActivationUnit>,
    /// Whether its first use has come, if that sets its end.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    pub(super) is_activated: Option<bool>,
    /// When that was.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) activated_at: Patch<End>,
    /// The account that all its requests on this platform use, or `group:` and the id of a group of accounts.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) claude_console_account_id: Patch<GivenBinding>,
    /// The account that all its requests on this platform use, or `group:` and the id of a group of accounts.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) codex_account_id: Patch<GivenBinding>,
    /// The group whose limits it shares.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) group_id: Patch<GroupId>,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    pub(super) permissions: Option<PermissionName>,
    /// Whether the list of restricted models counts; a new key's does if it is not empty, unless told
    /// otherwise.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    pub(super) enable_model_restriction: Option<bool>,
    /// Models that it may not use.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    pub(super) restricted_models: Option<Vec<String>>,
    /// Whether the list of allowed clients counts; a new key's does if it is not empty, unless told
    /// otherwise.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    pub(super) enable_client_restriction: Option<bool>,
    /// Clients that alone may use it: `claude_code`, `codex_cli`.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    pub(super) allowed_clients: Option<Vec<String>>,
    /// Requests in flight at once; 0 and `null` mean no limit, here and for every limit below.
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    pub(super) concurrency_limit: Patch<u32>,
    /// Where requests wait that are one too many at once; `null`: they are refused.
    #[serde(default)]
    #[schema(value_type = Option<QueueRecord>)]
    pub(super) queue: Patch<QueueRecord>,
    /// Minutes; without a window, what follows is kept for when there is one.
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    pub(super) rate_limit_window: Patch<u32>,
    /// Requests in a window.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    pub(super) rate_limit_requests: Patch<u64>,
    /// Tokens of all kinds in a window.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    pub(super) token_limit: Patch<u64>,
    /// Dollars in a window.
    #[serde(default)]
    #[schema(value_type = Option<f64>, minimum = 0)]
    pub(super) rate_limit_cost: Patch<Dollars>,
    /// Dollars in a day.
    #[serde(default)]
    #[schema(value_type = Option<f64>, minimum = 0)]
    pub(super) daily_cost_limit: Patch<Dollars>,
    /// Dollars in a week.
    #[serde(default)]
    #[schema(value_type = Option<f64>, minimum = 0)]
    pub(super) weekly_cost_limit: Patch<Dollars>,
    /// Dollars in a calendar month.
    #[serde(default)]
    #[schema(value_type = Option<f64>, minimum = 0)]
    pub(super) monthly_cost_limit: Patch<Dollars>,
    /// Dollars over all time.
    #[serde(default)]
    #[schema(value_type = Option<f64>, minimum = 0)]
    pub(super) total_cost_limit: Patch<Dollars>,
    /// Dollars for Claude models in a week.
    #[serde(default)]
    #[schema(value_type = Option<f64>, minimum = 0)]
    pub(super) weekly_opus_cost_limit: Patch<Dollars>,
    /// The day on which its week begins, 1 (Monday, the default) to 7.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, minimum = 1, maximum = 7)]
    pub(super) weekly_reset_day: Option<u8>,
    /// The hour of that day; 0 unless told otherwise.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, minimum = 0, maximum = 23)]
    pub(super) weekly_reset_hour: Option<u8>,
    /// What a request in flight reserves of the budgets: `soft` (the default) the recent average, `hard` the
    /// worst case, so that they cannot be passed.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    pub(super) budget_policy: Option<BudgetPolicyName>,
    /// By how much its costs count against its budgets, by service. It is set as a whole: a service that is
    /// left out counts as it is.
    #[serde(default)]
    #[schema(value_type = Option<NewRateOfServices>)]
    pub(super) service_rates: Patch<Rates>,
    /// What becomes of a request for a model without a price: it is refused, or charged the fallback's.
    /// `null`: it is refused where a budget would have to be charged.
    #[serde(default)]
    #[schema(value_type = Option<UnpricedName>)]
    pub(super) unpriced: Patch<UnpricedName>,
    /// Free labels, each of 1 to 100 characters.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, max_items = 100)]
    pub(super) tags: Option<Vec<String>>,
    /// v1's user whose key it is. Relay keeps it and has no users.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) user_id: Patch<String>,
    /// That user's name.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) user_username: Patch<String>,
}

impl KeyFields {
    /// Whether its fields agree with each other.
    ///
    /// # Errors
    ///
    /// [`ApiError::Invalid`] with the first that does not.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        let has_end = matches!(self.expires_at, Patch::Set(End(Some(_))));
        let to_come = self.expiration_mode == Some(ExpirationMode::Activation)
            && self.is_activated != Some(true);
        if has_end && to_come {
            let why = "must be left out if expirationMode is activation";
            return Err(ApiError::Invalid { field: "expiresAt", why });
        }
        Ok(())
    }
}

/// Which accounts may serve a key.
#[derive(Clone, Debug)]
pub(super) struct GivenBinding(pub(super) AccountBinding);

impl<'de> Deserialize<'de> for GivenBinding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Err(D::Error::custom("must be an id, or null for none"));
        }
        Ok(Self(AccountBinding::parse(&text)))
    }
}

/// A moment, or none where the text is empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct End(pub(super) Option<Timestamp>);

impl<'de> Deserialize<'de> for End {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Self(None));
        }
        let why = "must be a date and time such as 2030-01-31T12:00:00Z";
        let moment = Timestamp::parse_rfc3339(&text).ok_or_else(|| D::Error::custom(why))?;
        Ok(Self(Some(moment)))
    }
}

/// How a key ends.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ExpirationMode {
    Fixed,
    Activation,
}

impl From<ExpirationMode> for ExpiryMode {
    fn from(mode: ExpirationMode) -> Self {
        match mode {
            ExpirationMode::Fixed => Self::Fixed,
            ExpirationMode::Activation => Self::Activation,
        }
    }
}

/// What `activationDays` counts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ActivationUnit {
    Hours,
    Days,
}

impl From<ActivationUnit> for LifetimeUnit {
    fn from(unit: ActivationUnit) -> Self {
        match unit {
            ActivationUnit::Hours => Self::Hours,
            ActivationUnit::Days => Self::Days,
        }
    }
}

/// Which platforms a key may use.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum PermissionName {
    All,
    Claude,
    Codex,
}

impl From<PermissionName> for Permissions {
    fn from(name: PermissionName) -> Self {
        match name {
            PermissionName::All => Self::All,
            PermissionName::Claude => Self::Only(vec![Platform::ClaudeConsole]),
            PermissionName::Codex => Self::Only(vec![Platform::Codex]),
        }
    }
}

/// What becomes of a request for a model without a price.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum UnpricedName {
    Refuse,
    Fallback,
}

impl From<UnpricedName> for UnpricedPolicy {
    fn from(name: UnpricedName) -> Self {
        match name {
            UnpricedName::Refuse => Self::Refuse,
            UnpricedName::Fallback => Self::Fallback,
        }
    }
}

/// Where requests wait that are one too many at once.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct QueueRecord {
    /// How many may wait.
    #[schema(minimum = 1)]
    max_waiting: u32,
    /// How long one may wait.
    #[schema(minimum = 1, maximum = 600)]
    timeout_seconds: u32,
}

impl From<QueueRecord> for WaitQueue {
    fn from(queue: QueueRecord) -> Self {
        Self {
            max_waiting: queue.max_waiting,
            deadline: Duration::from_secs(queue.timeout_seconds.into()),
        }
    }
}

/// Rates of services, checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "NewRateOfServices")]
pub(super) struct Rates(pub(super) ServiceRates);

impl TryFrom<NewRateOfServices> for Rates {
    type Error = ApiError;

    fn try_from(rates: NewRateOfServices) -> Result<Self, ApiError> {
        rates.into_rates().map(Self)
    }
}
