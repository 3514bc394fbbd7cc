//! A group of API keys as operators see it.

use relay_domain::{KeyGroup, WindowCaps};
use serde::Serialize;
use serde_json::Number;
use utoipa::ToSchema;

use crate::admin::dollars;
use crate::admin::given_limits::BudgetPolicyName;
use crate::admin::revision::Revised;

/// One group.
#[derive(Serialize, ToSchema)]
pub(super) struct OneGroup {
    pub(super) group: GroupView,
}

/// A group of API keys. Limits are as those of a key; 0 means none.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroupView {
    id: String,
    name: String,
    description: String,
    created_at: String,
    /// Empty until the first change.
    updated_at: String,
    concurrency_limit: u32,
    /// Minutes.
    rate_limit_window: u64,
    rate_limit_requests: u64,
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
    weekly_reset_day: u8,
    weekly_reset_hour: u8,
    budget_policy: BudgetPolicyName,
    revision: u64,
}

impl From<KeyGroup> for GroupView {
    fn from(group: KeyGroup) -> Self {
        let limits = group.limits;
        let caps = limits.window.map_or_else(WindowCaps::default, |window| WindowCaps {
            requests: window.requests,
            tokens: window.tokens,
            cost: window.cost,
        });
        Self {
            id: group.id.into(),
            name: group.name,
            description: group.description,
            created_at: group.created_at.to_string(),
            updated_at: group.updated_at.map(|at| at.to_string()).unwrap_or_default(),
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
            revision: group.revision,
        }
    }
}

impl From<KeyGroup> for Revised<OneGroup> {
    fn from(group: KeyGroup) -> Self {
        Self::new(group.revision, OneGroup { group: group.into() })
    }
}
