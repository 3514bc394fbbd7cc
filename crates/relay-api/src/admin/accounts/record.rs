//! What the records have in common that add and change an account.

/// A record of an account: what is its own, then what both have.
macro_rules! account_record {
    ($(#[$about:meta])* $record:ident { $($own:tt)* }) => {
        $(#[$about])*
        #[derive(Deserialize, ToSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub(super) struct $record {
            $($own)*
            #[schema(min_length = 1, max_length = 100)]
            name: Option<String>,
            #[schema(max_length = 500)]
            description: Option<String>,
            /// Replaces the client's user agent.
            user_agent: Option<String>,
            supported_models: Option<SupportedModels>,
            /// How long a 429 without a reset time keeps it out, in minutes. 0: by the provider's word only.
            rate_limit_duration: Option<u32>,
            is_active: Option<bool>,
            account_type: Option<AccountKindName>,
            schedulable: Option<bool>,
            /// Requests in flight at once; 0 means no limit.
            max_concurrent_tasks: Option<u32>,
            /// Dollars in a day; 0 means no limit.
            #[schema(value_type = Option<f64>, minimum = 0)]
            daily_quota: Option<Number>,
            /// When its day begins, in the operator's calendar.
            #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$", example = "08:30")]
            quota_reset_time: Option<String>,
            /// Dollars in a week; 0 means no limit.
            #[schema(value_type = Option<f64>, minimum = 0)]
            weekly_cost_limit: Option<Number>,
            /// Dollars in a calendar month; 0 means no limit.
            #[schema(value_type = Option<f64>, minimum = 0)]
            monthly_cost_limit: Option<Number>,
            /// Dollars over all time; 0 means no limit.
            #[schema(value_type = Option<f64>, minimum = 0)]
            total_cost_limit: Option<Number>,
            /// The day on which its week begins, 1 (Monday) to 7.
            #[schema(minimum = 1, maximum = 7)]
            weekly_reset_day: Option<u8>,
            /// The hour of that day.
            #[schema(maximum = 23)]
            weekly_reset_hour: Option<u8>,
            budget_policy: Option<BudgetPolicyName>,
            /// By how much what it costs counts for a key that uses it, with up to six decimals.
            #[schema(value_type = Option<f64>, minimum = 0)]
            rate_multiplier: Option<Number>,
            on_disconnect: Option<OnDisconnectName>,
        }

        impl $record {
            /// The limits among it.
            fn limits(&self) -> Result<GivenLimits, ApiError> {
                let minute = |text: &String| minute_of_day("quotaResetTime", text);
                Ok(GivenLimits {
                    concurrency: self.max_concurrent_tasks,
                    daily_cost: money("dailyQuota", self.daily_quota.as_ref())?,
                    day_minute: self.quota_reset_time.as_ref().map(minute).transpose()?,
                    weekly_cost: money("weeklyCostLimit", self.weekly_cost_limit.as_ref())?,
                    monthly_cost: money("monthlyCostLimit", self.monthly_cost_limit.as_ref())?,
                    total_cost: money("totalCostLimit", self.total_cost_limit.as_ref())?,
                    week_day: self.weekly_reset_day,
                    week_hour: self.weekly_reset_hour,
                    policy: self.budget_policy,
                    ..GivenLimits::default()
                })
            }
        }
    };
}

pub(super) use account_record;
