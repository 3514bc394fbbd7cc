//! Limits as an operator gives them: what is not given stays as it is.

#![expect(clippy::option_option, reason = "left out, null and a value are three things")]

use std::time::Duration;

use relay_domain::{BudgetPolicy, Limits, NanoUsd, RateWindow};
use serde::{Deserialize, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

use super::dollars;
use super::error::ApiError;
use super::patch::Patch;

/// What a budget counts besides what is spent: `soft` what requests in flight usually cost, `hard` what
/// they may cost at worst.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum BudgetPolicyName {
    Soft,
    Hard,
}

impl From<BudgetPolicyName> for BudgetPolicy {
    fn from(name: BudgetPolicyName) -> Self {
        match name {
            BudgetPolicyName::Soft => Self::Soft,
            BudgetPolicyName::Hard => Self::Hard,
        }
    }
}

impl From<BudgetPolicy> for BudgetPolicyName {
    fn from(policy: BudgetPolicy) -> Self {
        match policy {
            BudgetPolicy::Soft => Self::Soft,
            BudgetPolicy::Hard => Self::Hard,
        }
    }
}

/// Limits that were given. The inner `None` takes a limit away.
#[derive(Default)]
pub(super) struct GivenLimits {
    pub(super) concurrency: Option<u32>,
    /// Minutes; zero takes the window away.
    pub(super) window: Option<u32>,
    pub(super) window_requests: Option<u64>,
    pub(super) window_tokens: Option<u64>,
    pub(super) window_cost: Option<Option<NanoUsd>>,
    pub(super) daily_cost: Option<Option<NanoUsd>>,
    pub(super) weekly_cost: Option<Option<NanoUsd>>,
    pub(super) monthly_cost: Option<Option<NanoUsd>>,
    pub(super) total_cost: Option<Option<NanoUsd>>,
    pub(super) weekly_claude_cost: Option<Option<NanoUsd>>,
    pub(super) day_minute: Option<u16>,
    pub(super) week_day: Option<u8>,
    pub(super) week_hour: Option<u8>,
    pub(super) policy: Option<BudgetPolicyName>,
}

impl GivenLimits {
    /// Changes `limits` as it is given.
    pub(super) fn apply(&self, limits: &mut Limits) {
        let set = |given: Option<Option<NanoUsd>>, limit: &mut Option<NanoUsd>| {
            if let Some(given) = given {
                *limit = given;
            }
        };
        set(self.daily_cost, &mut limits.daily_cost);
        set(self.weekly_cost, &mut limits.weekly_cost);
        set(self.monthly_cost, &mut limits.monthly_cost);
        set(self.total_cost, &mut limits.total_cost);
        set(self.weekly_claude_cost, &mut limits.weekly_claude_cost);
        limits.concurrency = self.concurrency.or(limits.concurrency);
        limits.window = self.window(limits.window);
        let starts = &mut limits.starts;
        starts.day_minute = self.day_minute.unwrap_or(starts.day_minute);
        starts.week_day = self.week_day.unwrap_or(starts.week_day);
        starts.week_hour = self.week_hour.unwrap_or(starts.week_hour);
        limits.budget_policy = self.policy.map_or(limits.budget_policy, BudgetPolicy::from);
    }

    /// Whether something is given that only a window can keep, and `limits` would have none.
    pub(super) fn lack_a_window(&self, mut limits: Limits) -> bool {
        self.apply(&mut limits);
        let is_some = |limit: Option<u64>| limit.is_some_and(|limit| limit > 0);
        let needed = is_some(self.window_requests)
            || is_some(self.window_tokens)
            || self.window_cost.flatten().is_some();
        needed && limits.window.is_none()
    }

    fn window(&self, old: Option<RateWindow>) -> Option<RateWindow> {
        let length = match (self.window, old) {
            (Some(minutes), _) => Duration::from_mins(minutes.into()),
            (None, Some(old)) => old.length,
            (None, None) => Duration::ZERO,
        };
        (!length.is_zero()).then(|| RateWindow {
            length,
            requests: self.window_requests.or(old.and_then(|old| old.requests)),
            tokens: self.window_tokens.or(old.and_then(|old| old.tokens)),
            cost: self.window_cost.unwrap_or(old.and_then(|old| old.cost)),
        })
    }
}

/// Reads an amount that may be given. Zero and `null` take the limit away.
pub(super) fn money(
    field: &'static str,
    given: &Patch<Number>,
) -> Result<Option<Option<NanoUsd>>, ApiError> {
    match given {
        Patch::Keep => Ok(None),
        Patch::Clear => Ok(Some(None)),
        Patch::Set(dollars) => dollars::limit(field, Some(dollars)).map(Some),
    }
}

/// Reads a time of the day such as `08:30`, in minutes after midnight.
pub(super) fn minute_of_day(field: &'static str, text: &str) -> Result<u16, ApiError> {
    let read = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let number = |digits: &str, below: u16| {
            let is_pair = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            let number: u16 = digits.parse().ok()?;
            (is_pair && number < below).then_some(number)
        };
        Some(number(hour, 24)? * 60 + number(minute, 60)?)
    };
    let why = "must be a time from 00:00 to 23:59, such as 08:30";
    read(text).ok_or(ApiError::Invalid { field, why })
}

/// Shows a time of the day.
pub(super) fn time_of_day(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_day_read_back() {
        for text in ["00:00", "08:30", "23:59"] {
            assert_eq!(time_of_day(minute_of_day("t", text).unwrap()), text);
        }
        for text in ["", "8:30", "24:00", "08:60", "08:30:00", "+8:30", "0830"] {
            assert!(minute_of_day("t", text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_given_stays() {
        let window = RateWindow {
            length: Duration::from_mins(5),
            requests: Some(1),
            tokens: Some(2),
            cost: Some(NanoUsd::from_nanos(3)),
        };
        let old = Limits {
            window: Some(window),
            total_cost: Some(NanoUsd::from_nanos(9)),
            ..Limits::default()
        };
        let mut limits = old;
        GivenLimits::default().apply(&mut limits);
        assert_eq!(limits, old);

        let given = GivenLimits {
            window_requests: Some(7),
            window_cost: Some(None),
            total_cost: Some(None),
            ..GivenLimits::default()
        };
        given.apply(&mut limits);
        let expected = RateWindow { requests: Some(7), cost: None, ..window };
        assert_eq!((limits.window, limits.total_cost), (Some(expected), None));
        assert!(!given.lack_a_window(old));
        assert!(given.lack_a_window(Limits::default()));
        assert!(GivenLimits { window: Some(0), ..given }.lack_a_window(old));
    }
}
