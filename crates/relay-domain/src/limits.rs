//! What an API key, a group of keys or an account may spend and how fast.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{AccountId, GroupId, KeyId, NanoUsd};

/// The limits of one key, group or account. `None` means no limit; v1 and v2 store that as `0`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    /// Requests in flight at once.
    pub concurrency: Option<u32>,
    /// v1's fixed window: opens with the first request, closes after its length.
    pub window: Option<RateWindow>,
    /// Cost in a day.
    pub daily_cost: Option<NanoUsd>,
    /// Cost in a week.
    pub weekly_cost: Option<NanoUsd>,
    /// Cost in a calendar month.
    pub monthly_cost: Option<NanoUsd>,
    /// Cost over all time.
    pub total_cost: Option<NanoUsd>,
    /// Cost of Claude models in a week (v1's name for it says Opus).
    pub weekly_claude_cost: Option<NanoUsd>,
    /// When its day and its week begin.
    pub starts: PeriodStarts,
    /// What a budget counts besides what is spent.
    pub budget_policy: BudgetPolicy,
}

impl Limits {
    /// Whether there is none.
    pub fn are_none(&self) -> bool {
        self.concurrency.is_none() && self.window.is_none() && !self.has_budget()
    }

    /// Whether any of them is money, so that a request of unknown cost cannot be weighed against it.
    pub fn has_budget(&self) -> bool {
        let in_window = self.window.and_then(|window| window.cost);
        let budgets = [
            in_window,
            self.daily_cost,
            self.weekly_cost,
            self.monthly_cost,
            self.total_cost,
            self.weekly_claude_cost,
        ];
        budgets.iter().any(Option::is_some)
    }

    /// Whether tokens are counted and must not be passed.
    pub fn has_hard_tokens(&self) -> bool {
        let counts_tokens = self.window.is_some_and(|window| window.tokens.is_some());
        self.budget_policy == BudgetPolicy::Hard && counts_tokens
    }

    /// Whether any of them must not be passed by what a request comes to, so that its worst case is held.
    pub fn hold_the_worst(&self) -> bool {
        let has_hard_budget = self.budget_policy == BudgetPolicy::Hard && self.has_budget();
        has_hard_budget || self.has_hard_tokens()
    }
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

/// When a limited one's day and week begin, in the operator's calendar.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeriodStarts {
    /// Minutes after midnight at which its day begins, 0 to 1439 (v1's `quotaResetTime` of an account;
    /// a key's day begins at midnight).
    pub day_minute: u16,
    /// The day on which its week begins, 1 (Monday) to 7 (v1's `weeklyResetDay`).
    pub week_day: u8,
    /// The hour of that day, 0 to 23 (v1's `weeklyResetHour`).
    pub week_hour: u8,
}

impl Default for PeriodStarts {
    /// Midnight, and Monday at midnight.
    fn default() -> Self {
        Self { day_minute: 0, week_day: 1, week_hour: 0 }
    }
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

/// Whose limit.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitScope {
    /// An API key's.
    Key(KeyId),
    /// A group's: what its keys do together.
    Group(GroupId),
    /// An account's.
    Account(AccountId),
}

/// One of the limits that there are.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
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
    /// Cost in a week.
    WeeklyCost,
    /// Cost in a calendar month.
    MonthlyCost,
    /// Cost over all time.
    TotalCost,
    /// Cost of Claude models in a week.
    WeeklyClaudeCost,
}

impl LimitKind {
    /// Its stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Concurrency => "concurrency",
            Self::WindowRequests => "window_requests",
            Self::WindowTokens => "window_tokens",
            Self::WindowCost => "window_cost",
            Self::DailyCost => "daily_cost",
            Self::WeeklyCost => "weekly_cost",
            Self::MonthlyCost => "monthly_cost",
            Self::TotalCost => "total_cost",
            Self::WeeklyClaudeCost => "weekly_claude_cost",
        }
    }

    /// A stable code for refusals by it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Concurrency => "concurrency_limit_exceeded",
            Self::WindowRequests => "window_request_limit_exceeded",
            Self::WindowTokens => "window_token_limit_exceeded",
            Self::WindowCost => "window_cost_limit_exceeded",
            Self::DailyCost => "daily_cost_limit_exceeded",
            Self::WeeklyCost => "weekly_cost_limit_exceeded",
            Self::MonthlyCost => "monthly_cost_limit_exceeded",
            Self::TotalCost => "total_cost_limit_exceeded",
            Self::WeeklyClaudeCost => "weekly_opus_cost_limit_exceeded",
        }
    }

    /// Whether it is counted in nano-dollars.
    pub fn is_money(self) -> bool {
        match self {
            Self::Concurrency | Self::WindowRequests | Self::WindowTokens => false,
            Self::WindowCost
            | Self::DailyCost
            | Self::WeeklyCost
            | Self::MonthlyCost
            | Self::TotalCost
            | Self::WeeklyClaudeCost => true,
        }
    }
}

/// How far one limit is used, at one moment.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LimitState {
    /// Which limit.
    pub limit: LimitKind,
    /// What is used up: a number, or nano-dollars where the limit is money.
    pub used: u64,
    /// What requests in flight hold of it besides, in the same unit.
    pub held: u64,
    /// How much there is, in the same unit.
    pub allowed: u64,
    /// When it starts anew by the calendar or the clock. `None`: when requests end, or never.
    pub resets_at: Option<crate::Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_has_one_name_wherever_it_is_named() {
        let kinds = [
            LimitKind::Concurrency,
            LimitKind::WindowRequests,
            LimitKind::WindowTokens,
            LimitKind::WindowCost,
            LimitKind::DailyCost,
            LimitKind::WeeklyCost,
            LimitKind::MonthlyCost,
            LimitKind::TotalCost,
            LimitKind::WeeklyClaudeCost,
        ];
        for kind in kinds {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
