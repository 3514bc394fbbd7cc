//! What a key, a group or an account has spent in the periods of its budgets, in memory: read from the file
//! when its budgets are first asked for, and kept in step with every commit from then on.

use relay_domain::{
    Calendar, LimitKind, LimitPeriod, LimitPeriodKind, LimitScope, Limits, NanoUsd, PeriodStarts,
    Timestamp,
};

use crate::recent::Recent;

/// How many a generation has. Two are kept: at most about six megabytes, as they come into use.
const GENERATION: usize = 8_192;

/// An amount, and what of it was for Claude models.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Amount {
    pub(crate) all: NanoUsd,
    pub(crate) claude: NanoUsd,
}

impl Amount {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { all: self.all + other.all, claude: self.claude + other.claude }
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self { all: self.all - other.all, claude: self.claude - other.claude }
    }
}

/// What was spent in one period.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct InPeriod {
    pub(crate) period: LimitPeriod,
    pub(crate) amount: Amount,
}

/// What one of them has spent since its limits were last started anew.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Spent {
    /// When its day and its week begin.
    pub(crate) starts: PeriodStarts,
    pub(crate) total: Amount,
    pub(crate) month: InPeriod,
    pub(crate) day: InPeriod,
    /// Only read if a limit needs it.
    pub(crate) week: Option<InPeriod>,
}

/// What is not in memory and has to be read from the file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Unread {
    pub(crate) scope: LimitScope,
    pub(crate) starts: PeriodStarts,
    pub(crate) with_week: bool,
    pub(crate) now: Timestamp,
}

impl Spent {
    /// What a budget counts, in its period around `now`, and when that ends.
    pub(crate) fn of(&self, kind: LimitKind) -> (NanoUsd, Option<Timestamp>) {
        let none = (Amount::default(), None);
        let in_period = |spent: InPeriod| (spent.amount, spent.period.ends_at);
        let (amount, ends_at) = match kind.period() {
            Some(LimitPeriodKind::Day) => in_period(self.day),
            Some(LimitPeriodKind::Week) => self.week.map_or(none, in_period),
            Some(LimitPeriodKind::Month) => in_period(self.month),
            Some(LimitPeriodKind::Total) => (self.total, None),
            None => none,
        };
        (if kind == LimitKind::WeeklyClaudeCost { amount.claude } else { amount.all }, ends_at)
    }

    /// Begins the periods in which `now` lies, if those that there are have ended.
    fn go_on(&mut self, calendar: Calendar, now: Timestamp) {
        let starts = self.starts;
        for spent in [&mut self.month, &mut self.day].into_iter().chain(&mut self.week) {
            if spent.period.ends_at.is_some_and(|end| end <= now) {
                let period = calendar.limit_period(spent.period.kind, starts, now);
                *spent = InPeriod { period, amount: Amount::default() };
            }
        }
    }

    fn add(&mut self, amount: Amount, now: Timestamp) {
        self.total = self.total.plus(amount);
        for spent in [&mut self.month, &mut self.day].into_iter().chain(&mut self.week) {
            if spent.period.contains(now) {
                spent.amount = spent.amount.plus(amount);
            }
        }
    }
}

/// A bounded copy of what was spent.
pub(crate) struct SpentCache {
    pub(crate) calendar: Calendar,
    known: Recent<LimitScope, Spent>,
}

impl SpentCache {
    /// Nothing is known yet.
    pub(crate) fn new(calendar: Calendar) -> Self {
        Self { calendar, known: Recent::new(GENERATION) }
    }

