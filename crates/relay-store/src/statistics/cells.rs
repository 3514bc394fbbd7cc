//! Cells that are being added up: one for each key, group, account and model that occur.

use foldhash::{HashMap, HashMapExt as _};
use relay_domain::RequestRecord;

use super::codec::{self, Malformed, Reading};
use super::name::Name;
use super::numbering::Numbering;
use super::numbers::{self, Numbers};
use super::query::Dimension;
use super::segment::Table;

/// How many cells a part of a segment has at most: some hundred kilobytes, which no store takes long to
/// read or to write.
const PART_CELLS: usize = 16_384;

/// Cells that are being added up.
#[derive(Debug)]
pub struct Cells {
    names: [Numbering; 4],
    cells: HashMap<[u32; 4], Numbers>,
}

impl Default for Cells {
    fn default() -> Self {
        Self { names: Default::default(), cells: HashMap::new() }
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
            place[dimension] = self.names[dimension].number(Name::of(text));
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
            if table.has(dimension) {
                let numbering = &mut self.names[at];
                let names = reading.names(at).iter();
                let here: Vec<_> = names.map(|name| numbering.number(name)).collect();
                for (place, there) in places.iter_mut().zip(reading.places(at, None)) {
                    place[at] = here.get(there as usize).copied().ok_or(Malformed)?;
                }
            } else {
                let here = self.names[at].number(Name::nothing());
                for place in &mut places {
                    place[at] = here;
                }
            }
        }
        reading.each(|cell, more| {
            numbers::add(self.cells.entry(places[cell]).or_default(), more);
        });
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

    /// For each name its place in the order of names.
    fn ranks(&self) -> [Vec<u32>; 4] {
        [0, 1, 2, 3].map(|dimension| {
            let names = self.names[dimension].names();
            let mut sorted: Vec<u32> = (0..).take(names.len()).collect();
            sorted.sort_unstable_by_key(|number| &names[*number as usize]);
            let mut ranks = vec![0; names.len()];
            for (rank, number) in (0..).zip(sorted) {
                ranks[number as usize] = rank;
            }
            ranks
        })
    }

    /// Writes cells that are sorted by the ranks of their names.
    fn write_part(&self, parts: usize, cells: &[(&[u32; 4], &Numbers)]) -> Vec<u8> {
        let mut used_names: [Vec<&Name>; 4] = Default::default();
        let mut places = vec![[0_u32; 4]; cells.len()];
        for dimension in 0..4 {
            let names = self.names[dimension].names();
            let mut used: Vec<u32> = cells.iter().map(|(place, _)| place[dimension]).collect();
            used.sort_unstable();
            used.dedup();
            used.sort_unstable_by_key(|number| &names[*number as usize]);
            let mut local = HashMap::with_capacity(used.len());
            for (place, number) in (0..).zip(&used) {
                local.insert(*number, place);
                used_names[dimension].push(&names[*number as usize]);
            }
            for (place, (global, _)) in places.iter_mut().zip(cells) {
                place[dimension] = local.get(&global[dimension]).copied().unwrap_or(0);
            }
        }
        let cells: Vec<_> =
            places.into_iter().zip(cells.iter().map(|(_, numbers)| *numbers)).collect();
        codec::write(parts, &used_names, &cells)
    }
}

fn ranked(ranks: &[Vec<u32>; 4], place: &[u32; 4]) -> [u32; 4] {
    [0, 1, 2, 3].map(|dimension| ranks[dimension][place[dimension] as usize])
}
