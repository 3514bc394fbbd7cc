//! The arithmetic of limits, said once for every ledger: which there are, what a request weighs on each,
//! when there is no room, and which thresholds are passed.

use relay_domain::{
    BudgetPolicy, LimitKind, LimitScope, LimitState, Limits, NanoUsd, RequestRecord,
};

use crate::{Crossing, Denial, Estimate, THRESHOLDS};

/// The limits that there are, each with how much it allows (a number, or nano-dollars), in the order in
/// which they are checked: the first without room is the one that a denial names.
pub fn limits_in_order(limits: &Limits) -> impl Iterator<Item = (LimitKind, u64)> + use<> {
    let window = limits.window.as_ref();
    let money = |amount: Option<NanoUsd>| amount.map(amount_of);
    [
        (LimitKind::Concurrency, limits.concurrency.map(u64::from)),
        (LimitKind::WindowRequests, window.and_then(|window| window.requests)),
        (LimitKind::WindowTokens, window.and_then(|window| window.tokens)),
        (LimitKind::WindowCost, money(window.and_then(|window| window.cost))),
        (LimitKind::DailyCost, money(limits.daily_cost)),
        (LimitKind::WeeklyCost, money(limits.weekly_cost)),
        (LimitKind::MonthlyCost, money(limits.monthly_cost)),
        (LimitKind::TotalCost, money(limits.total_cost)),
        (LimitKind::WeeklyClaudeCost, money(limits.weekly_claude_cost)),
    ]
    .into_iter()
    .filter_map(|(kind, allowed)| Some((kind, allowed?)))
}

/// The length of the rate window in milliseconds, if any limit counts in it.
pub fn window_millis(limits: &Limits) -> Option<u64> {
    let window = limits.window?;
    let is_used = window.requests.is_some() || window.tokens.is_some() || window.cost.is_some();
    is_used.then(|| u64::try_from(window.length.as_millis()).unwrap_or(u64::MAX))
}

/// Money as a limit counts it: nano-dollars, and nothing where a correction has taken it below zero.
pub fn amount_of(money: NanoUsd) -> u64 {
    u64::try_from(money.as_nanos()).unwrap_or(0)
}

/// What a settled request counts on the budgets of `scope`: the charge for a key and a group, the cost at the
/// provider, known or presumed, for an account. What is neither counts as nothing.
pub fn spent_by(record: &RequestRecord, scope: &LimitScope) -> NanoUsd {
    let amount = match scope {
        LimitScope::Key(_) | LimitScope::Group(_) => record.charged,
        LimitScope::Account(_) => record.cost.or(record.presumed_cost),
    };
    amount.unwrap_or(NanoUsd::ZERO)
}

/// Whether a limit counts requests of Claude models, or of others.
pub fn counts(kind: LimitKind, is_claude: bool) -> bool {
    kind != LimitKind::WeeklyClaudeCost || is_claude
}

impl Estimate {
    /// What is held of the budgets of `scope`.
    pub fn money(&self, scope: &LimitScope) -> NanoUsd {
        match scope {
            LimitScope::Key(_) | LimitScope::Group(_) => self.charged,
            LimitScope::Account(_) => self.cost,
        }
    }

    /// What is held of one limit of `scope`, as the limit counts it.
    pub fn weight(&self, kind: LimitKind, scope: &LimitScope) -> u64 {
        match kind {
            LimitKind::Concurrency | LimitKind::WindowRequests => 1,
            LimitKind::WindowTokens => self.tokens,
            LimitKind::WindowCost
            | LimitKind::DailyCost
            | LimitKind::WeeklyCost
            | LimitKind::MonthlyCost
            | LimitKind::TotalCost
            | LimitKind::WeeklyClaudeCost => amount_of(self.money(scope)),
        }
    }

