//! What an operator sends to make an API key.

use std::time::Duration;

use relay_domain::{
    AccountId, Expiry, Lifetime, LifetimeUnit, Limits, Permissions, Platform, RateWindow,
    Restriction, Timestamp, WindowCaps,
};
use relay_engine::operator::NewKey;
use serde::Deserialize;
use serde_json::Number;
use utoipa::ToSchema;

use crate::admin::dollars;
use crate::admin::error::ApiError;

/// An API key to be made. Every field may be left out.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewKeyRecord {
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// Whether it can be used at once; it can unless told otherwise.
    is_active: Option<bool>,
    /// When it ends.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// `activation`: it ends so long after its first use as `activationDays` says.
    expiration_mode: Option<ExpirationMode>,
    activation_days: Option<u32>,
    activation_unit: Option<ActivationUnit>,
    /// The account that all its requests on this platform use.
    #[schema(value_type = Option<String>)]
    claude_console_account_id: Option<AccountId>,
    /// The account that all its requests on this platform use.
    #[schema(value_type = Option<String>)]
    codex_account_id: Option<AccountId>,
    permissions: Option<PermissionName>,
    /// Whether the list of restricted models counts; it does if it is not empty, unless told otherwise.
    enable_model_restriction: Option<bool>,
    /// Models that it may not use.
    restricted_models: Option<Vec<String>>,
    /// Whether the list of allowed clients counts; it does if it is not empty, unless told otherwise.
    enable_client_restriction: Option<bool>,
    /// Clients that alone may use it: `claude_code`, `codex_cli`.
    allowed_clients: Option<Vec<String>>,
    /// Requests in flight at once; 0 means no limit.
    concurrency_limit: Option<u32>,
    /// Minutes; 0 means no window, and what follows is kept for when there is one.
    rate_limit_window: Option<u32>,
    rate_limit_requests: Option<u64>,
    /// Dollars.
    #[schema(value_type = Option<f64>, minimum = 0)]
    rate_limit_cost: Option<Number>,
    /// Dollars.
    #[schema(value_type = Option<f64>, minimum = 0)]
    daily_cost_limit: Option<Number>,
    /// Dollars.
    #[schema(value_type = Option<f64>, minimum = 0)]
    total_cost_limit: Option<Number>,
    /// Dollars.
    #[schema(value_type = Option<f64>, minimum = 0)]
    weekly_opus_cost_limit: Option<Number>,
    tags: Option<Vec<String>>,
}

/// How a key ends.
#[derive(Clone, Copy, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ExpirationMode {
    Fixed,
    Activation,
}

/// What `activationDays` counts.
#[derive(Clone, Copy, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ActivationUnit {
    Hours,
    Days,
}

/// Which platforms a key may use.
#[derive(Clone, Copy, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum PermissionName {
    All,
    Claude,
    Codex,
}

impl PermissionName {
    /// Whether `permissions` are just this.
    pub(super) fn is(self, permissions: &Permissions) -> bool {
        let (claude, codex) =
            (permissions.allow(Platform::ClaudeConsole), permissions.allow(Platform::Codex));
        match self {
            Self::All => claude && codex,
            Self::Claude => claude && !codex,
            Self::Codex => codex && !claude,
        }
    }
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

impl NewKeyRecord {
    /// The key to be made, in the engine's words.
    pub(super) fn into_new_key(self, created_by: String) -> Result<NewKey, ApiError> {
        let limits = self.limits()?;
        let caps = self.window_caps()?;
        let minutes = self.rate_limit_window.filter(|minutes| *minutes > 0);
        let window = minutes.map(|minutes| RateWindow {
            length: Duration::from_mins(minutes.into()),
            requests: caps.requests,
            tokens: caps.tokens,
            cost: caps.cost,
        });
        Ok(NewKey {
            expiry: self.expiry()?,
            limits: Limits { window, ..limits },
            idle_window: if window.is_some() { WindowCaps::default() } else { caps },
            name: self.name,
            description: self.description.unwrap_or_default(),
            is_active: self.is_active.unwrap_or(true),
            permissions: self.permissions.unwrap_or(PermissionName::All).into(),
            restricted_models: restriction(self.enable_model_restriction, self.restricted_models),
            allowed_clients: restriction(self.enable_client_restriction, self.allowed_clients),
            bound_claude_account: self.claude_console_account_id,
            bound_codex_account: self.codex_account_id,
            tags: self.tags.unwrap_or_default(),
            created_by,
            ..NewKey::default()
        })
    }

    fn expiry(&self) -> Result<Expiry, ApiError> {
        let unit = match self.activation_unit.unwrap_or(ActivationUnit::Days) {
            ActivationUnit::Hours => LifetimeUnit::Hours,
            ActivationUnit::Days => LifetimeUnit::Days,
        };
        let lifetime = Lifetime { count: self.activation_days.unwrap_or(0), unit };
        let text = self.expires_at.as_deref().filter(|text| !text.is_empty());
        if self.expiration_mode == Some(ExpirationMode::Activation) {
            if text.is_some() {
                return Err(invalid(
                    "expiresAt",
                    "must be left out if expirationMode is activation",
                ));
            }
            return Ok(Expiry::after_first_use(lifetime));
        }
        let fixed = Expiry { lifetime, ..Expiry::NEVER };
        text.map_or(Ok(fixed), |text| {
            let why = "must be a date and time such as 2030-01-31T12:00:00Z";
            let end = Timestamp::parse_rfc3339(text).ok_or(invalid("expiresAt", why))?;
            Ok(Expiry { at: Some(end), ..fixed })
        })
    }

    fn window_caps(&self) -> Result<WindowCaps, ApiError> {
        Ok(WindowCaps {
            requests: self.rate_limit_requests.filter(|limit| *limit > 0),
            tokens: None,
            cost: dollars::limit("rateLimitCost", self.rate_limit_cost.as_ref())?,
        })
    }

    fn limits(&self) -> Result<Limits, ApiError> {
        Ok(Limits {
            concurrency: self.concurrency_limit.filter(|limit| *limit > 0),
            daily_cost: dollars::limit("dailyCostLimit", self.daily_cost_limit.as_ref())?,
            total_cost: dollars::limit("totalCostLimit", self.total_cost_limit.as_ref())?,
            weekly_claude_cost: dollars::limit(
                "weeklyOpusCostLimit",
                self.weekly_opus_cost_limit.as_ref(),
            )?,
            ..Limits::default()
        })
    }
}

/// A list that counts if it is told to, or if it holds anything and is told nothing.
fn restriction(is_on: Option<bool>, names: Option<Vec<String>>) -> Restriction {
    let names = names.unwrap_or_default();
    Restriction { is_on: is_on.unwrap_or(!names.is_empty()), names }
}

fn invalid(field: &'static str, why: &'static str) -> ApiError {
    ApiError::Invalid { field, why }
}
