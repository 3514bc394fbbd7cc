//! How cells are written: a column after the other, so that a reader touches only what it needs.
//!
//! ```text
//! version | parts | cells | 4 dictionaries | 4 columns of places in them | 9 columns of numbers
//! ```
//!
//! Numbers are LEB128, signed ones zigzag. Dictionaries and columns begin with their length in bytes. A
//! dictionary's entry is a UUID as 16 bytes after a 0, or a text after its length plus one. Cells are
//! sorted by key, whose column holds differences. A column of places in a dictionary of one entry is left
//! out, and so is a column of zeros.
//!
//! A correction may take requests without a price away: cells in which that number is below zero are of
//! version 2, in which it is signed. Once folded into what was counted before, it is not below zero any more.

use std::fmt::Write as _;

use super::numbers::{NUMBERS, Numbers, UNPRICED, is_signed};

/// What is counted.
const VERSION: u8 = 1;
/// The same, but that the number of requests without a price is signed.
const CORRECTING: u8 = 2;

/// The bytes are not what was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the cells of a statistic are malformed")]
pub struct Malformed;

/// Writes cells, which must be sorted by their places in `dictionaries`.
pub(super) fn write(
    parts: usize,
    dictionaries: &[Vec<&[u8]>; 4],
    cells: &[([u32; 4], &Numbers)],
) -> Vec<u8> {
    let corrects = cells.iter().any(|(_, numbers)| numbers[UNPRICED] < 0);
    let version = if corrects { CORRECTING } else { VERSION };
    let mut out = vec![version];
    put(&mut out, parts as u64);
    put(&mut out, cells.len() as u64);
    for entries in dictionaries {
        let mut section = Vec::new();
        put(&mut section, entries.len() as u64);
        for entry in entries {
            section.extend_from_slice(entry);
        }
        put_section(&mut out, &section);
    }
    for (dimension, entries) in dictionaries.iter().enumerate() {
        let mut section = Vec::new();
        if entries.len() > 1 {
            let mut before = 0;
            for (places, _) in cells {
                let place = u64::from(places[dimension]);
                put(&mut section, if dimension == 0 { place - before } else { place });
                before = place;
            }
        }
        put_section(&mut out, &section);
    }
    for number in 0..NUMBERS {
        let mut section = Vec::new();
        if cells.iter().any(|(_, numbers)| numbers[number] != 0) {
            for (_, numbers) in cells {
                let value = numbers[number];
                let signed = is_signed_in(version, number);
                put(&mut section, if signed { zigzag(value) } else { natural(value) });
            }
        }
        put_section(&mut out, &section);
    }
    out
}

/// Cells that are read column by column.
pub(super) struct Reading<'a> {
    version: u8,
    /// Of how many parts the segment is made.
    pub(super) parts: usize,
    /// How many cells this part has.
    pub(super) cells: usize,
    dictionaries: [&'a [u8]; 4],
    places: [&'a [u8]; 4],
    numbers: [&'a [u8]; NUMBERS],
}

impl<'a> Reading<'a> {
    /// Finds the columns.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (&version, mut rest) = bytes.split_first().ok_or(Malformed)?;
        if !matches!(version, VERSION | CORRECTING) {
            return Err(Malformed);
        }
        let parts = take_size(&mut rest)?;
        let cells = take_size(&mut rest)?;
        let mut reading = Self {
            version,
            parts,
            cells,
            dictionaries: [&[]; 4],
            places: [&[]; 4],
            numbers: [&[]; NUMBERS],
        };
        let sections = reading.dictionaries.iter_mut().chain(&mut reading.places);
        for section in sections.chain(&mut reading.numbers) {
            *section = take_section(&mut rest)?;
        }
        // A cell takes a byte of the first column of numbers at least: nobody is made to reserve more.
        let fits = cells <= bytes.len() && rest.is_empty();
        fits.then_some(reading).ok_or(Malformed)
    }

    /// The entries of a dictionary, each as it was written.
    pub(super) fn dictionary(&self, dimension: usize) -> Result<Vec<&'a [u8]>, Malformed> {
        let mut rest = self.dictionaries[dimension];
        let count = take_size(&mut rest)?;
        let mut entries = Vec::with_capacity(count.min(rest.len()));
        for _ in 0..count {
            let entry = rest;
            let length = match take(&mut rest)? {
                0 => 16,
                length => usize::try_from(length - 1).map_err(|_| Malformed)?,
            };
            rest = rest.get(length..).ok_or(Malformed)?;
            entries.push(&entry[..entry.len() - rest.len()]);
        }
        rest.is_empty().then_some(entries).ok_or(Malformed)
    }

    /// The place of each cell in a dictionary of `entries` entries; `None`: they are all in its first.
    pub(super) fn places(
        &self,
        dimension: usize,
        entries: usize,
    ) -> Result<Option<Vec<u32>>, Malformed> {
        let mut rest = self.places[dimension];
        if entries <= 1 {
            return (rest.is_empty() && (entries == 1 || self.cells == 0))
                .then_some(None)
                .ok_or(Malformed);
        }
        let mut places = Vec::with_capacity(self.cells);
        let mut before = 0_u64;
        for _ in 0..self.cells {
            let mut place = take(&mut rest)?;
            if dimension == 0 {
                place = place.checked_add(before).ok_or(Malformed)?;
                before = place;
            }
            let known = usize::try_from(place).is_ok_and(|place| place < entries);
            places.push(u32::try_from(place).ok().filter(|_| known).ok_or(Malformed)?);
        }
        rest.is_empty().then_some(Some(places)).ok_or(Malformed)
    }

    /// Tells the number of each cell, in their order, unless all are zero.
    pub(super) fn each(
        &self,
        number: usize,
        mut tell: impl FnMut(usize, i64),
    ) -> Result<(), Malformed> {
        let mut rest = self.numbers[number];
        if rest.is_empty() {
            return Ok(());
        }
        for cell in 0..self.cells {
            let raw = take(&mut rest)?;
            let signed = is_signed_in(self.version, number);
            tell(cell, if signed { unzigzag(raw) } else { whole(raw) });
        }
        rest.is_empty().then_some(()).ok_or(Malformed)
    }
}

