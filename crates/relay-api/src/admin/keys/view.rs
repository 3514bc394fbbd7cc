//! An API key as operators see it: all but its digest.

use std::collections::BTreeMap;
use std::sync::Arc;

use relay_domain::{
    ApiKey, ExpiryMode, GroupId, LifetimeUnit, Multiplier, Permissions, Platform, Signature,
    Timestamp, UnpricedPolicy, UserStanding, WaitQueue,
};
use serde::{Serialize, Serializer};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::admin::limits_view::LimitsView;

/// An API key, which takes its shape when it is written out: a list may hold very many.
pub(super) struct KeyView(Arc<ApiKey>);

impl From<Arc<ApiKey>> for KeyView {
    fn from(key: Arc<ApiKey>) -> Self {
        Self(key)
    }
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        Self(Arc::new(key))
    }
}

impl Serialize for KeyView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        KeyShape::of(&self.0).serialize(serializer)
    }
}

impl PartialSchema for KeyView {
    fn schema() -> RefOr<Schema> {
        KeyShape::schema()
    }
}

impl ToSchema for KeyView {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        KeyShape::schemas(schemas);
    }
}

/// An API key. Where v2 has an empty text for what has not happened yet, so has this.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "the shape of v2's JSON")]
struct KeyShape<'a> {
    id: &'a str,
    name: &'a str,
    description: &'a str,
    created_at: String,
    updated_at: String,
    last_used_at: String,
    is_active: bool,
    is_deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_by_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restored_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restored_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restored_by_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// `fixed` or `activation`.
    expiration_mode: &'static str,
    is_activated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    activated_at: Option<String>,
    activation_days: u32,
    /// `hours` or `days`.
    activation_unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    claude_console_account_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    codex_account_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_id: Option<&'a str>,
    /// `all`, `claude`, `codex` or `none`.
    permissions: &'static str,
    enable_model_restriction: bool,
    restricted_models: &'a [String],
    enable_client_restriction: bool,
    allowed_clients: &'a [String],
    #[serde(flatten)]
    limits: LimitsView,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<QueueView>,
    /// By service; what is not here counts as it is.
    #[schema(value_type = BTreeMap<String, f64>)]
    service_rates: BTreeMap<&'static str, Multiplier>,
    /// `refuse` or `fallback`.
    #[serde(skip_serializing_if = "Option::is_none")]
    unpriced: Option<&'static str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    user_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    user_username: &'a str,
    /// `active`, or `disabled`: then the key is refused. Only where it belongs to a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_status: Option<&'static str>,
    created_by: &'a str,
    tags: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    icon: &'a str,
    /// Until when the secret before is good.
    #[serde(skip_serializing_if = "Option::is_none")]
    retiring_secret_until: Option<String>,
    /// Raised by every change; `ETag` and `If-Match` name it.
    revision: u64,
}

/// Where requests wait that are one too many at once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct QueueView {
    max_waiting: u32,
    timeout_seconds: u64,
}

impl From<WaitQueue> for QueueView {
    fn from(queue: WaitQueue) -> Self {
        Self { max_waiting: queue.max_waiting, timeout_seconds: queue.deadline.as_secs() }
    }
}

impl<'a> KeyShape<'a> {
    fn of(key: &'a ApiKey) -> Self {
        let moment = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        let caps = key.window_caps();
        let (deleted_at, deleted_by, deleted_by_type) = parts(key.deleted.as_ref());
        let (restored_at, restored_by, restored_by_type) = parts(key.restored.as_ref());
        let is_deleted = deleted_at.is_some();
        Self {
            permissions: permissions(&key.permissions),
            id: key.id.as_str(),
            name: &key.name,
            description: &key.description,
            created_at: key.created_at.to_string(),
            updated_at: moment(key.updated_at),
            last_used_at: moment(key.last_used_at),
            is_active: key.is_active,
            is_deleted,
            deleted_at,
            deleted_by,
            deleted_by_type,
            restored_at,
            restored_by,
            restored_by_type,
            expires_at: key.expiry.at.map(|at| at.to_string()),
            expiration_mode: match key.expiry.mode {
                ExpiryMode::Fixed => "fixed",
                ExpiryMode::Activation => "activation",
            },
            is_activated: key.expiry.is_activated,
            activated_at: key.expiry.activated_at.map(|at| at.to_string()),
            activation_days: key.expiry.lifetime.count,
            activation_unit: match key.expiry.lifetime.unit {
                LifetimeUnit::Hours => "hours",
                LifetimeUnit::Days => "days",
            },
            claude_console_account_id: key.claude_binding.text(),
            codex_account_id: key.codex_binding.text(),
            group_id: key.group.as_ref().map(GroupId::as_str),
            enable_model_restriction: key.restricted_models.is_on,
            restricted_models: &key.restricted_models.names,
            enable_client_restriction: key.allowed_clients.is_on,
            allowed_clients: &key.allowed_clients.names,
            limits: LimitsView::of(&key.limits, caps),
            queue: key.queue.map(QueueView::from),
            service_rates: key
                .service_rates
                .pairs()
                .map(|(service, rate)| (service.name(), rate))
                .collect(),
            unpriced: key.unpriced.map(|policy| match policy {
                UnpricedPolicy::Refuse => "refuse",
                UnpricedPolicy::Fallback => "fallback",
            }),
            user_id: key.user.id(),
            user_username: &key.user.username,
            user_status: key.user.standing().map(|standing| match standing {
                UserStanding::Active => "active",
                UserStanding::Disabled => "disabled",
            }),
            created_by: &key.created_by,
            tags: &key.tags,
            icon: &key.icon,
            retiring_secret_until: key.retiring.map(|retiring| retiring.until.to_string()),
            revision: key.revision,
        }
    }
}

/// When, by whom and in what quality something was done.
type Parts<'a> = (Option<String>, Option<&'a str>, Option<&'a str>);

fn parts(signature: Option<&Signature>) -> Parts<'_> {
    signature.map_or((None, None, None), |Signature { at, by, by_type }| {
        (Some(at.to_string()), Some(by), Some(by_type))
    })
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
