//! How cells are written: a column after the other, so that a reader touches only what it needs.
//!
//! ```text
//! version | parts | cells | names of 4 dimensions | 4 columns of places in them | 9 columns of numbers
//! ```
//!
//! Cells are sorted by their places, names by themselves. A number that tells how many there are of
//! something is LEB128; columns are as in [`column`](super::column), names as in [`name`](super::name).

use super::column::{Column, write_column};
use super::leb128::{put, take_size};
use super::name::{Name, Names, write_names};
use super::numbers::{NUMBERS, Numbers};

/// The first form had other columns; it was in no release.
const VERSION: u8 = 2;

/// The most cells that are read at once: far more than are ever written.
const MOST_CELLS: usize = 1 << 20;

/// The bytes are not what was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the cells of a statistic are malformed")]
pub struct Malformed;

/// Writes cells, which must be sorted by their places in `names`.
pub(super) fn write(
    parts: usize,
    names: &[Vec<&Name>; 4],
    cells: &[([u32; 4], &Numbers)],
) -> Vec<u8> {
    let mut out = vec![VERSION];
    put(&mut out, parts as u64);
    put(&mut out, cells.len() as u64);
    for names in names {
        write_names(&mut out, names);
    }
    for dimension in 0..4 {
        write_column(&mut out, cells.iter().map(|(places, _)| i64::from(places[dimension])));
    }
    for number in 0..NUMBERS {
        write_column(&mut out, cells.iter().map(|(_, numbers)| numbers[number]));
    }
    out
}

/// Cells that are read column by column.
pub(super) struct Reading<'a> {
    /// Of how many parts the segment is made.
    pub(super) parts: usize,
    /// How many cells this part has.
    pub(super) cells: usize,
    names: [Names<'a>; 4],
    places: [Column<'a>; 4],
    numbers: [Column<'a>; NUMBERS],
}

impl<'a> Reading<'a> {
    /// Finds the columns.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (&version, mut rest) = bytes.split_first().ok_or(Malformed)?;
        if version != VERSION {
            return Err(Malformed);
        }
        let rest = &mut rest;
        let (parts, cells) = (take_size(rest)?, take_size(rest)?);
        if cells > MOST_CELLS {
            return Err(Malformed);
        }
        let mut names = || Names::read(rest);
        let names = [names()?, names()?, names()?, names()?];
        let mut column = || Column::read(rest, cells);
        let places = [column()?, column()?, column()?, column()?];
        let mut numbers = [places[0]; NUMBERS];
        for number in &mut numbers {
            *number = column()?;
        }
        let reading = Self { parts, cells, names, places, numbers };
        rest.is_empty().then_some(reading).ok_or(Malformed)
    }

    /// The names of a dimension.
    pub(super) fn names(&self, dimension: usize) -> &Names<'a> {
        &self.names[dimension]
    }

    /// The place of a cell among the names of a dimension. What is no place is one that has no name.
    pub(super) fn place(&self, dimension: usize, cell: usize) -> usize {
        usize::try_from(self.places[dimension].get(cell)).unwrap_or(usize::MAX)
    }

    /// The place that all cells have, if it is the same.
    pub(super) fn same_place(&self, dimension: usize) -> Option<usize> {
        self.places[dimension].same().and_then(|place| usize::try_from(place).ok())
    }

    /// The places of cells among the names of a dimension; without a choice, of every cell.
    pub(super) fn places(&self, dimension: usize, chosen: Option<&[u32]>) -> Vec<u32> {
        let place = |place: i64| u32::try_from(place).unwrap_or(u32::MAX);
        let column = self.places[dimension];
        if let Some(cells) = chosen {
            return cells.iter().map(|cell| place(column.get(*cell as usize))).collect();
        }
        let mut places = vec![0; self.cells];
        column.copy(0, &mut places);
        places.into_iter().map(place).collect()
    }

    /// Tells the numbers of a cell.
    pub(super) fn numbers(&self, cell: usize) -> Numbers {
        self.numbers.map(|column| column.get(cell))
    }

    /// Tells the numbers of every cell, in their order.
    pub(super) fn each(&self, mut tell: impl FnMut(usize, &Numbers)) {
        const AT_ONCE: usize = 128;
        // As a rule most numbers are zero in every cell, or the same.
        let same = self.numbers.map(|column| column.same());
        let others: Vec<usize> = (0..NUMBERS).filter(|number| same[*number].is_none()).collect();
        let mut columns = [[0; AT_ONCE]; NUMBERS];
        let mut numbers = same.map(Option::unwrap_or_default);
        for first in (0..self.cells).step_by(AT_ONCE) {
            let count = AT_ONCE.min(self.cells - first);
            for number in &others {
                self.numbers[*number].copy(first, &mut columns[*number][..count]);
            }
            (0..count).for_each(|cell| {
                for number in &others {
                    numbers[*number] = columns[*number][cell];
                }
                tell(first + cell, &numbers);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cells_read_back() {
        let names = ["a", "b", "c"].map(Name::of);
        let names = [0, 1, 2, 3].map(|few| names.iter().take(few.max(1)).collect::<Vec<_>>());
        let numbers = [[1, 0, -5, 0, 0, 0, 0, i64::MIN, i64::MAX], [7; NUMBERS]];
        let cells = [([0, 0, 1, 2], &numbers[0]), ([0, 0, 1, 0], &numbers[1])];
        let written = write(3, &names, &cells);
        let reading = Reading::new(&written).unwrap();
        assert_eq!((reading.parts, reading.cells), (3, 2));
        assert_eq!(reading.same_place(2), Some(1));
        assert_eq!(reading.same_place(3), None);
        let mut told = Vec::new();
        reading.each(|cell, numbers| told.push((cell, *numbers)));
        assert_eq!(told, [(0, numbers[0]), (1, numbers[1])]);
        for (cell, (places, numbers)) in cells.iter().enumerate() {
            assert_eq!(
                [0, 1, 2, 3].map(|by| reading.place(by, cell)),
                places.map(|at| at as usize)
            );
            assert_eq!(reading.numbers(cell), **numbers);
        }
        for cut in 0..written.len() {
            assert!(Reading::new(&written[..cut]).is_err(), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn foreign_bytes_are_refused_and_nothing_worse(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            if let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            if let Ok(reading) = Reading::new(&bytes) {
                for dimension in 0..4 {
                    drop(reading.names(dimension).iter().collect::<Vec<_>>());
                }
                reading.each(|cell, _| assert!(reading.place(0, cell) < usize::MAX || cell < MOST_CELLS));
            }
        }
    }
}
