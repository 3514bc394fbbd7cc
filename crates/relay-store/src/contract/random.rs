//! Histories' dice: numbers, limits and estimates.

use relay_domain::{BudgetPolicy, Limits, NanoUsd, PeriodStarts, RateWindow};

use super::spender::WINDOW;
use crate::Estimate;

/// Numbers that look random and are the same in every run.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn is(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn of<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        let count = u64::try_from(choices.len()).unwrap();
        if count == 0 { None } else { Some(choices[usize::try_from(self.below(count)).unwrap()]) }
    }

    /// Limits that some requests reach.
    pub(super) fn limits(&mut self, of_account: bool, budget_policy: BudgetPolicy) -> Limits {
        let mut money = |percent| {
            let amount = 20 + self.below(150);
            self.is(percent).then(|| nanos(amount))
        };
        let (daily_cost, weekly_cost, monthly_cost) = (money(50), money(40), money(30));
        let (total_cost, weekly_claude_cost, in_window) = (money(20), money(40), money(40));
        let requests = self.is(40).then(|| 2 + self.below(8));
        let token_limit = self.is(40).then(|| 30 + self.below(100));
        let window = RateWindow { length: WINDOW, requests, tokens: token_limit, cost: in_window };
        // A key's day begins at midnight.
        let days_begin = if of_account { 1_440 } else { 1 };
        let starts = PeriodStarts {
            day_minute: u16::try_from(self.below(days_begin)).unwrap(),
            week_day: u8::try_from(1 + self.below(7)).unwrap(),
            week_hour: u8::try_from(self.below(24)).unwrap(),
        };
        Limits {
            concurrency: self.is(50).then(|| u32::try_from(1 + self.below(5)).unwrap()),
            window: self.is(60).then_some(window),
            daily_cost,
            weekly_cost,
            monthly_cost,
            total_cost,
            weekly_claude_cost,
            starts,
            budget_policy,
        }
    }

    /// What a request may come to: of everything at most so much.
    pub(super) fn estimate(&mut self, most: u64) -> Estimate {
        let mut part = || self.below(most + 1);
        Estimate { tokens: part(), cost: nanos(part()), charged: nanos(part()) }
    }
}

/// An amount.
pub(super) fn nanos(amount: u64) -> NanoUsd {
    NanoUsd::from_nanos(i64::try_from(amount).unwrap())
}
