//! Thresholds of budgets that the settlements of a batch have passed: each is told to the one that passed it.

use relay_domain::{
    Calendar, LimitKind, LimitPeriodKind, LimitScope, LimitState, Limits, Timestamp,
};
use relay_store::{Crossing, StoreError, budgets};

use super::batch::Prepared;
use super::meter::Meter;
use crate::fault;
use crate::shared::Shared;

/// Someone's budgets that a batch watches.
#[derive(Clone, Debug)]
pub(super) struct Watched<'a> {
    pub(super) scope: &'a LimitScope,
    pub(super) limits: &'a Limits,
    pub(super) now: Timestamp,
    /// The positions in the batch of the settlements that may spend of them.
    pub(super) members: Vec<usize>,
}

impl<'a> Watched<'a> {
    /// Whether the other watches the same budgets in the same periods.
    pub(super) fn is_same(&self, other: &Self, calendar: Calendar) -> bool {
        const KINDS: [LimitPeriodKind; 3] =
            [LimitPeriodKind::Day, LimitPeriodKind::Week, LimitPeriodKind::Month];
        let period =
            |watched: &Self, kind| calendar.limit_period(kind, watched.limits.starts, watched.now);
        self.scope == other.scope
            && self.limits == other.limits
            && (self.now == other.now
                || KINDS.into_iter().all(|kind| period(self, kind) == period(other, kind)))
    }

    /// Its limits, as the scripts take them.
    pub(super) fn meter(&self, shared: &'a Shared) -> Meter<'a> {
        let Shared { calendar, keyspace, .. } = shared;
        Meter {
            scope: self.scope,
            limits: self.limits,
            now: self.now,
            calendar: *calendar,
            keyspace,
        }
    }
}

/// How the budgets of one who is watched stood before a batch.
struct Before<'a, 'b> {
    watched: &'b Watched<'a>,
    states: Vec<LimitState>,
    is_window_open: bool,
}

/// What each settlement of a batch has passed, from what the script has told: of each watched how its limits
/// stood before the batch, and what is held of it after it (tokens, money, money of Claude models).
///
/// # Errors
///
/// [`StoreError::Refused`] if it has told less.
pub(super) fn read<'a>(
    batch: &[&'a Prepared],
    watched: &[Watched<'a>],
    told: Vec<i64>,
    shared: &'a Shared,
) -> Result<Vec<Vec<Crossing>>, StoreError> {
    let mut told = told.into_iter().peekable();
    let mut befores = Vec::with_capacity(watched.len());
    for watched in watched {
        let is_window_open = told.peek().is_some_and(|opened| 0 < *opened);
        let mut states = watched.meter(shared).states(&mut told)?;
        let mut held = || told.next().ok_or_else(|| fault::unexpected("what is held"));
        let (tokens, money, claude) = (held()?, held()?, held()?);
        for state in &mut states {
            let held = match state.limit {
                LimitKind::Concurrency | LimitKind::WindowRequests => 0,
                LimitKind::WindowTokens => tokens,
                LimitKind::WeeklyClaudeCost => claude,
                LimitKind::WindowCost
                | LimitKind::DailyCost
                | LimitKind::WeeklyCost
                | LimitKind::MonthlyCost
                | LimitKind::TotalCost => money,
            };
            state.held = u64::try_from(held).unwrap_or(0);
        }
        befores.push(Before { watched, states, is_window_open });
    }
    let crossings = batch.iter().enumerate().map(|(position, prepared)| {
        let of_budget = |(scope, limits): &(LimitScope, Limits)| {
            let own = Watched { scope, limits, now: prepared.settlement.now, members: Vec::new() };
            let before =
                befores.iter().find(|before| before.watched.is_same(&own, shared.calendar));
            before.map(|before| before.passed_by(position, batch, shared)).unwrap_or_default()
        };
        prepared.settlement.budgets.iter().flat_map(of_budget).collect()
    });
    Ok(crossings.collect())
}

impl Before<'_, '_> {
    /// What the settlement at `position` has passed, after those before it in the batch.
    fn passed_by(&self, position: usize, batch: &[&Prepared], shared: &Shared) -> Vec<Crossing> {
        let scope = self.watched.scope;
        let states = self.states.iter().filter(|state| state.limit.is_money());
        let passed = states.flat_map(|state| {
            let spent = |at: &usize| {
                let prepared = batch.get(*at)?;
                self.counts(state.limit, prepared, shared).then(|| prepared.spent(scope))
            };
            let earlier = self.watched.members.iter().filter(|at| **at < position);
            let before = earlier
                .filter_map(spent)
                .map(budgets::amount_of)
                .fold(state.used, u64::saturating_add);
            let own = spent(&position).map_or(0, budgets::amount_of);
            let after = LimitState { used: before.saturating_add(own), ..*state };
            Crossing::between(scope, before, after)
        });
        passed.collect()
    }

    /// Whether a settlement counts in the period of a limit.
    fn counts(&self, limit: LimitKind, prepared: &Prepared, shared: &Shared) -> bool {
        let is_in_period = match self.watched.meter(shared).period(limit) {
            Some(period) => period.contains(prepared.settlement.now),
            None => self.is_window_open,
        };
        is_in_period && budgets::counts(limit, prepared.record().is_claude())
    }
}
