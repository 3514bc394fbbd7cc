//! What limits may be.

use relay_domain::{Limits, NanoUsd, RateWindow, WindowCaps};

use super::OperatorError;

/// The same limits, with zero read as none.
pub(super) fn without_zeros(limits: Limits) -> Limits {
    let money = |amount: Option<NanoUsd>| amount.filter(|amount| *amount != NanoUsd::ZERO);
    let window = limits.window.filter(|window| !window.length.is_zero());
    Limits {
        concurrency: limits.concurrency.filter(|limit| *limit > 0),
        window: window.map(|window| {
            let RateWindow { length, requests, tokens, cost } = window;
            let WindowCaps { requests, tokens, cost } =
                caps_without_zeros(WindowCaps { requests, tokens, cost });
            RateWindow { length, requests, tokens, cost }
        }),
        daily_cost: money(limits.daily_cost),
        weekly_cost: money(limits.weekly_cost),
        monthly_cost: money(limits.monthly_cost),
        total_cost: money(limits.total_cost),
        weekly_claude_cost: money(limits.weekly_claude_cost),
        ..limits
    }
}

/// The same for what a window allows.
pub(super) fn caps_without_zeros(caps: WindowCaps) -> WindowCaps {
    WindowCaps {
        requests: caps.requests.filter(|limit| *limit > 0),
        tokens: caps.tokens.filter(|limit| *limit > 0),
        cost: caps.cost.filter(|amount| *amount != NanoUsd::ZERO),
    }
}

/// Whether limits can be kept.
///
/// # Errors
///
/// [`OperatorError::Invalid`] with the first that cannot.
pub(super) fn check(limits: &Limits, caps: WindowCaps) -> Result<(), OperatorError> {
    let amounts = [
        ("dailyCostLimit", limits.daily_cost),
        ("weeklyCostLimit", limits.weekly_cost),
        ("monthlyCostLimit", limits.monthly_cost),
        ("totalCostLimit", limits.total_cost),
        ("weeklyOpusCostLimit", limits.weekly_claude_cost),
        ("rateLimitCost", caps.cost),
    ];
    let negative = amounts.iter().find(|(_, amount)| amount.is_some_and(|a| a < NanoUsd::ZERO));
    if let Some((field, _)) = negative {
        return Err(OperatorError::Invalid { field, why: "must be at least 0" });
    }
    let starts = limits.starts;
    let in_range = [
        ("weeklyResetDay", (1..=7).contains(&starts.week_day), "must be a number from 1 to 7"),
        ("weeklyResetHour", starts.week_hour <= 23, "must be a number from 0 to 23"),
        ("quotaResetTime", starts.day_minute < 24 * 60, "must be a time from 00:00 to 23:59"),
    ];
    match in_range.iter().find(|(_, holds, _)| !holds) {
        Some((field, _, why)) => Err(OperatorError::Invalid { field, why }),
        None => Ok(()),
    }
}
