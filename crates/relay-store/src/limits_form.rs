//! The form in which both adapters keep limits that v1 has no fields for.

use std::time::Duration;

use relay_domain::{BudgetPolicy, Limits, NanoUsd, PeriodStarts, RateWindow};
use serde::{Deserialize, Serialize};

/// [`Limits`] as JSON. Fields may be added; a reader of an older version passes over them.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct StoredLimits {
    concurrency: Option<u32>,
    window: Option<StoredWindow>,
    daily_cost: Option<NanoUsd>,
    #[serde(default)]
    weekly_cost: Option<NanoUsd>,
    #[serde(default)]
    monthly_cost: Option<NanoUsd>,
    total_cost: Option<NanoUsd>,
    weekly_claude_cost: Option<NanoUsd>,
    #[serde(default)]
    starts: StoredStarts,
    hard_budget: bool,
}

#[derive(Debug, Deserialize, Serialize)]
struct StoredWindow {
    length_ms: u64,
    requests: Option<u64>,
    tokens: Option<u64>,
    cost: Option<NanoUsd>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct StoredStarts {
    day_minute: u16,
    week_day: u8,
    week_hour: u8,
}

impl Default for StoredStarts {
    fn default() -> Self {
        Self::from(PeriodStarts::default())
    }
}

impl From<PeriodStarts> for StoredStarts {
    fn from(PeriodStarts { day_minute, week_day, week_hour }: PeriodStarts) -> Self {
        Self { day_minute, week_day, week_hour }
    }
}

impl From<StoredStarts> for PeriodStarts {
    fn from(StoredStarts { day_minute, week_day, week_hour }: StoredStarts) -> Self {
        Self { day_minute, week_day, week_hour }
    }
}

impl From<Limits> for StoredLimits {
    fn from(limits: Limits) -> Self {
        let window = |window: RateWindow| StoredWindow {
            length_ms: u64::try_from(window.length.as_millis()).unwrap_or(u64::MAX),
            requests: window.requests,
            tokens: window.tokens,
            cost: window.cost,
        };
        Self {
            concurrency: limits.concurrency,
            window: limits.window.map(window),
            daily_cost: limits.daily_cost,
            weekly_cost: limits.weekly_cost,
            monthly_cost: limits.monthly_cost,
            total_cost: limits.total_cost,
            weekly_claude_cost: limits.weekly_claude_cost,
            starts: limits.starts.into(),
            hard_budget: limits.budget_policy == BudgetPolicy::Hard,
        }
    }
}

impl From<StoredLimits> for Limits {
    fn from(stored: StoredLimits) -> Self {
        let window = |window: StoredWindow| RateWindow {
            length: Duration::from_millis(window.length_ms),
            requests: window.requests,
            tokens: window.tokens,
            cost: window.cost,
        };
        Self {
            concurrency: stored.concurrency,
            window: stored.window.map(window),
            daily_cost: stored.daily_cost,
            weekly_cost: stored.weekly_cost,
            monthly_cost: stored.monthly_cost,
            total_cost: stored.total_cost,
            weekly_claude_cost: stored.weekly_claude_cost,
            starts: stored.starts.into(),
            budget_policy: if stored.hard_budget { BudgetPolicy::Hard } else { BudgetPolicy::Soft },
        }
    }
}
