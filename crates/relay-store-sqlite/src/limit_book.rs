//! How every limit stands, in memory: what was spent, what is held, which windows are open. What decides
//! about a request is here, and waits for nothing but the first look at what somebody has spent.

use relay_domain::{
    Calendar, LimitKind, LimitScope, LimitState, Limits, RequestId, RequestRecord, Timestamp,
};
use relay_store::budgets::{amount_of, counts, limits_in_order, spent_by, window_millis};
use relay_store::{Charge, Crossing, Denial, Estimate, Settlement};

use crate::in_flight::{InFlight, Weight};
use crate::spent::{Amount, SpentCache, Unread};
use crate::windows::Windows;

/// How every limit stands.
pub(crate) struct LimitBook {
    pub(crate) in_flight: InFlight,
    pub(crate) spent: SpentCache,
    pub(crate) windows: Windows,
}

impl LimitBook {
    /// Nothing is spent and nobody is in; these windows are open.
    pub(crate) fn new(calendar: Calendar, windows: Windows) -> Self {
        Self { in_flight: InFlight::default(), spent: SpentCache::new(calendar), windows }
    }

    /// How the limits of `scope` stand at `now`, in their order.
    ///
    /// # Errors
    ///
    /// [`Unread`] if the file has to be asked first.
    pub(crate) fn standing(
        &mut self,
        scope: &LimitScope,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Vec<LimitState>, Unread> {
        if limits.are_none() {
            return Ok(Vec::new());
        }
        let held = self.in_flight.sums(scope, now);
        let spent = self.spent.get(scope, limits, now)?;
        let window = window_millis(limits)
            .and_then(|length| Some((self.windows.get(scope, length, now)?, length)));
        let closes_at = window.map(|(window, length)| {
            Timestamp::from_millis(window.opened_at.as_millis().saturating_add(length))
        });
        let window = window.map(|(window, _)| window);
        let state = |(limit, allowed)| {
            let (used, held, resets_at) = match limit {
                LimitKind::Concurrency => (held.slots, 0, None),
                LimitKind::WindowRequests => {
                    (window.map_or(0, |window| window.requests), 0, closes_at)
                }
                LimitKind::WindowTokens => {
                    (window.map_or(0, |window| window.tokens), held.tokens, closes_at)
                }
                LimitKind::WindowCost => {
                    (window.map_or(0, |window| amount_of(window.cost)), held.money, closes_at)
                }
                LimitKind::DailyCost
                | LimitKind::WeeklyCost
                | LimitKind::MonthlyCost
                | LimitKind::TotalCost
                | LimitKind::WeeklyClaudeCost => {
                    let (amount, ends_at) = spent.map(|spent| spent.of(limit)).unwrap_or_default();
                    let is_claude = limit == LimitKind::WeeklyClaudeCost;
                    let held = if is_claude { held.claude } else { held.money };
                    (amount_of(amount), held, ends_at)
                }
            };
            LimitState { limit, used, held, allowed, resets_at }
        };
        Ok(limits_in_order(limits).map(state).collect())
    }

    /// Whether a limit of `scope` keeps out a request that is thought to come to `estimate`.
    ///
    /// # Errors
    ///
    /// [`Unread`] if the file has to be asked first.
    pub(crate) fn denial(
        &mut self,
        (scope, limits): (&LimitScope, &Limits),
        is_claude: bool,
        estimate: &Estimate,
        now: Timestamp,
    ) -> Result<Option<Denial>, Unread> {
        let standing = self.standing(scope, limits, now)?;
        let concerned = standing.iter().filter(|state| counts(state.limit, is_claude));
        let full = |state: &LimitState| {
            let weight = estimate.weight_to_enter(state.limit, scope, limits.budget_policy);
            Denial::of_new(scope, state, weight)
        };
        Ok(concerned.map(full).find_map(|denial| denial))
    }

    /// Whether a limit of `scope` is in the way of raising what a request holds.
    ///
    /// # Errors
    ///
    /// [`Unread`] if the file has to be asked first.
    pub(crate) fn raise_denial(
        &mut self,
        (scope, limits): (&LimitScope, &Limits),
        is_claude: bool,
        (before, after): (&Estimate, &Estimate),
        now: Timestamp,
    ) -> Result<Option<Denial>, Unread> {
        let standing = self.standing(scope, limits, now)?;
        let concerned = standing.iter().filter(|state| counts(state.limit, is_claude));
        let weight = |estimate: &Estimate, limit| estimate.weight(limit, scope);
        let over = |state: &LimitState| {
            let raise = (weight(before, state.limit), weight(after, state.limit));
            Denial::of_raise(scope, state, raise)
        };
        Ok(concerned.map(over).find_map(|denial| denial))
    }

    /// A request is let in, or given to an account: it weighs on `scope`, takes a slot and counts in its
    /// window. Returns when that was opened, if there is one.
    pub(crate) fn enter(
        &mut self,
        (scope, limits): (&LimitScope, &Limits),
        request: RequestId,
        lease_until: Timestamp,
        weight: &Weight,
        now: Timestamp,
    ) -> Option<Timestamp> {
        self.in_flight.add(scope, weight);
        self.in_flight.lease(scope, lease_until, request);
        window_millis(limits).map(|length| self.windows.count_request(scope, length, now))
    }

    /// A request that held its part is settled and committed. Returns the thresholds that it has passed.
    pub(crate) fn count(&mut self, settlement: &Settlement) -> Vec<Crossing> {
        match settlement.charge {
            Charge::Release => return Vec::new(),
            Charge::Count => {}
        }
        let now = settlement.now;
        let watched = settlement.budgets.iter().filter(|(_, limits)| limits.has_budget());
        let before: Vec<_> = watched
            .map(|(scope, limits)| (scope, limits, self.standing(scope, limits, now)))
            .collect();
        for (scope, amount) in amounts(&settlement.record) {
            self.spent.add(&scope, amount, now);
            self.windows.add(&scope, settlement.record.usage.total().get(), amount.all, now);
        }
        let mut crossed = Vec::new();
        for (scope, limits, before) in before {
            // What was not read before the commit cannot be compared.
            let (Ok(before), Ok(after)) = (before, self.standing(scope, limits, now)) else {
                continue;
            };
            let passed = before.iter().zip(after);
            crossed.extend(
                passed.flat_map(|(before, after)| Crossing::between(scope, before.used, after)),
            );
        }
        crossed
    }

    /// What has to be read from the file before [`count`](Self::count) can tell what it passes.
    pub(crate) fn unread(&mut self, settlement: &Settlement) -> Vec<Unread> {
        let read = |(scope, limits): &(LimitScope, Limits)| {
            self.spent.get(scope, limits, settlement.now).err()
        };
        settlement.budgets.iter().filter_map(read).collect()
    }
}

/// Whose budgets a settled request counts on, and how much.
pub(crate) fn amounts(record: &RequestRecord) -> impl Iterator<Item = (LimitScope, Amount)> {
    let is_claude = record.is_claude();
    [
        Some(LimitScope::Key(record.key.clone())),
        record.group.clone().map(LimitScope::Group),
        record.account.clone().map(LimitScope::Account),
    ]
    .into_iter()
    .flatten()
    .map(move |scope| {
        let all = spent_by(record, &scope);
        let claude = if is_claude { all } else { Amount::default().claude };
        (scope, Amount { all, claude })
    })
}