    /// What `scope` has spent in the periods around `now`; `None` if it has no budget of the calendar.
    ///
    /// # Errors
    ///
    /// [`Unread`] if it has to be read from the file first.
    pub(crate) fn get(
        &mut self,
        scope: &LimitScope,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Option<Spent>, Unread> {
        let with_week = limits.weekly_cost.is_some() || limits.weekly_claude_cost.is_some();
        let others = [limits.daily_cost, limits.monthly_cost, limits.total_cost];
        if !with_week && others.iter().all(Option::is_none) {
            return Ok(None);
        }
        let starts = limits.starts;
        if let Some(known) = self.known.get(scope)
            && known.starts == starts
            && (known.week.is_some() || !with_week)
        {
            known.go_on(self.calendar, now);
            return Ok(Some(*known));
        }
        Err(Unread { scope: scope.clone(), starts, with_week, now })
    }

    /// Keeps what was read from the file. No commit may have come between.
    pub(crate) fn remember(&mut self, scope: LimitScope, spent: Spent) {
        self.known.insert(scope, spent);
    }

    /// Something was spent and committed.
    pub(crate) fn add(&mut self, scope: &LimitScope, amount: Amount, now: Timestamp) {
        if let Some(known) = self.known.get(scope) {
            known.go_on(self.calendar, now);
            known.add(amount, now);
        }
    }

    /// What the file has is not what memory knows.
    pub(crate) fn forget(&mut self, scope: &LimitScope) {
        self.known.forget(scope);
    }
}

#[cfg(test)]
mod tests {
    use relay_store::contract::fixture::{at, calendar, key_id};

    use super::*;

    fn dollars(all: i64, claude: i64) -> Amount {
        Amount { all: NanoUsd::from_nanos(all), claude: NanoUsd::from_nanos(claude) }
    }

    fn limits(day_minute: u16) -> Limits {
        let starts = PeriodStarts { day_minute, ..PeriodStarts::default() };
        Limits { daily_cost: Some(NanoUsd::ZERO), starts, ..Limits::default() }
    }

    fn scope() -> LimitScope {
        LimitScope::Key(key_id("k"))
    }

    fn read(cache: &mut SpentCache, unread: &Unread) {
        let in_period = |kind| InPeriod {
            period: calendar().limit_period(kind, unread.starts, unread.now),
            amount: dollars(1, 1),
        };
        let spent = Spent {
            starts: unread.starts,
            total: dollars(1, 1),
            month: in_period(LimitPeriodKind::Month),
            day: in_period(LimitPeriodKind::Day),
            week: unread.with_week.then(|| in_period(LimitPeriodKind::Week)),
        };
        cache.remember(unread.scope.clone(), spent);
    }

    #[test]
    fn what_is_not_known_is_read_once() {
        let mut cache = SpentCache::new(calendar());
        assert_eq!(cache.get(&scope(), &Limits::default(), at(0)), Ok(None), "nobody needs it");
        let unread = cache.get(&scope(), &limits(0), at(0)).unwrap_err();
        assert!(!unread.with_week);
        read(&mut cache, &unread);
        assert!(cache.get(&scope(), &limits(0), at(1)).unwrap().is_some());
        let weekly = Limits { weekly_claude_cost: Some(NanoUsd::ZERO), ..limits(0) };
        let unread = cache.get(&scope(), &weekly, at(1)).unwrap_err();
        assert!(unread.with_week);
        read(&mut cache, &unread);
        assert!(cache.get(&scope(), &weekly, at(1)).unwrap().is_some());
        assert!(cache.get(&scope(), &limits(30), at(1)).is_err(), "its day begins elsewhere");
        cache.forget(&scope());
        assert!(cache.get(&scope(), &limits(0), at(1)).is_err());
    }

    #[test]
    fn a_new_period_begins_with_what_is_spent_in_it() {
        let mut cache = SpentCache::new(calendar());
        let unread = cache.get(&scope(), &limits(0), at(0)).unwrap_err();
        read(&mut cache, &unread);
        cache.add(&scope(), dollars(10, 0), at(0));
        let today = cache.get(&scope(), &limits(0), at(0)).unwrap().unwrap();
        assert_eq!(today.of(LimitKind::DailyCost).0, NanoUsd::from_nanos(11));
        let tomorrow = today.of(LimitKind::DailyCost).1.unwrap();
        cache.add(&scope(), dollars(100, 0), tomorrow);
        // One that was admitted a moment before counts in its total, and in no day that is over.
        cache.add(&scope(), dollars(1_000, 0), at(0));
        let spent = cache.get(&scope(), &limits(0), tomorrow).unwrap().unwrap();
        assert_eq!(spent.of(LimitKind::DailyCost).0, NanoUsd::from_nanos(100));
        assert_eq!(spent.of(LimitKind::TotalCost).0, NanoUsd::from_nanos(1_111));
        assert_eq!(spent.of(LimitKind::MonthlyCost).0, NanoUsd::from_nanos(1_111));
    }
}
