//! Adding up what a query asks for.

use std::collections::HashMap;

use relay_domain::{AccountId, Calendar, GroupId, KeyId, ModelName, Period};

use super::codec::{self, Malformed, Reading};
use super::hours::Hour;
use super::numbers::{self, NUMBERS, Numbers};
use super::plan::Piece;
use super::query::{Dimension, MAX_ROWS, Statistics, StatisticsQuery, StatisticsRow};
use super::roll::Fresh;

/// The cell belongs to no row.
const LEFT_OUT: u32 = u32::MAX;
/// There is no room for the row: only the sum over all rows gets it.
const NO_ROOM: u32 = u32::MAX - 1;

/// An answer that is being added up.
pub struct Tallying {
    query: StatisticsQuery,
    filter: Vec<(usize, Vec<u8>)>,
    names: [HashMap<Vec<u8>, u32>; 4],
    places: HashMap<(Option<Period>, [u32; 4]), u32>,
    rows: Vec<(Option<Period>, [u32; 4], Numbers)>,
    total: Numbers,
    is_full: bool,
}

impl Tallying {
    /// Nothing yet.
    #[must_use]
    pub fn new(query: StatisticsQuery) -> Self {
        let filter = query.filter.texts();
        let filter = filter.map(|(by, text)| (by.place(), codec::entry(text))).collect();
        Self {
            query,
            filter,
            names: Default::default(),
            places: HashMap::new(),
            rows: Vec::new(),
            total: [0; NUMBERS],
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
        let Some(mut rows) = self.passing(&reading)? else { return Ok(reading.parts) };
        self.find_rows(self.query.period(hour), &reading, &mut rows)?;
        for number in 0..NUMBERS {
            let (all, total) = (&mut self.rows, &mut self.total);
            reading.each(number, |cell, value| {
                let row = rows.get(cell).copied().unwrap_or(LEFT_OUT);
                if row == LEFT_OUT {
                    return;
                }
                total[number] = total[number].saturating_add(value);
                if let Some((_, _, sum)) = all.get_mut(row as usize) {
                    sum[number] = sum[number].saturating_add(value);
                }
            })?;
        }
        Ok(reading.parts)
    }

    /// For each cell zero if it passes the filter; `None`: no cell does.
    fn passing(&self, reading: &Reading<'_>) -> Result<Option<Vec<u32>>, Malformed> {
        let mut wanted = Vec::new();
        for (dimension, entry) in &self.filter {
            let entries = reading.dictionary(*dimension)?;
            let Some(place) = entries.iter().position(|known| known == entry) else {
                return Ok(None);
            };
            wanted.push((*dimension, entries.len(), place));
        }
        let mut rows = vec![0; reading.cells];
        for (dimension, entries, place) in wanted {
            let Some(places) = reading.places(dimension, entries)? else { continue };
            for (row, found) in rows.iter_mut().zip(places) {
                if found as usize != place {
                    *row = LEFT_OUT;
                }
            }
        }
        Ok(Some(rows))
    }

    /// Says for each cell that passed which row it belongs to.
    fn find_rows(
        &mut self,
        period: Option<Period>,
        reading: &Reading<'_>,
        rows: &mut [u32],
    ) -> Result<(), Malformed> {
        let mut columns = Vec::with_capacity(self.query.by.len());
        for by in &self.query.by {
            let place = by.place();
            let entries = reading.dictionary(place)?;
            let column = reading.places(place, entries.len())?;
            columns.push((place, entries, column));
        }
        match columns.as_slice() {
            [] => {
                let row = self.row(period, [0; 4]);
                rows.iter_mut().filter(|row| **row != LEFT_OUT).for_each(|found| *found = row);
            }
            [(dimension, entries, column)] => {
                // The row of each entry is looked up once, not once for each cell.
                let mut known = vec![LEFT_OUT; entries.len()];
                for (cell, row) in rows.iter_mut().enumerate().filter(|(_, row)| **row != LEFT_OUT)
                {
                    let at = column.as_ref().map_or(0, |column| column[cell] as usize);
                    let known = known.get_mut(at).ok_or(Malformed)?;
                    if *known == LEFT_OUT {
                        let mut place = [0; 4];
                        place[*dimension] = self.name(*dimension, entries[at]);
                        *known = self.row(period, place);
                    }
                    *row = *known;
                }
            }
            several => {
                let mut numbers: Vec<Vec<u32>> = Vec::with_capacity(several.len());
                for (dimension, entries, _) in several {
                    numbers
                        .push(entries.iter().map(|entry| self.name(*dimension, entry)).collect());
                }
                for (cell, row) in rows.iter_mut().enumerate().filter(|(_, row)| **row != LEFT_OUT)
                {
                    let mut place = [0; 4];
                    for ((dimension, _, column), numbers) in several.iter().zip(&numbers) {
                        let at = column.as_ref().map_or(0, |column| column[cell] as usize);
                        place[*dimension] = numbers.get(at).copied().ok_or(Malformed)?;
                    }
                    *row = self.row(period, place);
                }
            }
        }
        Ok(())
    }

    fn name(&mut self, dimension: usize, entry: &[u8]) -> u32 {
        let names = &mut self.names[dimension];
        if let Some(number) = names.get(entry) {
            return *number;
        }
        let number = u32::try_from(names.len()).unwrap_or(u32::MAX);
        names.insert(entry.to_vec(), number);
        number
    }

    fn row(&mut self, period: Option<Period>, place: [u32; 4]) -> u32 {
        if let Some(row) = self.places.get(&(period, place)) {
            return *row;
        }
        if self.rows.len() >= MAX_ROWS {
            self.is_full = true;
            return NO_ROOM;
        }
        let row = u32::try_from(self.rows.len()).unwrap_or(NO_ROOM);
        self.rows.push((period, place, [0; NUMBERS]));
        self.places.insert((period, place), row);
        row
    }

    /// The answer.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if a name in it is none.
    pub fn finish(self, calendar: Calendar) -> Result<Statistics, Malformed> {
        let mut names: [Vec<String>; 4] = Default::default();
        for (texts, numbers) in names.iter_mut().zip(&self.names) {
            texts.resize(numbers.len(), String::new());
            for (entry, number) in numbers {
                texts[*number as usize] = codec::text(entry)?;
            }
        }
        let text = |by: Dimension, place: &[u32; 4]| -> Option<&str> {
            let text = names[by.place()].get(place[by.place()] as usize)?;
            (self.query.by.contains(&by) && !text.is_empty()).then_some(text)
        };
        let mut rows = Vec::with_capacity(self.rows.len());
        for (period, place, numbers) in &self.rows {
            if numbers == &[0; NUMBERS] {
                continue;
            }
            let key = text(Dimension::Key, place).map(KeyId::try_from).transpose();
            let group = text(Dimension::Group, place).map(GroupId::try_from).transpose();
            let account = text(Dimension::Account, place).map(AccountId::try_from).transpose();
            let model = text(Dimension::Model, place).map(ModelName::try_from).transpose();
            rows.push(StatisticsRow {
                period: *period,
                key: key.map_err(|_| Malformed)?,
                group: group.map_err(|_| Malformed)?,
                account: account.map_err(|_| Malformed)?,
                model: model.map_err(|_| Malformed)?,
                totals: numbers::totals(numbers),
            });
        }
        rows.sort_by(|one, other| {
            let by_use = (other.totals.cost, other.totals.requests)
                .cmp(&(one.totals.cost, one.totals.requests));
            let by_name = || (&one.key, &one.group).cmp(&(&other.key, &other.group));
            let by_pool = || (&one.account, &one.model).cmp(&(&other.account, &other.model));
            one.period.cmp(&other.period).then(by_use).then_with(by_name).then_with(by_pool)
        });
        Ok(Statistics {
            from: self.query.from.start(calendar),
            to: self.query.to.start(calendar),
            total: numbers::totals(&self.total),
            rows: (!self.is_full).then_some(rows),
        })
    }
}
