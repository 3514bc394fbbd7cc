//! The limits that an operator has set for a key or a group, as operators see them.

use relay_domain::{Limits, WindowCaps};
use serde::Serialize;
use serde_json::Number;
use utoipa::ToSchema;

use super::dollars;
use super::given_limits::BudgetPolicyName;

/// Limits; 0 means none.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LimitsView {
    concurrency_limit: u32,
    /// Minutes.
    rate_limit_window: u64,
    rate_limit_requests: u64,
    /// Tokens of all kinds in a window.
    token_limit: u64,
    /// Dollars.
    #[schema(value_type = f64)]
    rate_limit_cost: Number,
    /// Dollars.
    #[schema(value_type = f64)]
    daily_cost_limit: Number,
    /// Dollars.
    #[schema(value_type = f64)]
    weekly_cost_limit: Number,
    /// Dollars.
    #[schema(value_type = f64)]
    monthly_cost_limit: Number,
    /// Dollars.
    #[schema(value_type = f64)]
    total_cost_limit: Number,
    /// Dollars.
    #[schema(value_type = f64)]
    weekly_opus_cost_limit: Number,
    /// 1 is Monday.
    weekly_reset_day: u8,
    weekly_reset_hour: u8,
    budget_policy: BudgetPolicyName,
}

impl LimitsView {
    /// `limits`, with `caps` for what a window allows: a key keeps those also while it has no window.
    pub(super) fn of(limits: &Limits, caps: WindowCaps) -> Self {
        Self {
            concurrency_limit: limits.concurrency.unwrap_or(0),
            rate_limit_window: limits.window.map_or(0, |window| window.length.as_secs() / 60),
            rate_limit_requests: caps.requests.unwrap_or(0),
            token_limit: caps.tokens.unwrap_or(0),
            rate_limit_cost: dollars::show(caps.cost),
            daily_cost_limit: dollars::show(limits.daily_cost),
            weekly_cost_limit: dollars::show(limits.weekly_cost),
            monthly_cost_limit: dollars::show(limits.monthly_cost),
            total_cost_limit: dollars::show(limits.total_cost),
            weekly_opus_cost_limit: dollars::show(limits.weekly_claude_cost),
            weekly_reset_day: limits.starts.week_day,
            weekly_reset_hour: limits.starts.week_hour,
            budget_policy: limits.budget_policy.into(),
        }
    }
}
