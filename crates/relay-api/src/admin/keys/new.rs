//! What an operator sends to make an API key.

use std::time::Duration;

use relay_domain::{AccountId, Expiry, Limits, Permissions, Platform, RateWindow, Timestamp};
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
    /// Must be true if there are restricted models.
    enable_model_restriction: Option<bool>,
    /// Models that it may not use.
    restricted_models: Option<Vec<String>>,
    /// Not kept by this version: only false is taken.
    enable_client_restriction: Option<bool>,
    /// Not kept by this version: only an empty list is taken.
    allowed_clients: Option<Vec<String>>,
    /// Requests in flight at once; 0 means no limit.
    concurrency_limit: Option<u32>,
    /// Minutes. Not kept by this version: only 0 is taken, here and in all that follows.
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
        self.refuse_what_is_not_kept()?;
        Ok(NewKey {
            expiry: self.expiry()?,
            limits: self.limits()?,
            name: self.name,
            description: self.description.unwrap_or_default(),
            is_active: self.is_active.unwrap_or(true),
            permissions: self.permissions.unwrap_or(PermissionName::All).into(),
            restricted_models: self.restricted_models.unwrap_or_default(),
            bound_claude_account: self.claude_console_account_id,
            bound_codex_account: self.codex_account_id,
            tags: self.tags.unwrap_or_default(),
            created_by,
        })
    }

    /// A restriction that was taken and not kept would be worse than none.
    fn refuse_what_is_not_kept(&self) -> Result<(), ApiError> {
        let any = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
        let clients = "cannot be kept by this version of Relay: it does not restrict clients";
        if self.enable_client_restriction == Some(true) {
            return Err(invalid("enableClientRestriction", clients));
        }
        if any(&self.allowed_clients) {
            return Err(invalid("allowedClients", clients));
        }
        if any(&self.restricted_models) && self.enable_model_restriction == Some(false) {
            return Err(invalid(
                "restrictedModels",
                "must be empty if enableModelRestriction is false",
            ));
        }
        Ok(())
    }

    fn expiry(&self) -> Result<Expiry, ApiError> {
        let text = self.expires_at.as_deref().filter(|text| !text.is_empty());
        if self.expiration_mode == Some(ExpirationMode::Activation) {
            if text.is_some() {
                return Err(invalid(
                    "expiresAt",
                    "must be left out if expirationMode is activation",
                ));
            }
            let unit_hours = match self.activation_unit.unwrap_or(ActivationUnit::Days) {
                ActivationUnit::Hours => 1,
                ActivationUnit::Days => 24,
            };
            let hours = u64::from(self.activation_days.unwrap_or(0)) * unit_hours;
            return Ok(Expiry::AfterFirstUse(Duration::from_hours(hours)));
        }
        text.map_or(Ok(Expiry::Never), |text| {
            let why = "must be a date and time such as 2030-01-31T12:00:00Z";
            Timestamp::parse_rfc3339(text).map(Expiry::At).ok_or(invalid("expiresAt", why))
        })
    }

    fn limits(&self) -> Result<Limits, ApiError> {
        let requests = self.rate_limit_requests.filter(|limit| *limit > 0);
        let cost = dollars::limit("rateLimitCost", self.rate_limit_cost.as_ref())?;
        let minutes = self.rate_limit_window.unwrap_or(0);
        let window = (minutes > 0 || requests.is_some() || cost.is_some()).then(|| RateWindow {
            length: Duration::from_mins(minutes.into()),
            requests,
            tokens: None,
            cost,
        });
        Ok(Limits {
            concurrency: self.concurrency_limit.filter(|limit| *limit > 0),
            window,
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

fn invalid(field: &'static str, why: &'static str) -> ApiError {
    ApiError::Invalid { field, why }
}
