//! An API key as operators see it: all but its digest.

use relay_domain::{AccountId, ApiKey, ExpiryMode, LifetimeUnit, Permissions, Platform, Timestamp};
use serde::Serialize;
use serde_json::Number;
use utoipa::ToSchema;

use crate::admin::dollars;

/// An API key. Where v2 has an empty text for what has not happened yet, so has this.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "the shape of v2's JSON")]
pub(super) struct KeyView {
    id: String,
    name: String,
    description: String,
    created_at: String,
    updated_at: String,
    last_used_at: String,
    is_active: bool,
    is_deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// `fixed` or `activation`.
    expiration_mode: &'static str,
    is_activated: bool,
    activation_days: u32,
    /// `hours` or `days`.
    activation_unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    claude_console_account_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    codex_account_id: Option<String>,
    /// `all`, `claude`, `codex` or `none`.
    permissions: &'static str,
    enable_model_restriction: bool,
    restricted_models: Vec<String>,
    enable_client_restriction: bool,
    allowed_clients: Vec<String>,
    token_limit: u64,
    concurrency_limit: u32,
    /// Minutes.
    rate_limit_window: u64,
    rate_limit_requests: u64,
    /// Dollars.
    #[schema(value_type = f64)]
    rate_limit_cost: Number,
    /// Dollars.
    #[schema(value_type = f64)]
    daily_cost_limit: Number,
    /// Dollars.
    #[schema(value_type = f64)]
    total_cost_limit: Number,
    /// Dollars.
    #[schema(value_type = f64)]
    weekly_opus_cost_limit: Number,
    created_by: String,
    tags: Vec<String>,
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        let moment = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        let id = |id: Option<AccountId>| id.map(String::from);
        let caps = key.window_caps();
        let window = key.limits.window;
        Self {
            permissions: permissions(&key.permissions),
            id: key.id.into(),
            name: key.name,
            description: key.description,
            created_at: key.created_at.to_string(),
            updated_at: moment(key.updated_at),
            last_used_at: moment(key.last_used_at),
            is_active: key.is_active,
            is_deleted: key.deleted.is_some(),
            deleted_at: key.deleted.as_ref().map(|deletion| deletion.at.to_string()),
            deleted_by: key.deleted.map(|deletion| deletion.by),
            expires_at: key.expiry.at.map(|at| at.to_string()),
            expiration_mode: match key.expiry.mode {
                ExpiryMode::Fixed => "fixed",
                ExpiryMode::Activation => "activation",
            },
            is_activated: key.expiry.is_activated,
            activation_days: key.expiry.lifetime.count,
            activation_unit: match key.expiry.lifetime.unit {
                LifetimeUnit::Hours => "hours",
                LifetimeUnit::Days => "days",
            },
            claude_console_account_id: id(key.bound_claude_account),
            codex_account_id: id(key.bound_codex_account),
            enable_model_restriction: key.restricted_models.is_on,
            restricted_models: key.restricted_models.names,
            enable_client_restriction: key.allowed_clients.is_on,
            allowed_clients: key.allowed_clients.names,
            token_limit: caps.tokens.unwrap_or(0),
            concurrency_limit: key.limits.concurrency.unwrap_or(0),
            rate_limit_window: window.map_or(0, |window| window.length.as_secs() / 60),
            rate_limit_requests: caps.requests.unwrap_or(0),
            rate_limit_cost: dollars::show(caps.cost),
            daily_cost_limit: dollars::show(key.limits.daily_cost),
            total_cost_limit: dollars::show(key.limits.total_cost),
            weekly_opus_cost_limit: dollars::show(key.limits.weekly_claude_cost),
            created_by: key.created_by,
            tags: key.tags,
        }
    }
}

fn permissions(permissions: &Permissions) -> &'static str {
    match (permissions.allow(Platform::ClaudeConsole), permissions.allow(Platform::Codex)) {
        (true, true) => "all",
        (true, false) => "claude",
        (false, true) => "codex",
        // A key of v1's for platforms that Relay does not have.
        (false, false) => "none",
    }
}
