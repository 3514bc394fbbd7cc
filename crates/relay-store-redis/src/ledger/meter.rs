//! Limits as the scripts take them and tell of them: the other side of `limits.lua`.

use std::time::Duration;

use relay_domain::{
    BudgetPolicy, Calendar, LimitKind, LimitPeriod, LimitPeriodKind, LimitScope, LimitState,
    Limits, NanoUsd, Period, PeriodKind, PeriodStarts, Timestamp,
};
use relay_store::{Denial, Estimate, StoreError, UsageScope, budgets};

use super::hold;
use crate::call::Call;
use crate::fault;
use crate::keyspace::Keyspace;

/// Someone's limits at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter<'a> {
    pub(super) scope: &'a LimitScope,
    pub(super) limits: &'a Limits,
    pub(super) now: Timestamp,
    pub(super) calendar: Calendar,
    pub(super) keyspace: &'a Keyspace,
}

/// What a request weighs on a scope.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weight {
    tokens: u64,
    money: u64,
    /// What of the money is for a Claude model, if it names one.
    claude: Option<u64>,
}

/// A budget and what it is read from.
struct Budget {
    kind: LimitKind,
    allowed: u64,
    period: LimitPeriod,
    day_minute: u16,
    /// The counter of its period, if there is one.
    counter: Option<String>,
}

impl Weight {
    /// What a request weighs that a Claude model may answer, or none will.
    pub(super) fn of(estimate: &Estimate, scope: &LimitScope, may_be_claude: bool) -> Self {
        let money = budgets::amount_of(estimate.money(scope));
        Self { tokens: estimate.tokens, money, claude: may_be_claude.then_some(money) }
    }

    /// What a request that costs so much weighs by that alone.
    pub(super) fn of_cost(cost: NanoUsd) -> Self {
        Self { money: budgets::amount_of(cost), ..Self::default() }
    }
}

