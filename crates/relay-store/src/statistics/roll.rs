//! Making coarse segments of fine ones, off every request's path.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cells::Cells;
use super::codec::Malformed;
use super::hours::Hour;
use super::query::{DAYS_KEPT_MONTHS, HOURS_KEPT_DAYS, MONTHS_KEPT};
use super::segment::{DAYS, MONTHS, SegmentName, Table};

/// How far segments have been made. Every change raises `generation`, so that a change can tell whether
/// it was made from the present state.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct State {
    /// Counts changes.
    pub generation: u64,
    /// Nothing was used before.
    #[serde(with = "as_number")]
    pub since: Hour,
    /// The days before have their segments.
    #[serde(with = "as_number")]
    pub days_until: Hour,
    /// The months before have their segments.
    #[serde(with = "as_number")]
    pub months_until: Hour,
}

mod as_number {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::Hour;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    pub(super) fn serialize<S: Serializer>(hour: &Hour, to: S) -> Result<S::Ok, S::Error> {
        hour.number().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Hour, D::Error> {
        u32::deserialize(from).map(Hour::from_number)
    }
}

impl State {
    fn beginning_at(hour: Hour) -> Self {
        Self { generation: 0, since: hour, days_until: hour.day(), months_until: hour.month() }
    }

    fn next(self) -> Self {
        Self { generation: self.generation + 1, ..self }
    }
}

/// What is to be written in one atomic step, if the state is still the one that it was made from.
#[derive(Debug)]
pub struct Change {
    /// The state afterwards.
    pub state: State,
    /// Segments, each with all of its parts: they take the place of what was there.
    pub writes: Vec<(SegmentName, Vec<Vec<u8>>)>,
    /// Segments that have outlived their bound.
    pub removals: Vec<SegmentName>,
}

/// Cells as a commit has appended them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fresh {
    /// In which hour they were counted.
    pub hour: Hour,
    /// As [`Cells::write`] wrote them.
    pub written: Vec<u8>,
}

/// Appended cells on their way into segments.
#[derive(Debug)]
pub struct Fold {
    state: State,
    targets: BTreeMap<SegmentName, Cells>,
}

impl Fold {
    /// Sorts `fresh` cells by the segments that they belong to. `None`: there are none.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if one is not what was written.
    pub fn new(
        state: Option<State>,
        fresh: &[Fresh],
        now: Hour,
    ) -> Result<Option<Self>, Malformed> {
        let Some(earliest) = fresh.iter().map(|fresh| fresh.hour).min() else { return Ok(None) };
        let mut state = state.unwrap_or_else(|| State::beginning_at(earliest)).next();
        if earliest < state.since {
            // Delivered late, before anything else: what was rolled up then was nothing.
            state.since = earliest;
        }
        let mut targets: BTreeMap<SegmentName, Cells> = BTreeMap::new();
        for Fresh { hour, written } in fresh {
            for table in tables_of(*hour, &state, now) {
                targets.entry(SegmentName::of(table, *hour)).or_default().add(written, table)?;
            }
        }
        Ok(Some(Self { state, targets }))
    }

    /// The segments to which there is something to add.
    pub fn targets(&self) -> impl Iterator<Item = SegmentName> {
        self.targets.keys().copied()
    }

    /// Adds a part of a segment as it is stored. To be called for every part of every target.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is not what was written.
    pub fn add_stored(&mut self, segment: SegmentName, part: &[u8]) -> Result<(), Malformed> {
        match self.targets.get_mut(&segment) {
            Some(cells) => cells.add(part, segment.table).map(drop),
            None => Ok(()),
        }
    }

    /// What is to be written; then the cells may be dropped where they were appended.
    pub fn finish(self) -> Change {
        let writes =
            self.targets.iter().map(|(segment, cells)| (*segment, cells.write_parts())).collect();
        Change { state: self.state, writes, removals: Vec::new() }
    }
}

/// Where cells of `hour` belong: to the hour, and to what has been made of it already.
fn tables_of(hour: Hour, state: &State, now: Hour) -> impl Iterator<Item = Table> {
    let days = hour < state.days_until && now.minus_months(DAYS_KEPT_MONTHS) <= hour;
    let months = hour < state.months_until && now.minus_months(MONTHS_KEPT) <= hour;
    let hours = now.day().minus_days(HOURS_KEPT_DAYS) <= hour || state.days_until <= hour;
    let hour = hours.then_some(Table::HourCells).into_iter();
    let day = DAYS.into_iter().filter(move |_| days);
    hour.chain(day).chain(MONTHS.into_iter().filter(move |_| months))
}

/// A day or a month that is over, on its way into segments of its own.
#[derive(Debug)]
pub struct Roll {
    state: State,
    start: Hour,
    sources: Vec<SegmentName>,
    targets: Vec<(SegmentName, Cells)>,
    removals: Vec<SegmentName>,
}

impl Roll {
    /// The next day or month that is over by `now`, if there is one.
    #[must_use]
    pub fn due(state: &State, now: Hour) -> Option<Self> {
        let month = state.months_until;
        if month.next_month() <= state.days_until {
            return Some(Self::month(month, state));
        }
        let day = state.days_until;
        (day.next_day() < now).then(|| Self::day(day, state))
    }

    fn day(day: Hour, state: &State) -> Self {
        let hours_of = |day: Hour| (0..24).map(move |hour| day.plus(hour));
        let hour_cells = |start| SegmentName { table: Table::HourCells, start };
        let outlived = day.minus_days(HOURS_KEPT_DAYS);
        Self {
            state: State { days_until: day.next_day(), ..state.next() },
            start: day,
            sources: hours_of(day).map(hour_cells).collect(),
            targets: targets(&DAYS, day),
            removals: hours_of(outlived).map(hour_cells).collect(),
        }
    }

    fn month(month: Hour, state: &State) -> Self {
        let days_of = |month: Hour| {
            let days = (month.next_month().number() - month.number()) / 24;
            (0..days).flat_map(move |day| {
                let start = month.plus(day * 24);
                DAYS.map(|table| SegmentName { table, start })
            })
        };
        let outlived = month.minus_months(MONTHS_KEPT);
        let months = MONTHS.map(|table| SegmentName { table, start: outlived });
        Self {
            state: State { months_until: month.next_month(), ..state.next() },
            start: month,
            sources: days_of(month).filter(|source| source.table == Table::DayCells).collect(),
            targets: targets(&MONTHS, month),
            removals: days_of(month.minus_months(DAYS_KEPT_MONTHS)).chain(months).collect(),
        }
    }

    /// The segments that are to be added up, of those that are there.
    pub fn sources(&self) -> &[SegmentName] {
        &self.sources
    }

    /// Adds a part of a source.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is not what was written.
    pub fn add_stored(&mut self, part: &[u8]) -> Result<(), Malformed> {
        for (segment, cells) in &mut self.targets {
            cells.add(part, segment.table)?;
        }
        Ok(())
    }

    /// What is to be written.
    pub fn finish(self) -> Change {
        let writes = self.targets.iter().filter(|(_, cells)| !cells.is_empty());
        let writes = writes.map(|(segment, cells)| (*segment, cells.write_parts())).collect();
        // What lies before the beginning of all time would be the period itself.
        let removals = self.removals.into_iter().filter(|old| old.start < self.start).collect();
        Change { state: self.state, writes, removals }
    }
}

fn targets(tables: &[Table], start: Hour) -> Vec<(SegmentName, Cells)> {
    tables.iter().map(|table| (SegmentName { table: *table, start }, Cells::default())).collect()
}
