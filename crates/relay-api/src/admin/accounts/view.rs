//! An account as operators see it: all but its credential and its proxy's password.

use std::collections::BTreeMap;

use relay_domain::{
    Account, AccountHealth, AccountKind, Penalty, PenaltyReason, Proxy, ProxyScheme, ProxySetting,
    Timestamp,
};
use serde::Serialize;
use serde_json::Number;
use utoipa::ToSchema;

use crate::admin::dollars;

/// One account.
#[derive(Serialize, ToSchema)]
pub(super) struct OneAccount {
    pub(super) account: AccountView,
}

/// An account. Where v2 has an empty text for what has not happened yet, so has this.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccountView {
    id: String,
    /// `claude-console` or `codex`.
    platform: &'static str,
    name: String,
    description: String,
    created_at: String,
    updated_at: String,
    last_used_at: String,
    api_url: String,
    user_agent: String,
    supported_models: BTreeMap<String, String>,
    priority: u8,
    schedulable: bool,
    is_active: bool,
    /// `active`, `rate_limited`, `overloaded`, `unauthorized`, `blocked`, `quota_exceeded` or
    /// `temp_error`.
    status: &'static str,
    /// Why it rests, if it does.
    error_message: &'static str,
    /// What keeps it out, and until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    penalty: Option<PenaltyView>,
    /// Models that it does not serve for the time being.
    resting_models: BTreeMap<String, PenaltyView>,
    /// Minutes.
    rate_limit_duration: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limited_at: Option<String>,
    /// `limited` or empty.
    rate_limit_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit_info: Option<RateLimitInfo>,
    /// Dollars.
    #[schema(value_type = f64)]
    daily_quota: Number,
    max_concurrent_tasks: u32,
    /// `shared` or `dedicated`.
    account_type: &'static str,
    proxy: Option<ProxyView>,
}

/// A rest with a reason and an end.
#[derive(Serialize, ToSchema)]
pub(super) struct PenaltyView {
    /// Why.
    reason: &'static str,
    since: String,
    /// Absent: until an operator ends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

/// How long a limit of the provider's still holds.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RateLimitInfo {
    is_rate_limited: bool,
    rate_limited_at: String,
    minutes_since_rate_limit: u64,
    /// Rounded up.
    minutes_remaining: u64,
}

/// A proxy in front of an account.
#[derive(Serialize, ToSchema)]
pub(super) struct ProxyView {
    /// `http`, `https`, `socks5`, or `unusable` if what is stored cannot be read.
    protocol: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<ProxyAuthView>,
}

/// Who a proxy takes Relay for.
#[derive(Serialize, ToSchema)]
pub(super) struct ProxyAuthView {
    username: String,
}

impl AccountView {
    /// The account as it is at `now`.
    pub(super) fn new(account: Account, now: Timestamp) -> Self {
        let moment = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        // One that has run out stays stored until the next answer, but keeps nothing out.
        let penalty = account.health.penalty.filter(|penalty| penalty.holds(now));
        let limited = penalty.filter(|penalty| penalty.reason == PenaltyReason::RateLimited);
        Self {
            id: account.id.into(),
            platform: account.platform.as_str(),
            name: account.name,
            description: account.description,
            created_at: account.created_at.to_string(),
            updated_at: moment(account.updated_at),
            last_used_at: moment(account.last_used_at),
            api_url: account.base_url,
            user_agent: account.user_agent.unwrap_or_default(),
            supported_models: account.models.pairs().clone(),
            priority: account.priority.into(),
            schedulable: account.schedulable,
            is_active: account.is_active,
            status: penalty.map_or("active", |penalty| penalty.reason.status()),
            error_message: penalty.map_or("", |penalty| reason(penalty.reason)),
            penalty: penalty.map(PenaltyView::from),
            resting_models: resting_models(account.health, now),
            rate_limit_duration: account.rate_limit_minutes,
            rate_limited_at: limited.map(|penalty| penalty.since.to_string()),
            rate_limit_status: if limited.is_some() { "limited" } else { "" },
            rate_limit_info: limited.map(|penalty| RateLimitInfo::new(penalty, now)),
            daily_quota: dollars::show(account.limits.daily_cost),
            max_concurrent_tasks: account.limits.concurrency.unwrap_or(0),
            account_type: match account.kind {
                AccountKind::Shared => "shared",
                AccountKind::Dedicated => "dedicated",
            },
            proxy: proxy(account.proxy),
        }
    }
}

impl From<Penalty> for PenaltyView {
    fn from(penalty: Penalty) -> Self {
        Self {
            reason: reason(penalty.reason),
            since: penalty.since.to_string(),
            until: penalty.until.map(|until| until.to_string()),
        }
    }
}

impl RateLimitInfo {
    fn new(penalty: Penalty, now: Timestamp) -> Self {
        let remaining = penalty.until.map_or(0, |until| until.since(now).as_secs());
        Self {
            is_rate_limited: true,
            rate_limited_at: penalty.since.to_string(),
            minutes_since_rate_limit: now.since(penalty.since).as_secs() / 60,
            minutes_remaining: remaining.div_ceil(60),
        }
    }
}

fn resting_models(health: AccountHealth, now: Timestamp) -> BTreeMap<String, PenaltyView> {
    let resting = health.models.into_iter().filter(|(_, penalty)| penalty.holds(now));
    resting.map(|(model, penalty)| (model.into(), penalty.into())).collect()
}

fn proxy(setting: ProxySetting) -> Option<ProxyView> {
    match setting {
        ProxySetting::Direct => None,
        ProxySetting::Unusable => {
            Some(ProxyView { protocol: "unusable", host: None, port: None, auth: None })
        }
        ProxySetting::Via(Proxy { scheme, host, port, auth }) => Some(ProxyView {
            protocol: match scheme {
                ProxyScheme::Http => "http",
                ProxyScheme::Https => "https",
                ProxyScheme::Socks5 => "socks5",
            },
            host: Some(host),
            port: Some(port),
            auth: auth.map(|auth| ProxyAuthView { username: auth.username }),
        }),
    }
}

fn reason(reason: PenaltyReason) -> &'static str {
    match reason {
        PenaltyReason::RateLimited => "the provider limits it (429)",
        PenaltyReason::Overloaded => "the provider is overloaded",
        PenaltyReason::ServerError => "the provider failed several times in a row",
        PenaltyReason::Unreachable => "it cannot be reached",
        PenaltyReason::Unauthorized => "the provider refuses its credential (401)",
        PenaltyReason::Blocked => "the provider refuses the account (402 or 403)",
        PenaltyReason::ModelUnknown => "the provider does not know the model",
        PenaltyReason::QuotaExceeded => "its daily quota is used up",
    }
}
