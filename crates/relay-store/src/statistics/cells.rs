//! Cells that are being added up: one for each key, group, account and model that occur.

use std::collections::HashMap;

use relay_domain::RequestRecord;

use super::codec::{self, Malformed, Reading};
use super::numbers::{self, NUMBERS, Numbers};
use super::query::Dimension;
use super::segment::Table;

/// How many cells a part of a segment has at most: some hundred kilobytes, which no store takes long to
/// read or to write.
const PART_CELLS: usize = 16_384;

/// Cells that are being added up.
#[derive(Debug, Default)]
pub struct Cells {
    names: [Names; 4],
    cells: HashMap<[u32; 4], Numbers>,
}

/// Numbers for texts, in the order in which the texts came up.
#[derive(Debug, Default)]
struct Names {
    numbers: HashMap<Vec<u8>, u32>,
    entries: Vec<Vec<u8>>,
}

impl Names {
    fn number(&mut self, entry: &[u8]) -> u32 {
        if let Some(number) = self.numbers.get(entry) {
            return *number;
        }
        let number = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.numbers.insert(entry.to_vec(), number);
        self.entries.push(entry.to_vec());
        number
    }
}

impl Cells {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Counts a request.
    pub fn count(&mut self, record: &RequestRecord) {
        self.add_numbers(record, &numbers::of_record(record));
    }

    /// Corrects what a request that was counted before came to: adds the difference.
    pub fn correct(&mut self, before: &RequestRecord, after: &RequestRecord) {
        self.add_numbers(before, &numbers::correction(before, after));
    }

    fn add_numbers(&mut self, record: &RequestRecord, more: &Numbers) {
        let served = record.served_model.as_ref().unwrap_or(&record.model);
        let texts = [
            record.key.as_str(),
            record.group.as_ref().map_or("", |group| group.as_str()),
            record.account.as_ref().map_or("", |account| account.as_str()),
            served.as_str(),
        ];
        let mut place = [0; 4];
        for (dimension, text) in texts.into_iter().enumerate() {
            place[dimension] = self.names[dimension].number(&codec::entry(text));
        }
        let sum = self.cells.entry(place).or_default();
        numbers::add(sum, more);
    }

    /// Adds what was written before, in the dimensions that `table` tells apart. Returns of how many parts
    /// it is one.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is not what was written.
    pub(super) fn add(&mut self, written: &[u8], table: Table) -> Result<usize, Malformed> {
        let reading = Reading::new(written)?;
        let mut places = vec![[0_u32; 4]; reading.cells];
        for dimension in Dimension::ALL {
            let at = dimension.place();
            let (here, column) = if table.has(dimension) {
                let entries = reading.dictionary(at)?;
                let here = entries.iter().map(|entry| self.names[at].number(entry));
                (here.collect::<Vec<_>>(), reading.places(at, entries.len())?)
            } else {
                (vec![self.names[at].number(&codec::entry(""))], None)
            };
            for (cell, place) in places.iter_mut().enumerate() {
                let there = column.as_ref().map_or(0, |column| column[cell] as usize);
                place[at] = here.get(there).copied().ok_or(Malformed)?;
            }
        }
        let mut added = vec![[0; NUMBERS]; reading.cells];
        for number in 0..NUMBERS {
            reading.each(number, |cell, value| {
                let numbers: &mut Numbers = &mut added[cell];
                numbers[number] = value;
            })?;
        }
        for (place, more) in places.into_iter().zip(&added) {
            numbers::add(self.cells.entry(place).or_default(), more);
        }
        Ok(reading.parts)
    }

    /// Writes all of it as one part.
    pub fn write(&self) -> Vec<u8> {
        let (ranks, mut cells) = (self.ranks(), self.cells.iter().collect::<Vec<_>>());
        cells.sort_unstable_by_key(|(place, _)| ranked(&ranks, place));
        self.write_part(1, &cells)
    }

    /// Writes all of it in as many parts as it takes, the keys in order.
    pub(super) fn write_parts(&self) -> Vec<Vec<u8>> {
        let (ranks, mut cells) = (self.ranks(), self.cells.iter().collect::<Vec<_>>());
        cells.sort_unstable_by_key(|(place, _)| ranked(&ranks, place));
        let parts = cells.len().div_ceil(PART_CELLS);
        cells.chunks(PART_CELLS).map(|part| self.write_part(parts, part)).collect()
    }

    /// For each text its place in the order of texts.
    fn ranks(&self) -> [Vec<u32>; 4] {
        [0, 1, 2, 3].map(|dimension| {
            let entries = &self.names[dimension].entries;
            let mut sorted: Vec<u32> = (0..).take(entries.len()).collect();
            sorted.sort_unstable_by_key(|number| &entries[*number as usize]);
            let mut ranks = vec![0; entries.len()];
            for (rank, number) in (0..).zip(sorted) {
                ranks[number as usize] = rank;
            }
            ranks
        })
    }

    /// Writes cells that are sorted by the ranks of their texts.
    fn write_part(&self, parts: usize, cells: &[(&[u32; 4], &Numbers)]) -> Vec<u8> {
        let mut dictionaries: [Vec<&[u8]>; 4] = Default::default();
        let mut places = vec![[0_u32; 4]; cells.len()];
        for dimension in 0..4 {
            let entries = &self.names[dimension].entries;
            let mut used: Vec<u32> = cells.iter().map(|(place, _)| place[dimension]).collect();
            used.sort_unstable_by_key(|number| &entries[*number as usize]);
            used.dedup();
            let mut local = HashMap::with_capacity(used.len());
            for (place, number) in (0..).zip(&used) {
                local.insert(*number, place);
                dictionaries[dimension].push(&entries[*number as usize]);
            }
            for (place, (global, _)) in places.iter_mut().zip(cells) {
                place[dimension] = local.get(&global[dimension]).copied().unwrap_or(0);
            }
        }
        let cells: Vec<_> =
            places.into_iter().zip(cells.iter().map(|(_, numbers)| *numbers)).collect();
        codec::write(parts, &dictionaries, &cells)
    }
}

fn ranked(ranks: &[Vec<u32>; 4], place: &[u32; 4]) -> [u32; 4] {
    [0, 1, 2, 3].map(|dimension| ranks[dimension][place[dimension] as usize])
}
