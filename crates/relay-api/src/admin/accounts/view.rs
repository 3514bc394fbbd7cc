//! An account as operators see it: all but its credential and its proxy's password.

use std::collections::BTreeMap;

use relay_domain::{
    Account, AccountHealth, AccountKind, Calendar, LimitPeriodKind, Multiplier, NanoUsd, Penalty,
    PenaltyReason, Proxy, ProxyScheme, ProxySetting, Timestamp,
};
use relay_engine::operator::Spending;
use serde::Serialize;
use serde_json::Number;
use utoipa::ToSchema;

use super::settings::OnDisconnectName;
use crate::admin::dollars;
use crate::admin::error::ApiError;
use crate::admin::given_limits::{BudgetPolicyName, time_of_day};
use crate::admin::revision::Revised;
use crate::admin::session::Session;

/// One account.
#[derive(Serialize, ToSchema)]
pub(super) struct OneAccount {
    pub(super) account: AccountView,
}

/// An account, and what was done to it.
#[derive(Serialize, ToSchema)]
pub(super) struct ResetAccount {
    pub(super) account: AccountView,
    pub(super) message: &'static str,
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
    /// Whether it has a credential, which itself is never shown.
    has_api_key: bool,
    user_agent: String,
    supported_models: BTreeMap<String, String>,
    priority: u8,
    schedulable: bool,
    is_active: bool,
    /// `active`, `rate_limited`, `overloaded`, `unauthorized`, `blocked`, `quota_exceeded` or
    /// `temp_error`.
    status: &'static str,
    /// Why it rests, if it does, or what was noted about its state.
    error_message: String,
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
    /// Dollars, on the present day of its quota.
    #[schema(value_type = f64)]
    daily_usage: Number,
    /// The day of its quota that it is: when that began, in the operator's calendar.
    last_reset_date: String,
    /// When its day begins.
    quota_reset_time: String,
    /// Since when its quota of the day or another limit of money is used up: when it was last used.
    #[serde(skip_serializing_if = "Option::is_none")]
    quota_stopped_at: Option<String>,
    /// Dollars; 0 means no limit.
    #[schema(value_type = f64)]
    weekly_cost_limit: Number,
    /// Dollars; 0 means no limit.
    #[schema(value_type = f64)]
    monthly_cost_limit: Number,
    /// Dollars; 0 means no limit.
    #[schema(value_type = f64)]
    total_cost_limit: Number,
    /// 1 (Monday) to 7.
    weekly_reset_day: u8,
    weekly_reset_hour: u8,
    budget_policy: BudgetPolicyName,
    #[schema(value_type = f64)]
    rate_multiplier: Multiplier,
    on_disconnect: OnDisconnectName,
    /// When its subscription ends; `null`: it does not.
    subscription_expires_at: Option<String>,
    max_concurrent_tasks: u32,
    /// `shared` or `dedicated`.
    account_type: &'static str,
    proxy: Option<ProxyView>,
    revision: u64,
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
    /// One account as it is now, as the answer about it.
    pub(super) async fn one(
        session: &Session,
        account: Account,
    ) -> Result<Revised<OneAccount>, ApiError> {
        let revision = account.revision;
        let spending = session.operator().spending(std::slice::from_ref(&account)).await?;
        let spending = spending.first().copied();
        let account = Self::new(account, spending, session.usage().calendar(), session.now());
        Ok(Revised::new(revision, OneAccount { account }))
    }

    /// Accounts as they are now.
    pub(super) async fn many(
        session: &Session,
        accounts: Vec<Account>,
    ) -> Result<Vec<Self>, ApiError> {
        let spending = session.operator().spending(&accounts).await?;
        let (calendar, now) = (session.usage().calendar(), session.now());
        let views = accounts.into_iter().zip(spending);
        let view = |(account, spending)| Self::new(account, Some(spending), calendar, now);
        Ok(views.map(view).collect())
    }

    /// An account as it is at `now`, when it has spent so much.
    fn new(
        account: Account,
        spending: Option<Spending>,
        calendar: Calendar,
        now: Timestamp,
    ) -> Self {
        let cost = spending.map_or(NanoUsd::ZERO, |spending| spending.of_day);
        let starts = account.limits.starts;
        let day = calendar.limit_period(LimitPeriodKind::Day, starts, now).to_string();
        let moment = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        // One that has run out stays stored until the next answer, but keeps nothing out.
        let penalty = account.health.penalty.filter(|penalty| penalty.holds(now));
        let limited = penalty.filter(|penalty| penalty.reason == PenaltyReason::RateLimited);
        // By the counters that its requests are weighed against. A limit that is used up lets nothing in, so it
        // has been since the last use.
        let used_up = spending.and_then(|spending| spending.used_up).map(|state| Penalty {
            reason: PenaltyReason::QuotaExceeded,
            since: account.last_used_at.unwrap_or(account.created_at),
            until: state.resets_at,
            streak: 1,
        });
        let penalty = penalty.or(used_up);
        let stopped = penalty.filter(|penalty| penalty.reason == PenaltyReason::QuotaExceeded);
        let stopped = used_up.or(stopped);
        Self {
            id: account.id.into(),
            platform: account.platform.as_str(),
            name: account.name,
            description: account.description,
            created_at: account.created_at.to_string(),
            updated_at: moment(account.updated_at),
            last_used_at: moment(account.last_used_at),
            api_url: account.base_url,
            has_api_key: !account.secret.as_stored().is_empty(),
            user_agent: account.user_agent.unwrap_or_default(),
            supported_models: account.models.pairs().clone(),
            priority: account.priority.into(),
            schedulable: account.schedulable,
            is_active: account.is_active,
            status: penalty.map_or("active", |penalty| penalty.reason.status()),
            error_message: penalty
                .map_or(account.error_message, |penalty| reason(penalty.reason).to_owned()),
            penalty: penalty.map(PenaltyView::from),
            resting_models: resting_models(account.health, now),
            rate_limit_duration: account.rate_limit_minutes,
            rate_limited_at: limited.map(|penalty| penalty.since.to_string()),
            rate_limit_status: if limited.is_some() { "limited" } else { "" },
            rate_limit_info: limited.map(|penalty| RateLimitInfo::new(penalty, now)),
            daily_quota: dollars::show(account.limits.daily_cost),
            daily_usage: dollars::show(Some(cost)),
            last_reset_date: day.chars().take(10).collect(),
            quota_reset_time: time_of_day(starts.day_minute),
            quota_stopped_at: stopped.map(|penalty| penalty.since.to_string()),
            weekly_cost_limit: dollars::show(account.limits.weekly_cost),
            monthly_cost_limit: dollars::show(account.limits.monthly_cost),
            total_cost_limit: dollars::show(account.limits.total_cost),
            weekly_reset_day: starts.week_day,
            weekly_reset_hour: starts.week_hour,
            budget_policy: account.limits.budget_policy.into(),
            rate_multiplier: account.rate,
            on_disconnect: account.on_disconnect.into(),
            subscription_expires_at: account.subscription_ends.map(|end| end.to_string()),
            max_concurrent_tasks: account.limits.concurrency.unwrap_or(0),
            account_type: match account.kind {
                AccountKind::Shared => "shared",
                AccountKind::Dedicated => "dedicated",
            },
            proxy: proxy(account.proxy),
            revision: account.revision,
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
        PenaltyReason::QuotaExceeded => "its quota is used up",
    }
}
