//! Adding up what a query asks for.

use std::ops::Range;

use foldhash::{HashMap, HashMapExt as _};
use relay_domain::{AccountId, Calendar, GroupId, KeyId, ModelName, Period};

use super::codec::{Malformed, Reading};
use super::hours::Hour;
use super::name::Name;
use super::numbering::Numbering;
use super::numbers::{self, NUMBERS, Numbers};
use super::plan::Piece;
use super::query::{Dimension, MAX_ROWS, Statistics, StatisticsQuery, StatisticsRow};
use super::roll::Fresh;

/// It is not known yet which row it is.
const NOT_KNOWN: u32 = u32::MAX;
/// There is no room for the row: only the sum over all rows gets it.
const NO_ROOM: u32 = u32::MAX - 1;

/// An answer that is being added up.
pub struct Tallying {
    query: StatisticsQuery,
    filter: Vec<(usize, Name)>,
    names: [Numbering; 4],
    periods: Vec<Option<Period>>,
    /// The row of each period and names, by their numbers.
    places: HashMap<(u32, [u32; 4]), u32>,
    rows: Vec<Row>,
    /// Where one dimension is told apart, the row of each name in the period that was the last, as far as it
    /// is known.
    latest: (u32, Vec<u32>),
    /// The sum over the rows for which there is no room.
    beyond: Numbers,
    is_full: bool,
}

struct Row {
    period: u32,
    place: [u32; 4],
    sum: Numbers,
}

impl Tallying {
    /// Nothing yet.
    #[must_use]
    pub fn new(query: StatisticsQuery) -> Self {
        let filter = query.filter.texts().map(|(by, text)| (by.place(), Name::of(text)));
        Self {
            filter: filter.collect(),
            query,
            names: Default::default(),
            periods: Vec::new(),
            places: HashMap::new(),
            rows: Vec::new(),
            latest: (0, Vec::new()),
            beyond: [0; NUMBERS],
            is_full: false,
        }
    }

    /// Adds a part of a planned segment. Returns of how many parts the segment is made; the others have to
    /// be added too.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is not what was written.
    pub fn add(&mut self, piece: Piece, part: &[u8]) -> Result<usize, Malformed> {
        self.add_at(piece.start, part)
    }

    /// Adds cells that have not been folded yet, if they lie in the range.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if they are not what was written.
    pub fn add_fresh(&mut self, fresh: &Fresh) -> Result<(), Malformed> {
        if (self.query.from..self.query.to).contains(&fresh.hour) {
            self.add_at(fresh.hour, &fresh.written)?;
        }
        Ok(())
    }

    fn add_at(&mut self, hour: Hour, part: &[u8]) -> Result<usize, Malformed> {
        let reading = Reading::new(part)?;
        let chosen = self.chosen(&reading);
        if chosen.as_ref().is_some_and(Vec::is_empty) {
            return Ok(reading.parts);
        }
        let rows = self.rows_of(hour, &reading, chosen.as_deref())?;
        let mut add = |at: usize, numbers: &Numbers| {
            // One row for all, or one for each.
            let row = rows.get(at).or(rows.first()).copied().unwrap_or(NO_ROOM);
            let sum = self.rows.get_mut(row as usize).map_or(&mut self.beyond, |row| &mut row.sum);
            numbers::add(sum, numbers);
        };
        match chosen {
            None => reading.each(add),
            Some(cells) => {
                for (at, cell) in cells.into_iter().enumerate() {
                    add(at, &reading.numbers(cell as usize));
                }
            }
        }
        Ok(reading.parts)
    }

    /// The cells that pass the filter; `None`: all do.
    fn chosen(&self, reading: &Reading<'_>) -> Option<Vec<u32>> {
        let (mut range, mut wanted) = (0..reading.cells, Vec::new());
        for (dimension, name) in &self.filter {
            let Some(place) = reading.names(*dimension).find(name) else { return Some(Vec::new()) };
            if reading.same_place(*dimension) == Some(place) {
                continue;
            }
            if *dimension == Dimension::Key.place() {
                range = cells_of_key(reading, place);
            } else {
                wanted.push((*dimension, place));
            }
        }
        // A part has no more cells than that.
        let number = |cell: usize| u32::try_from(cell).unwrap_or(u32::MAX);
        let is_narrow = range != (0..reading.cells);
        let mut chosen: Option<Vec<u32>> = is_narrow.then(|| range.map(number).collect());
        for (dimension, place) in wanted {
            let places = reading.places(dimension, chosen.as_deref());
            let fits = places.iter().zip(0_u32..).filter(|(found, _)| **found == number(place));
            let cells = chosen.as_ref();
            let fitting = fits.map(|(_, at)| cells.map_or(at, |cells| cells[at as usize]));
            chosen = Some(fitting.collect());
        }
        chosen
    }

