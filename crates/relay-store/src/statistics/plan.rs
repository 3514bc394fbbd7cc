//! Which segments answer a query: the coarsest that fit.

use relay_domain::{Period, PeriodKind};

use super::hours::Hour;
use super::query::{Grain, StatisticsQuery};
use super::roll::State;
use super::segment::{SegmentName, Table};

/// A segment to be read, and which of the query's periods it belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Piece {
    /// The segment.
    pub segment: SegmentName,
    /// The first hour of what it covers.
    pub(super) start: Hour,
}

/// What is to be read for a query.
#[derive(Debug)]
pub struct Plan {
    /// The segments, the oldest first. Not all of them need to be there.
    pub pieces: Vec<Piece>,
}

impl Plan {
    /// What is to be read for `query` when the store is in `state`; without one, it has no segments yet.
    #[must_use]
    pub fn new(query: &StatisticsQuery, state: Option<&State>) -> Self {
        let mut pieces = Vec::new();
        let Some(state) = state else { return Self { pieces } };
        // Not the first hour itself: a month that is over may have no other segment than its own.
        let mut at = query.from.max(state.since.month());
        while at < query.to {
            let (segment, next) = query.coarsest(at, state);
            pieces.push(Piece { segment, start: at });
            at = next;
        }
        Self { pieces }
    }
}

impl StatisticsQuery {
    /// The coarsest segment that begins at `at`, ends in the range, and is there; and where it ends.
    fn coarsest(&self, at: Hour, state: &State) -> (SegmentName, Hour) {
        let of = |table, next| (SegmentName::of(table, at), next);
        let (day, month) = (at.next_day(), at.next_month());
        let whole_month = at == at.month() && month <= self.to && month <= state.months_until;
        if matches!(self.grain, Grain::Whole | Grain::Month)
            && whole_month
            && let Some(table) = self.table(PeriodKind::Month)
        {
            return of(table, month);
        }
        let whole_day = at == at.day() && day <= self.to && day <= state.days_until;
        if self.grain != Grain::Hour
            && whole_day
            && let Some(table) = self.table(PeriodKind::Day)
        {
            return of(table, day);
        }
        of(Table::HourCells, at.plus(1))
    }

    /// Which of its periods `hour` lies in.
    pub(super) fn period(&self, hour: Hour) -> Option<Period> {
        self.grain.period().map(|kind| hour.period(kind))
    }
}
