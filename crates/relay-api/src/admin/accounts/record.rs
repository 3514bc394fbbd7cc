//! What the records have in common that add and change an account.

/// A record of an account: what is its own, then what both have. `lasting` says how the fields are read that
/// cannot be empty.
macro_rules! account_record {
    ($(#[$about:meta])* $record:ident, [$(#[$lasting:meta])*], { $($own:tt)* }) => {
        $(#[$about])*
        #[derive(Deserialize, ToSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub(super) struct $record {
            $($own)*
            $(#[$lasting])*
            #[schema(min_length = 1, max_length = 100)]
            name: Option<String>,
            #[serde(default)]
            #[schema(value_type = Option<String>, max_length = 500)]
            description: Patch<String>,
            /// Replaces the client's user agent.
            #[serde(default)]
            #[schema(value_type = Option<String>)]
            user_agent: Patch<String>,
            #[serde(default)]
            #[schema(value_type = Option<SupportedModels>)]
            supported_models: Patch<SupportedModels>,
            /// How long a 429 without a reset time keeps it out, in minutes. 0: by the provider's word only.
            #[serde(default)]
            #[schema(value_type = Option<u32>)]
            rate_limit_duration: Patch<u32>,
            $(#[$lasting])*
            is_active: Option<bool>,
            $(#[$lasting])*
            account_type: Option<AccountKindName>,
            $(#[$lasting])*
            schedulable: Option<bool>,
            /// Requests in flight at once; 0 means no limit.
            #[serde(default)]
            #[schema(value_type = Option<u32>)]
            max_concurrent_tasks: Patch<u32>,
            /// Dollars in a day; 0 means no limit.
            #[serde(default)]
            #[schema(value_type = Option<f64>, minimum = 0)]
            daily_quota: Patch<Number>,
            /// When its day begins, in the operator's calendar.
            #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$", example = "08:30")]
            $(#[$lasting])*
            quota_reset_time: Option<String>,
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
            /// The day on which its week begins, 1 (Monday) to 7.
            $(#[$lasting])*
            #[schema(minimum = 1, maximum = 7)]
            weekly_reset_day: Option<u8>,
            /// The hour of that day.
            $(#[$lasting])*
            #[schema(maximum = 23)]
            weekly_reset_hour: Option<u8>,
            $(#[$lasting])*
            budget_policy: Option<BudgetPolicyName>,
            /// By how much what it costs counts for a key that uses it, with up to six decimals.
            $(#[$lasting])*
            #[schema(value_type = Option<f64>, minimum = 0)]
            rate_multiplier: Option<Number>,
            $(#[$lasting])*
            on_disconnect: Option<OnDisconnectName>,
        }

        impl $record {
            /// The limits among it.
            fn limits(&self) -> Result<GivenLimits, ApiError> {
                let minute = |text: &String| minute_of_day("quotaResetTime", text);
                Ok(GivenLimits {
                    concurrency: self.max_concurrent_tasks.told(),
                    daily_cost: money("dailyQuota", &self.daily_quota)?,
                    day_minute: self.quota_reset_time.as_ref().map(minute).transpose()?,
                    weekly_cost: money("weeklyCostLimit", &self.weekly_cost_limit)?,
                    monthly_cost: money("monthlyCostLimit", &self.monthly_cost_limit)?,
                    total_cost: money("totalCostLimit", &self.total_cost_limit)?,
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