impl Meter<'_> {
    /// Appends what `take_scope` reads.
    pub(super) fn write(&self, weight: Weight, call: &mut Call<'_>) {
        let Self { scope, limits, keyspace, .. } = *self;
        call.name(keyspace.leases(scope));
        call.name(keyspace.meter(scope));
        call.arg(hold::scope_id(scope));
        call.arg(hold::starts_text(limits.starts));
        call.arg(match limits.budget_policy {
            BudgetPolicy::Hard => "hard",
            BudgetPolicy::Soft => "soft",
        });
        call.arg(weight.tokens);
        call.arg(weight.money);
        call.optional(weight.claude);
        call.optional(limits.concurrency.map(u64::from));
        let length = budgets::window_millis(limits);
        call.optional(length);
        let window = limits.window.filter(|_| length.is_some());
        call.optional(window.and_then(|window| window.requests));
        call.optional(window.and_then(|window| window.tokens));
        call.optional(window.and_then(|window| window.cost).map(budgets::amount_of));
        if let (LimitScope::Key(key), Some(_)) = (scope, length) {
            for name in keyspace.window(key) {
                call.name(name);
            }
        }
        let budgets: Vec<_> = self.budgets().collect();
        call.arg(budgets.len());
        if !budgets.is_empty() {
            self.write_totals(call);
        }
        for budget in budgets {
            let is_counted = budget.counter.is_some();
            call.arg(if is_counted { String::new() } else { budget.field() });
            call.arg(match budget.period.kind {
                LimitPeriodKind::Total => 0,
                LimitPeriodKind::Day | LimitPeriodKind::Week | LimitPeriodKind::Month => {
                    budget.period.starts_at.as_millis()
                }
            });
            call.arg(budget.allowed);
            call.arg(if budget.is_claude() { "claude" } else { "" });
            if let Some(counter) = budget.counter {
                call.name(counter);
            }
        }
    }

    /// The call of `begin_period.lua` for the budget at this position (from 1).
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if there is no such budget.
    pub(super) fn begin_period(&self, position: i64) -> Result<Call<'static>, StoreError> {
        let at = usize::try_from(position).ok().and_then(|position| position.checked_sub(1));
        let budget = at.and_then(|at| self.budgets().nth(at));
        let budget = budget.ok_or_else(|| fault::unexpected("a budget's position"))?;
        let mut call = Call::default();
        call.name(self.keyspace.meter(self.scope));
        self.write_totals(&mut call);
        call.arg(hold::scope_id(self.scope));
        call.arg(budget.field());
        call.arg(budget.stem());
        call.arg(if budget.is_claude() { "claude" } else { "" });
        let day_minute = self.starts().day_minute;
        let is_within_hour =
            budget.period.kind == LimitPeriodKind::Day && !day_minute.is_multiple_of(60);
        call.optional(is_within_hour.then(|| u64::from(day_minute)));
        // Hours up to midnight, then whole days. Where a day begins within an hour that was not followed,
        // the whole hour counts: rather too much than too little.
        let until = self.now.plus(Duration::from_millis(1));
        for part in self.calendar.hours_then_days(budget.period.starts_at, until) {
            call.name(self.counter(part));
        }
        Ok(call)
    }

    /// The field that tells what had been spent when its day began, if that has no counter.
    pub(super) fn day_field(&self) -> String {
        let day = LimitKind::DailyCost;
        let period = self.calendar.limit_period(LimitPeriodKind::Day, self.starts(), self.now);
        let day_minute = self.starts().day_minute;
        Budget { kind: day, allowed: 0, period, day_minute, counter: None }.field()
    }

    /// The call of `restart.lua`.
    pub(super) fn restart(&self) -> Call<'static> {
        let mut call = Call::default();
        call.name(self.keyspace.meter(self.scope));
        self.write_totals(&mut call);
        call.arg(hold::scope_id(self.scope));
        call.arg(self.now.as_millis());
        if let LimitScope::Key(key) = self.scope {
            for name in self.keyspace.window(key) {
                call.name(name);
            }
        }
        call
    }

    /// How the limits stand, as a script has told it: when the window began, then used and held of each.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if it told less.
    pub(super) fn states(
        &self,
        told: &mut impl Iterator<Item = i64>,
    ) -> Result<Vec<LimitState>, StoreError> {
        let mut next = || told.next().ok_or_else(|| fault::unexpected("the state of limits"));
        let opened = next()?;
        let kinds = budgets::limits_in_order(self.limits);
        kinds
            .map(|(limit, allowed)| {
                let (used, held) = (whole(next()?), whole(next()?));
                let resets_at = self.resets_at(limit, opened);
                Ok(LimitState { limit, used, held, allowed, resets_at })
            })
            .collect()
    }

    /// The denial that a script has told: the limit's position (from 1), used, held, when the window began.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if it is none.
    pub(super) fn denial(&self, told: [i64; 4]) -> Result<Denial, StoreError> {
        let [position, used, held, opened] = told;
        let at = usize::try_from(position).ok().and_then(|position| position.checked_sub(1));
        let limit = at.and_then(|at| budgets::limits_in_order(self.limits).nth(at));
        let (limit, allowed) = limit.ok_or_else(|| fault::unexpected("a denial"))?;
        Ok(Denial {
            scope: self.scope.clone(),
            limit,
            used: whole(used).saturating_add(whole(held)),
            held: whole(held),
            allowed,
            resets_at: self.resets_at(limit, opened),
        })
    }

    /// The period of a limit of the calendar.
    pub(super) fn period(&self, kind: LimitKind) -> Option<LimitPeriod> {
        let starts = self.starts();
        kind.period().map(|kind| self.calendar.limit_period(kind, starts, self.now))
    }

    fn resets_at(&self, limit: LimitKind, opened: i64) -> Option<Timestamp> {
        if let Some(period) = self.period(limit) {
            return period.ends_at;
        }
        let is_window = limit != LimitKind::Concurrency;
        let opened = u64::try_from(opened).ok().filter(|opened| is_window && 0 < *opened)?;
        let length = budgets::window_millis(self.limits)?;
        Some(Timestamp::from_millis(opened.saturating_add(length)))
    }

    /// v1 has sums of a key's calendar days only.
    fn starts(&self) -> PeriodStarts {
        match self.scope {
            LimitScope::Key(_) => PeriodStarts { day_minute: 0, ..self.limits.starts },
            LimitScope::Group(_) | LimitScope::Account(_) => self.limits.starts,
        }
    }

    fn budgets(&self) -> impl Iterator<Item = Budget> + '_ {
        budgets::limits_in_order(self.limits).filter_map(|(kind, allowed)| {
            let period = self.period(kind)?;
            let counter = self.counter_of(kind, period);
            Some(Budget { kind, allowed, period, day_minute: self.starts().day_minute, counter })
        })
    }

    /// The counter of a budget's period. A week has none but that of v1 for a key's Claude models, a day only
    /// if it begins at midnight.
    fn counter_of(&self, kind: LimitKind, period: LimitPeriod) -> Option<String> {
        let by_calendar = |kind| Some(self.counter(self.calendar.period(kind, self.now)));
        match kind {
            LimitKind::DailyCost if self.starts().day_minute == 0 => by_calendar(PeriodKind::Day),
            LimitKind::MonthlyCost => by_calendar(PeriodKind::Month),
            LimitKind::TotalCost => by_calendar(PeriodKind::Total),
            LimitKind::WeeklyClaudeCost => match self.scope {
                LimitScope::Key(key) => {
                    Some(self.keyspace.claude_charged(key, Some(&period.to_string())))
                }
                LimitScope::Group(_) | LimitScope::Account(_) => None,
            },
            LimitKind::DailyCost
            | LimitKind::WeeklyCost
            | LimitKind::Concurrency
            | LimitKind::WindowRequests
            | LimitKind::WindowTokens
            | LimitKind::WindowCost => None,
        }
    }

    fn counter(&self, period: Period) -> String {
        let keyspace = self.keyspace;
        match self.scope {
            LimitScope::Key(key) => keyspace.charged(key, period),
            LimitScope::Group(group) => keyspace.counter(&UsageScope::Group(group.clone()), period),
            LimitScope::Account(account) => {
                keyspace.counter(&UsageScope::Account(account.clone()), period)
            }
        }
    }

    fn write_totals(&self, call: &mut Call<'_>) {
        call.name(self.counter(Period::Total));
        if let LimitScope::Key(key) = self.scope {
            call.name(self.keyspace.claude_charged(key, None));
        }
    }
}

fn day_stem(day_minute: u16) -> String {
    format!("before:day:{day_minute:04}:")
}

/// The field of a meter that tells what had been spent when this day began, which begins at this minute.
pub(crate) fn day_field(day_minute: u16, day: &LimitPeriod) -> String {
    format!("{}{day}", day_stem(day_minute))
}

impl Budget {
    /// What the fields of a meter begin with that tell what had been spent when such periods began.
    fn stem(&self) -> String {
        match self.period.kind {
            _ if self.is_claude() => "before:claude:".to_owned(),
            LimitPeriodKind::Week => "before:week:".to_owned(),
            LimitPeriodKind::Day | LimitPeriodKind::Month | LimitPeriodKind::Total => {
                day_stem(self.day_minute)
            }
        }
    }

    /// The field of a meter that tells what had been spent when the period began.
    fn field(&self) -> String {
        format!("{}{}", self.stem(), self.period)
    }

    fn is_claude(&self) -> bool {
        self.kind == LimitKind::WeeklyClaudeCost
    }
}

/// A number that a script told; what is below zero is nothing.
fn whole(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