    /// What has to fit beside what is taken of one limit of `scope`, for the request to be let in. A hard
    /// limit takes all of it into account; a soft one lets in whoever finds any room, as v1 does.
    pub fn weight_to_enter(
        &self,
        kind: LimitKind,
        scope: &LimitScope,
        policy: BudgetPolicy,
    ) -> u64 {
        match policy {
            BudgetPolicy::Hard => self.weight(kind, scope),
            BudgetPolicy::Soft => 0,
        }
    }

    /// The greater of both, in each part.
    #[must_use]
    pub fn raised_to(&self, other: &Self) -> Self {
        Self {
            tokens: self.tokens.max(other.tokens),
            cost: self.cost.max(other.cost),
            charged: self.charged.max(other.charged),
        }
    }
}

impl Denial {
    /// The denial of a request that weighs `weight` on a limit in this state; `None`: there is room.
    ///
    /// A limit that is used up lets nothing in, not even what weighs nothing on it.
    pub fn of_new(scope: &LimitScope, state: &LimitState, weight: u64) -> Option<Self> {
        let taken = state.used.saturating_add(state.held);
        let is_full = state.allowed <= taken || state.allowed < taken.saturating_add(weight);
        is_full.then(|| Self::of(scope, state))
    }

    /// The denial of a raise of what a hold weighs, from `before` (which the state has among what is held)
    /// to `after`; `None`: there is room, or it is no raise.
    pub fn of_raise(
        scope: &LimitScope,
        state: &LimitState,
        (before, after): (u64, u64),
    ) -> Option<Self> {
        let taken = state.used.saturating_add(state.held);
        let is_over = state.allowed < taken.saturating_add(after.saturating_sub(before));
        (before < after && is_over).then(|| Self::of(scope, state))
    }

    fn of(scope: &LimitScope, state: &LimitState) -> Self {
        Self {
            scope: scope.clone(),
            limit: state.limit,
            used: state.used.saturating_add(state.held),
            held: state.held,
            allowed: state.allowed,
            resets_at: state.resets_at,
        }
    }
}

