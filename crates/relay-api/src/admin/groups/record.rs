//! What an operator sends to make a group of API keys, or to change one.

use relay_engine::operator::NewGroup;
use serde::Deserialize;
use serde_json::Number;
use utoipa::ToSchema;

use crate::admin::error::ApiError;
use crate::admin::given_limits::{BudgetPolicyName, GivenLimits, money};

/// A record of a group. The two that there are differ in whether a name has to be given.
macro_rules! group_record {
    ($(#[$about:meta])* $record:ident, $name:ty) => {
        $(#[$about])*
        #[derive(Deserialize, ToSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub(super) struct $record {
            #[schema(min_length = 1, max_length = 100)]
            pub(super) name: $name,
            #[schema(max_length = 500)]
            pub(super) description: Option<String>,
            /// Requests in flight at once; 0 means no limit.
            concurrency_limit: Option<u32>,
            /// Minutes; 0 means no window.
            rate_limit_window: Option<u32>,
            /// Requests in a window; 0 means no limit.
            rate_limit_requests: Option<u64>,
            /// Tokens in a window; 0 means no limit.
            token_limit: Option<u64>,
            /// Dollars in a window; 0 means no limit.
            #[schema(value_type = Option<f64>, minimum = 0)]
            rate_limit_cost: Option<Number>,
            /// Dollars in a day; 0 means no limit.
            #[schema(value_type = Option<f64>, minimum = 0)]
            daily_cost_limit: Option<Number>,
            /// Dollars in a week; 0 means no limit.
            #[schema(value_type = Option<f64>, minimum = 0)]
            weekly_cost_limit: Option<Number>,
            /// Dollars in a calendar month; 0 means no limit.
            #[schema(value_type = Option<f64>, minimum = 0)]
            monthly_cost_limit: Option<Number>,
            /// Dollars over all time; 0 means no limit.
            #[schema(value_type = Option<f64>, minimum = 0)]
            total_cost_limit: Option<Number>,
            /// Dollars for Claude models in a week; 0 means no limit.
            #[schema(value_type = Option<f64>, minimum = 0)]
            weekly_opus_cost_limit: Option<Number>,
            /// The day on which the week begins, 1 (Monday) to 7.
            #[schema(minimum = 1, maximum = 7)]
            weekly_reset_day: Option<u8>,
            /// The hour of that day.
            #[schema(maximum = 23)]
            weekly_reset_hour: Option<u8>,
            budget_policy: Option<BudgetPolicyName>,
        }

        impl $record {
            /// The limits among it.
            pub(super) fn limits(&self) -> Result<GivenLimits, ApiError> {
                Ok(GivenLimits {
                    concurrency: self.concurrency_limit,
                    window: self.rate_limit_window,
                    window_requests: self.rate_limit_requests,
                    window_tokens: self.token_limit,
                    window_cost: money("rateLimitCost", self.rate_limit_cost.as_ref())?,
                    daily_cost: money("dailyCostLimit", self.daily_cost_limit.as_ref())?,
                    weekly_cost: money("weeklyCostLimit", self.weekly_cost_limit.as_ref())?,
                    monthly_cost: money("monthlyCostLimit", self.monthly_cost_limit.as_ref())?,
                    total_cost: money("totalCostLimit", self.total_cost_limit.as_ref())?,
                    weekly_claude_cost: money("weeklyOpusCostLimit", self.weekly_opus_cost_limit.as_ref())?,
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
    NewGroupRecord, String
}

group_record! {
    /// What is to be changed of a group. What is left out stays.
    GroupChange, Option<String>
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
        new.description = self.description.unwrap_or_default();
        Ok(new)
    }
}

/// A group keeps what a window allows only while it has one.
pub(super) const NO_WINDOW: ApiError = ApiError::Invalid {
    field: "rateLimitWindow",
    why: "must be above 0 for rateLimitRequests, tokenLimit and rateLimitCost to mean anything",
};
