//! What an operator sends to make a group of API keys, or to change one.

use relay_engine::operator::NewGroup;
use serde::Deserialize;
use serde_json::Number;
use utoipa::ToSchema;

use crate::admin::error::ApiError;
use crate::admin::given_limits::{BudgetPolicyName, GivenLimits, money};
use crate::admin::patch::{Patch, given};

/// A record of a group. The two that there are differ in whether a name has to be given.
macro_rules! group_record {
    ($(#[$about:meta])* $record:ident, $name:ty, [$(#[$lasting:meta])*]) => {
        $(#[$about])*
        #[derive(Deserialize, ToSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub(super) struct $record {
            $(#[$lasting])*
            #[schema(min_length = 1, max_length = 100)]
            pub(super) name: $name,
            #[serde(default)]
            #[schema(value_type = Option<String>, max_length = 500)]
            pub(super) description: Patch<String>,
            /// Requests in flight at once; 0 means no limit.
            #[serde(default)]
            #[schema(value_type = Option<u32>)]
            concurrency_limit: Patch<u32>,
            /// Minutes; 0 means no window.
            #[serde(default)]
            #[schema(value_type = Option<u32>)]
            rate_limit_window: Patch<u32>,
            /// Requests in a window; 0 means no limit.
            #[serde(default)]
            #[schema(value_type = Option<u64>)]
            rate_limit_requests: Patch<u64>,
            /// Tokens in a window; 0 means no limit.
            #[serde(default)]
            #[schema(value_type = Option<u64>)]
            token_limit: Patch<u64>,
            /// Dollars in a window; 0 means no limit.
            #[serde(default)]
            #[schema(value_type = Option<f64>, minimum = 0)]
            rate_limit_cost: Patch<Number>,
            /// Dollars in a day; 0 means no limit.
            #[serde(default)]
            #[schema(value_type = Option<f64>, minimum = 0)]
            daily_cost_limit: Patch<Number>,
            /// Dollars in a week; 0 means no limit.
            #[serde(default)]
            #[schema(value_type = Option<f64>, minimum = 0)]
            weekly_cost_limit: Patch<Number>,
            /// Dollars in a calendar month; 0 means no limit.
            #[serde(default)]
            #[schema(value_type = Option<f64>, minimum = 0)]
            monthly_cost_limit: Patch<Number>,
            /// Dollars over all time; 0 means no limit.
            #[serde(default)]
            #[schema(value_type = Option<f64>, minimum = 0)]
            total_cost_limit: Patch<Number>,
            /// Dollars for Claude models in a week; 0 means no limit.
            #[serde(default)]
            #[schema(value_type = Option<f64>, minimum = 0)]
            weekly_opus_cost_limit: Patch<Number>,
            /// The day on which the week begins, 1 (Monday) to 7.
            $(#[$lasting])*
            #[schema(minimum = 1, maximum = 7)]
            weekly_reset_day: Option<u8>,
            /// The hour of that day.
            $(#[$lasting])*
            #[schema(maximum = 23)]
            weekly_reset_hour: Option<u8>,
            $(#[$lasting])*
            budget_policy: Option<BudgetPolicyName>,
        }

        impl $record {
            /// The limits among it.
            pub(super) fn limits(&self) -> Result<GivenLimits, ApiError> {
                Ok(GivenLimits {
                    concurrency: self.concurrency_limit.told(),
                    window: self.rate_limit_window.told(),
                    window_requests: self.rate_limit_requests.told(),
                    window_tokens: self.token_limit.told(),
                    window_cost: money("rateLimitCost", &self.rate_limit_cost)?,
                    daily_cost: money("dailyCostLimit", &self.daily_cost_limit)?,
                    weekly_cost: money("weeklyCostLimit", &self.weekly_cost_limit)?,
                    monthly_cost: money("monthlyCostLimit", &self.monthly_cost_limit)?,
                    total_cost: money("totalCostLimit", &self.total_cost_limit)?,
                    weekly_claude_cost: money("weeklyOpusCostLimit", &self.weekly_opus_cost_limit)?,
                    day_minute: None,
                    week_day: self.weekly_reset_day,
                    week_hour: self.weekly_reset_hour,
                    policy: self.budget_policy,
                })
            }
        }
    };
}

group_record! {
    /// A group to be made. All but `name` may be left out.
    NewGroupRecord, String, []
}

group_record! {
    /// What is to be changed of a group. What is left out stays; `null` clears what can be empty.
    GroupChange,
    Option<String>,
    [#[serde(default, deserialize_with = "given")] #[schema(nullable = false)]]
}

impl NewGroupRecord {
    /// The group to be made, in the engine's words.
    pub(super) fn into_new_group(self) -> Result<NewGroup, ApiError> {
        let given = self.limits()?;
        let mut new = NewGroup { name: self.name, ..NewGroup::default() };
        if given.lack_a_window(new.limits) {
            return Err(NO_WINDOW);
        }
        given.apply(&mut new.limits);
        new.description = self.description.told().unwrap_or_default();
        Ok(new)
    }
}

/// A group keeps what a window allows only while it has one.
pub(super) const NO_WINDOW: ApiError = ApiError::Invalid {
    field: "rateLimitWindow",
    why: "must be above 0 for rateLimitRequests, tokenLimit and rateLimitCost to mean anything",
};