    /// The rows to which cells belong, in their order; a single one, if it is the same for all.
    fn rows_of(
        &mut self,
        hour: Hour,
        reading: &Reading<'_>,
        chosen: Option<&[u32]>,
    ) -> Result<Vec<u32>, Malformed> {
        let period = self.period(hour);
        match *self.query.by.as_slice() {
            [] => Ok(vec![self.row(period, [0; 4])]),
            [by] => {
                let at = by.place();
                // The row of each name is looked up once, not once for each cell.
                let mut rows = vec![NOT_KNOWN; reading.names(at).len()];
                let mut places = reading.places(at, chosen);
                for place in &mut places {
                    let row = rows.get_mut(*place as usize).ok_or(Malformed)?;
                    if *row == NOT_KNOWN {
                        let name = reading.names(at).name(*place as usize).ok_or(Malformed)?;
                        *row = self.row_of_name(period, at, name);
                    }
                    *place = *row;
                }
                Ok(places)
            }
            ref several => {
                let several = several.to_vec();
                let count = chosen.map_or(reading.cells, <[u32]>::len);
                let mut names = vec![[0; 4]; count];
                for by in several {
                    let at = by.place();
                    let numbering = &mut self.names[at];
                    let numbers = reading.names(at).iter();
                    let numbers: Vec<_> = numbers.map(|name| numbering.number(name)).collect();
                    for (names, place) in names.iter_mut().zip(reading.places(at, chosen)) {
                        names[at] = numbers.get(place as usize).copied().ok_or(Malformed)?;
                    }
                }
                Ok(names.into_iter().map(|names| self.row(period, names)).collect())
            }
        }
    }

    /// The number of the period in which an hour lies.
    fn period(&mut self, hour: Hour) -> u32 {
        let period = self.query.period(hour);
        let known = self.periods.iter().rposition(|known| *known == period);
        let number = known.unwrap_or_else(|| {
            self.periods.push(period);
            self.periods.len() - 1
        });
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    fn row_of_name(&mut self, period: u32, dimension: usize, name: Name) -> u32 {
        let number = self.names[dimension].number(name);
        if self.latest.0 != period {
            self.latest = (period, Vec::new());
        }
        let at = number as usize;
        if let Some(row) = self.latest.1.get(at).copied().filter(|row| *row != NOT_KNOWN) {
            return row;
        }
        let mut place = [0; 4];
        place[dimension] = number;
        let row = self.row(period, place);
        let known = &mut self.latest.1;
        known.resize(known.len().max(at + 1), NOT_KNOWN);
        known[at] = row;
        row
    }

    fn row(&mut self, period: u32, place: [u32; 4]) -> u32 {
        if self.is_full {
            // Then no row is answered.
            return NO_ROOM;
        }
        if let Some(row) = self.places.get(&(period, place)) {
            return *row;
        }
        if self.rows.len() >= MAX_ROWS {
            self.is_full = true;
            return NO_ROOM;
        }
        let row = u32::try_from(self.rows.len()).unwrap_or(NO_ROOM);
        self.rows.push(Row { period, place, sum: [0; NUMBERS] });
        self.places.insert((period, place), row);
        row
    }

    /// The answer.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if a name in it is none.
    pub fn finish(self, calendar: Calendar) -> Result<Statistics, Malformed> {
        let mut total = self.beyond;
        for row in &self.rows {
            numbers::add(&mut total, &row.sum);
        }
        let rows = if self.is_full { None } else { Some(self.answered()?) };
        Ok(Statistics {
            from: self.query.from.start(calendar),
            to: self.query.to.start(calendar),
            total: numbers::totals(&total),
            rows,
        })
    }

    fn answered(&self) -> Result<Vec<StatisticsRow>, Malformed> {
        let names = self
            .names
            .each_ref()
            .map(|numbering| numbering.names().iter().map(Name::text).collect::<Vec<_>>());
        let text = |by: Dimension, place: &[u32; 4]| -> Option<&str> {
            let text = names[by.place()].get(place[by.place()] as usize)?;
            (self.query.by.contains(&by) && !text.is_empty()).then_some(text)
        };
        let used = self.rows.iter().filter(|row| row.sum != [0; NUMBERS]);
        let answered = used.map(|Row { period, place, sum }| {
            let key = text(Dimension::Key, place).map(KeyId::try_from).transpose();
            let group = text(Dimension::Group, place).map(GroupId::try_from).transpose();
            let account = text(Dimension::Account, place).map(AccountId::try_from).transpose();
            let model = text(Dimension::Model, place).map(ModelName::try_from).transpose();
            Ok(StatisticsRow {
                period: self.periods.get(*period as usize).copied().flatten(),
                key: key.map_err(|_| Malformed)?,
                group: group.map_err(|_| Malformed)?,
                account: account.map_err(|_| Malformed)?,
                model: model.map_err(|_| Malformed)?,
                totals: numbers::totals(sum),
            })
        });
        let mut rows = answered.collect::<Result<Vec<_>, _>>()?;
        rows.sort_by(|one, other| {
            let by_use = (other.totals.cost, other.totals.requests)
                .cmp(&(one.totals.cost, one.totals.requests));
            let by_name = || (&one.key, &one.group).cmp(&(&other.key, &other.group));
            let by_pool = || (&one.account, &one.model).cmp(&(&other.account, &other.model));
            one.period.cmp(&other.period).then(by_use).then_with(by_name).then_with(by_pool)
        });
        Ok(rows)
    }
}

/// The cells of the key at a place: they lie together, for cells are sorted by key.
fn cells_of_key(reading: &Reading<'_>, place: usize) -> Range<usize> {
    let first_at = |place: usize| {
        let (mut low, mut high) = (0, reading.cells);
        while low < high {
            let middle = usize::midpoint(low, high);
            if reading.place(Dimension::Key.place(), middle) < place {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    };
    first_at(place)..first_at(place.saturating_add(1))
}
