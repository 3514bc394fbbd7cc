//! What an API key may spend and how fast.

use std::time::Duration;

use crate::NanoUsd;

/// The limits of one key. `None` means no limit; v1 and v2 store that as `0`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct KeyLimits {
    /// Requests in flight at once.
    pub concurrency: Option<u32>,
    /// v1's fixed window: opens with the first request, closes after its length.
    pub window: Option<RateWindow>,
    /// Cost in a calendar day.
    pub daily_cost: Option<NanoUsd>,
    /// Cost over the key's life.
    pub total_cost: Option<NanoUsd>,
    /// Cost of Claude models in a week (v1's name for it says Opus).
    pub weekly_claude_cost: Option<NanoUsd>,
    /// What a budget counts besides what is spent.
    pub budget_policy: BudgetPolicy,
}

/// v1's rate window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RateWindow {
    /// How long a window stays open.
    pub length: Duration,
    /// Requests in a window.
    pub requests: Option<u64>,
    /// Tokens of all kinds in a window.
    pub tokens: Option<u64>,
    /// Cost in a window.
    pub cost: Option<NanoUsd>,
}

/// What a request in flight reserves of a budget.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum BudgetPolicy {
    /// The recent average of key and model: v1's meaning of a limit, without its races.
    #[default]
    Soft,
    /// The worst case: the budget cannot be passed.
    Hard,
}

/// Names a limit in a denial, a log line or a header.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LimitKind {
    /// Requests in flight at once.
    Concurrency,
    /// Requests in the rate window.
    WindowRequests,
    /// Tokens in the rate window.
    WindowTokens,
    /// Cost in the rate window.
    WindowCost,
    /// Cost in a day.
    DailyCost,
    /// Cost over the key's life.
    TotalCost,
    /// Cost of Claude models in a week.
    WeeklyClaudeCost,
}

impl LimitKind {
    /// A stable code for clients and dashboards.
    pub fn code(self) -> &'static str {
        match self {
            Self::Concurrency => "concurrency_limit_exceeded",
            Self::WindowRequests => "window_request_limit_exceeded",
            Self::WindowTokens => "window_token_limit_exceeded",
            Self::WindowCost => "window_cost_limit_exceeded",
            Self::DailyCost => "daily_cost_limit_exceeded",
            Self::TotalCost => "total_cost_limit_exceeded",
            Self::WeeklyClaudeCost => "weekly_opus_cost_limit_exceeded",
        }
    }
}
