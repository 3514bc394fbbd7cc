//! A column of numbers, each as wide as the widest needs it to be.
//!
//! So the number of any cell is read without those before it, and many are read without a branch.

use super::codec::Malformed;
use super::leb128::{put_signed, take_bytes, take_signed};

/// Writes numbers: how many bytes each takes, the least of them, and how far each lies above it.
pub(super) fn write_column(out: &mut Vec<u8>, numbers: impl Iterator<Item = i64> + Clone) {
    let base = numbers.clone().min().unwrap_or(0);
    let above = |number: i64| number.wrapping_sub(base).cast_unsigned();
    let most = numbers.clone().map(above).max().unwrap_or(0);
    let width = 8 - most.leading_zeros() as usize / 8;
    // At most eight.
    out.push(width.to_le_bytes()[0]);
    put_signed(out, base);
    for number in numbers {
        out.extend_from_slice(&above(number).to_le_bytes()[..width]);
    }
}

/// Numbers as they were written.
#[derive(Clone, Copy)]
pub(super) struct Column<'a> {
    base: i64,
    width: usize,
    bytes: &'a [u8],
}

impl<'a> Column<'a> {
    /// Finds so many numbers in what [`write_column`] wrote.
    pub(super) fn read(rest: &mut &'a [u8], count: usize) -> Result<Self, Malformed> {
        let width = usize::from(take_bytes(rest, 1)?[0]);
        let base = take_signed(rest)?;
        let length = count.checked_mul(width).filter(|_| width <= 8).ok_or(Malformed)?;
        Ok(Self { base, width, bytes: take_bytes(rest, length)? })
    }

    /// The number that all are, if they are all the same.
    pub(super) fn same(&self) -> Option<i64> {
        (self.width == 0).then_some(self.base)
    }

    /// The number of a cell.
    pub(super) fn get(&self, cell: usize) -> i64 {
        let at = cell * self.width;
        let mut above = [0; 8];
        if let Some(bytes) = self.bytes.get(at..at + self.width) {
            above[..self.width].copy_from_slice(bytes);
        }
        self.base.wrapping_add(u64::from_le_bytes(above).cast_signed())
    }

    /// The numbers of the cells from `first` on, as many as `into` has room for.
    pub(super) fn copy(&self, first: usize, into: &mut [i64]) {
        let bytes = self.bytes.get(first * self.width..).unwrap_or_default();
        match self.width {
            1 => self.copy_wide::<1>(bytes, into),
            2 => self.copy_wide::<2>(bytes, into),
            3 => self.copy_wide::<3>(bytes, into),
            4 => self.copy_wide::<4>(bytes, into),
            5 => self.copy_wide::<5>(bytes, into),
            6 => self.copy_wide::<6>(bytes, into),
            7 => self.copy_wide::<7>(bytes, into),
            8 => self.copy_wide::<8>(bytes, into),
            _ => into.fill(self.base),
        }
    }

    fn copy_wide<const WIDTH: usize>(self, bytes: &[u8], into: &mut [i64]) {
        for (number, bytes) in into.iter_mut().zip(bytes.as_chunks::<WIDTH>().0) {
            let mut above = [0; 8];
            above[..WIDTH].copy_from_slice(bytes);
            *number = self.base.wrapping_add(u64::from_le_bytes(above).cast_signed());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_the_same_everywhere_takes_no_room() {
        for same in [0, 1, i64::MIN, i64::MAX] {
            let mut written = Vec::new();
            write_column(&mut written, std::iter::repeat_n(same, 1_000));
            assert!(written.len() <= 11, "{same}: {} bytes", written.len());
            let read = Column::read(&mut &written[..], 1_000).unwrap();
            assert_eq!((read.same(), read.get(999)), (Some(same), same));
        }
    }

    proptest! {
        #[test]
        fn numbers_read_back_from_any_cell_on(
            numbers in prop::collection::vec(any::<i64>(), 1..40),
            bits in 0_u32..63,
            first in 0_usize..40,
        ) {
            let numbers: Vec<_> = numbers.into_iter().map(|number| number >> bits).collect();
            let mut written = Vec::new();
            write_column(&mut written, numbers.iter().copied());
            let mut rest = &written[..];
            let read = Column::read(&mut rest, numbers.len()).unwrap();
            prop_assert!(rest.is_empty());
            for (cell, number) in numbers.iter().enumerate() {
                prop_assert_eq!(read.get(cell), *number);
            }
            let first = first.min(numbers.len());
            let mut copied = vec![0; numbers.len() - first];
            read.copy(first, &mut copied);
            prop_assert_eq!(&copied, &numbers[first..]);
        }
    }
}