/// A text as a dictionary's entry.
pub(super) fn entry(text: &str) -> Vec<u8> {
    if let Some(uuid) = uuid_bytes(text) {
        let mut entry = vec![0];
        entry.extend_from_slice(&uuid);
        return entry;
    }
    let mut entry = Vec::with_capacity(text.len() + 1);
    put(&mut entry, text.len() as u64 + 1);
    entry.extend_from_slice(text.as_bytes());
    entry
}

/// The text of a dictionary's entry.
pub(super) fn text(mut entry: &[u8]) -> Result<String, Malformed> {
    match take(&mut entry)? {
        0 => Ok(uuid_text(entry)),
        _ => String::from_utf8(entry.to_vec()).map_err(|_| Malformed),
    }
}

/// The bytes of a UUID in its canonical form: 36 characters, lower case.
fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    let (text, mut bytes) = (text.as_bytes(), [0; 16]);
    if text.len() != 36 {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut at = 0;
    for byte in &mut bytes {
        if matches!(at, 8 | 13 | 18 | 23) {
            (text[at] == b'-').then_some(())?;
            at += 1;
        }
        *byte = digit(text[at])? << 4 | digit(text[at + 1])?;
        at += 2;
    }
    Some(bytes)
}

fn uuid_text(bytes: &[u8]) -> String {
    bytes.iter().enumerate().fold(String::with_capacity(36), |mut text, (at, byte)| {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a `String` cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    loop {
        // The seven lowest bits.
        let low = number.to_le_bytes()[0] & 0x7f;
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn put_section(out: &mut Vec<u8>, section: &[u8]) {
    put(out, section.len() as u64);
    out.extend_from_slice(section);
}

fn take(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first().ok_or(Malformed)?;
        *rest = after;
        let low = u64::from(byte & 0x7f);
        if shift == 63 && low > 1 {
            return Err(Malformed);
        }
        number |= low << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Malformed)
}

fn take_size(rest: &mut &[u8]) -> Result<usize, Malformed> {
    usize::try_from(take(rest)?).map_err(|_| Malformed)
}

fn take_section<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = take_size(rest)?;
    let (section, after) = rest.split_at_checked(length).ok_or(Malformed)?;
    *rest = after;
    Ok(section)
}

fn is_signed_in(version: u8, number: usize) -> bool {
    is_signed(number) || (version == CORRECTING && number == UNPRICED)
}

fn zigzag(number: i64) -> u64 {
    (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned()
}

fn unzigzag(raw: u64) -> i64 {
    (raw >> 1).cast_signed() ^ -(raw & 1).cast_signed()
}

fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn whole(raw: u64) -> i64 {
    i64::try_from(raw).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn uuids_are_packed_and_all_else_is_kept_as_text() {
        let uuid = "0f8fad5b-d9cb-469f-a165-70867728950e";
        assert_eq!(entry(uuid).len(), 17);
        let upper = uuid.to_uppercase();
        for text_of in [uuid, &upper, "", "1a2b3c4d5e6f7a8b", "claude-sonnet-4-5", "模型"] {
            assert_eq!(text(&entry(text_of)).as_deref(), Ok(text_of));
        }
        assert_eq!(entry(&upper).len(), 37);
    }

    proptest! {
        #[test]
        fn numbers_read_back(number: u64, signed: i64) {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            put(&mut bytes, zigzag(signed));
            let mut rest = &bytes[..];
            prop_assert_eq!(take(&mut rest), Ok(number));
            prop_assert_eq!(take(&mut rest).map(unzigzag), Ok(signed));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn foreign_bytes_are_refused_and_nothing_worse(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            if let Some(first) = bytes.first_mut() {
                *first = VERSION + *first % 2;
            }
            if let Ok(reading) = Reading::new(&bytes) {
                for dimension in 0..4 {
                    if let Ok(entries) = reading.dictionary(dimension) {
                        drop(reading.places(dimension, entries.len()));
                        drop(entries.into_iter().map(text).collect::<Vec<_>>());
                    }
                }
                for number in 0..NUMBERS {
                    reading.each(number, |_, _| {}).ok();
                }
            }
        }
    }
}