impl Crossing {
    /// The thresholds of a budget that lie between what was used before and what is used now, the lowest
    /// first. None does if the limit is no money.
    pub fn between(
        scope: &LimitScope,
        before: u64,
        state: LimitState,
    ) -> impl Iterator<Item = Self> {
        let is_reached = move |used: u64, percent: u8| {
            u128::from(state.allowed) * u128::from(percent) <= u128::from(used) * 100
        };
        let is_passed = move |percent: &u8| {
            state.limit.is_money()
                && !is_reached(before, *percent)
                && is_reached(state.used, *percent)
        };
        let crossing = move |percent| Self { scope: scope.clone(), percent, state };
        THRESHOLDS.into_iter().filter(is_passed).map(crossing)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use relay_domain::{GroupId, KeyId, RateWindow};

    use super::*;

    fn scope() -> LimitScope {
        LimitScope::Key(KeyId::try_from("k").unwrap())
    }

    fn state(used: u64, held: u64, allowed: u64) -> LimitState {
        LimitState { limit: LimitKind::DailyCost, used, held, allowed, resets_at: None }
    }

    #[test]
    fn every_limit_has_its_place() {
        let nanos = |nanos| Some(NanoUsd::from_nanos(nanos));
        let window = RateWindow {
            length: Duration::from_millis(90_001),
            requests: Some(2),
            tokens: Some(3),
            cost: nanos(4),
        };
        let limits = Limits {
            concurrency: Some(1),
            window: Some(window),
            daily_cost: nanos(5),
            weekly_cost: nanos(6),
            monthly_cost: nanos(7),
            total_cost: nanos(8),
            weekly_claude_cost: nanos(-9),
            ..Limits::default()
        };
        let amounts: Vec<_> = limits_in_order(&limits).collect();
        assert_eq!(
            amounts,
            [
                (LimitKind::Concurrency, 1),
                (LimitKind::WindowRequests, 2),
                (LimitKind::WindowTokens, 3),
                (LimitKind::WindowCost, 4),
                (LimitKind::DailyCost, 5),
                (LimitKind::WeeklyCost, 6),
                (LimitKind::MonthlyCost, 7),
                (LimitKind::TotalCost, 8),
                (LimitKind::WeeklyClaudeCost, 0),
            ]
        );
        assert_eq!(window_millis(&limits), Some(90_001));
        let empty = RateWindow { requests: None, tokens: None, cost: None, ..window };
        assert_eq!(window_millis(&Limits { window: Some(empty), ..limits }), None);
        assert_eq!(limits_in_order(&Limits::default()).count(), 0);
    }

    #[test]
    fn there_is_room_up_to_the_limit_and_not_beyond() {
        let cases = [
            (state(0, 0, 10), 10, true),
            (state(0, 0, 10), 11, false),
            (state(4, 5, 10), 1, true),
            (state(4, 5, 10), 2, false),
            (state(4, 6, 10), 0, false),
            (state(12, 0, 10), 0, false),
            (state(0, 0, 0), 0, false),
            (state(u64::MAX, 1, u64::MAX), 1, false),
        ];
        for (state, weight, is_in) in cases {
            let denied = Denial::of_new(&scope(), &state, weight);
            assert_eq!(denied.is_none(), is_in, "{weight} on {state:?}");
        }
        let denied = Denial::of_new(&scope(), &state(4, 5, 10), 2).unwrap();
        assert_eq!((denied.used, denied.held, denied.allowed), (9, 5, 10));
    }

    #[test]
    fn a_hold_is_raised_where_there_is_room() {
        let cases = [
            (state(0, 5, 10), (5, 10), true),
            (state(1, 5, 10), (5, 10), false),
            (state(20, 5, 10), (5, 5), true),
            (state(20, 5, 10), (5, 4), true),
            (state(5, 5, 10), (0, 1), false),
        ];
        for (state, raise, is_raised) in cases {
            let denied = Denial::of_raise(&scope(), &state, raise);
            assert_eq!(denied.is_none(), is_raised, "{raise:?} on {state:?}");
        }
    }

    #[test]
    fn every_threshold_passed_is_told() {
        let percents = |before, state| -> Vec<u8> {
            Crossing::between(&scope(), before, state).map(|crossing| crossing.percent).collect()
        };
        let cases: [(u64, u64, &[u8]); 8] = [
            (0, 49, &[]),
            (0, 50, &[50]),
            (49, 50, &[50]),
            (50, 79, &[]),
            (0, 94, &[50, 80]),
            (80, 100, &[95, 100]),
            (95, 300, &[100]),
            (100, 300, &[]),
        ];
        for (before, used, passed) in cases {
            assert_eq!(percents(before, state(used, 7, 100)), passed, "{before} to {used}");
        }
        let tokens = LimitState { limit: LimitKind::WindowTokens, ..state(90, 0, 100) };
        assert_eq!(percents(0, tokens), []);
        assert_eq!(percents(0, state(u64::MAX, 0, u64::MAX)), THRESHOLDS);
    }

    #[test]
    fn an_account_is_held_to_the_cost_and_others_to_the_charge() {
        let nanos = NanoUsd::from_nanos;
        let estimate = Estimate { tokens: 1, cost: nanos(2), charged: nanos(3) };
        let group = LimitScope::Group(GroupId::try_from("g").unwrap());
        let account = LimitScope::Account(relay_domain::AccountId::try_from("a").unwrap());
        for (scope, weight) in [(scope(), 3), (group, 3), (account, 2)] {
            assert_eq!(estimate.weight(LimitKind::TotalCost, &scope), weight);
            assert_eq!(estimate.weight(LimitKind::WindowTokens, &scope), 1);
        }
        let other = Estimate { tokens: 5, cost: nanos(1), charged: nanos(9) };
        let raised = Estimate { tokens: 5, cost: nanos(2), charged: nanos(9) };
        assert_eq!(estimate.raised_to(&other), raised);
    }
}
