//! What a journal's file says, also where a part of it is damaged.
//!
//! A frame that is not whole is passed over: the next one is where the next whole one is found, by its length,
//! its kind and its checksum. So damage costs the frame that it hits and no other. What a write has left that
//! broke off is no damage: nobody was told that it was kept.

use std::path::PathBuf;
use std::sync::Arc;

use crate::Kept;
use crate::frame::{Frame, HEADER, NAME, Tail};

/// What of a journal could not be read when it was opened.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Damage {
    /// Damaged places. In each an entry is lost at most, or the note that one was delivered, if not a longer
    /// stretch is damaged.
    pub places: usize,
    /// How long they are together, in bytes.
    pub bytes: usize,
    /// Where copies are of the damaged files that were written anew. The others are as they were, and the damage
    /// is found again by whoever opens them next.
    pub aside: Vec<PathBuf>,
}

impl Damage {
    fn add(&mut self, bytes: usize) {
        self.places += 1;
        self.bytes += bytes;
    }

    /// Takes over what another file has.
    pub(crate) fn merge(&mut self, other: Self) {
        self.places += other.places;
        self.bytes += other.bytes;
        self.aside.extend(other.aside);
    }
}

/// What a file says.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) kept: Kept,
    pub(crate) damage: Damage,
    /// Where the torn tail begins, or the file ends; behind the header in any case.
    pub(crate) end: usize,
}

/// Reads a file. `None`: it is no journal, or one of a later version.
pub(crate) fn read(file: &[u8]) -> Option<Reading> {
    if HEADER.starts_with(file) || file.iter().all(|byte| *byte == 0) {
        // A header that a crash tore: there was nothing behind it.
        return Some(Reading { end: HEADER.len(), ..Reading::default() });
    }
    let (header, frames) = file.split_first_chunk()?;
    let (mut reading, found) = read_frames(frames);
    if *header != HEADER {
        if found == 0 && !is_damaged_header(*header, frames) {
            return None;
        }
        reading.damage.add(HEADER.len());
    }
    reading.end += HEADER.len();
    Some(reading)
}

/// Whether a header was one of this version, as far as can be told where nothing behind it can be read. What
/// bears another version's number has to be left to that, unless nothing is behind it.
fn is_damaged_header(header: [u8; HEADER.len()], frames: &[u8]) -> bool {
    const MOST_DAMAGED: usize = 2;
    let damaged = header.iter().zip(HEADER).filter(|(found, meant)| *found != meant).count();
    let has_other_number = header.starts_with(NAME);
    damaged <= MOST_DAMAGED && (frames.is_empty() || !has_other_number)
}

/// What the frames say, and how many whole ones there are.
fn read_frames(bytes: &[u8]) -> (Reading, usize) {
    let (mut reading, mut found, mut at) = (Reading::default(), 0, 0);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        if let Some((frame, size)) = Frame::read(rest) {
            found += 1;
            reading.take(&frame);
            at += size;
            continue;
        }
        let next = (1..rest.len()).find(|offset| Frame::read(&rest[*offset..]).is_some());
        let place = &rest[..next.unwrap_or(rest.len())];
        match Tail::of(place) {
            Tail::BrokenOff if next.is_none() => break,
            Tail::WrongLength(frame) => reading.take(&frame),
            Tail::BrokenOff | Tail::Damaged => {}
        }
        reading.damage.add(place.len());
        at += place.len();
    }
    reading.end = at;
    (reading, found)
}

impl Reading {
    fn take(&mut self, frame: &Frame<'_>) {
        match frame {
            Frame::Keep { id, entry } => self.kept.insert(*id, Arc::from(*entry)),
            Frame::Forget { id } => self.kept.remove(*id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRIES: [&[u8]; 4] = [b"{\"first\":1}", b"", b"{\"the third\":\"one\"}", b"last"];

    /// A file that keeps `ENTRIES`, and has forgotten another in between; and where its frames end.
    fn file() -> (Vec<u8>, Vec<usize>) {
        let mut bytes = HEADER.to_vec();
        let mut ends = vec![bytes.len()];
        let mut write = |frame: Frame<'_>| {
            frame.write(&mut bytes);
            ends.push(bytes.len());
        };
        for (id, entry) in (0..).zip(ENTRIES) {
            write(Frame::Keep { id, entry });
            write(Frame::Keep { id: 100 + id, entry: b"delivered" });
            write(Frame::Forget { id: 100 + id });
        }
        (bytes, ends)
    }

    fn entries(reading: &Reading) -> Vec<(u64, Vec<u8>)> {
        reading.kept.entries.iter().map(|(id, entry)| (*id, entry.to_vec())).collect()
    }

    /// What is to be read when the frame at `hit` is not there.
    fn without(hit: usize) -> Vec<(u64, Vec<u8>)> {
        let ids = (0..).zip(ENTRIES);
        let mut left: Vec<(u64, Vec<u8>)> = ids
            .filter(|(id, _)| hit != 3 * usize::try_from(*id).unwrap())
            .map(|(id, entry)| (id, entry.to_vec()))
            .collect();
        if hit % 3 == 2 {
            left.push((100 + u64::try_from(hit / 3).unwrap(), b"delivered".to_vec()));
        }
        left
    }

    #[test]
    fn any_damaged_byte_costs_at_most_the_frame_that_it_hits() {
        let (whole, ends) = file();
        let all = entries(&read(&whole).unwrap());
        assert_eq!(all, without(usize::MAX));
        for at in 0..whole.len() {
            let hit = ends.iter().filter(|end| **end <= at).count();
            for mask in [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF] {
                let mut damaged = whole.clone();
                damaged[at] ^= mask;
                let reading = read(&damaged).unwrap();
                let found = entries(&reading);
                let case = format!("byte {at} of frame {hit}, mask {mask}: {found:?}");
                assert!(found == all || hit > 0 && found == without(hit - 1), "{case}");
                assert_eq!(reading.damage.places, 1, "{case}");
                assert_eq!(reading.end, whole.len(), "{case}");
            }
        }
    }

    #[test]
    fn any_cut_costs_at_most_the_frame_that_it_hits_and_is_no_damage() {
        let (whole, ends) = file();
        for cut in 0..=whole.len() {
            let reading = read(&whole[..cut]).unwrap();
            assert_eq!(reading.damage, Damage::default(), "cut at {cut}");
            let end = ends.iter().rev().find(|end| **end <= cut).copied().unwrap_or(HEADER.len());
            assert_eq!(reading.end, end, "cut at {cut}");
            let until = read(&whole[..end.min(cut)]).unwrap();
            assert_eq!(entries(&reading), entries(&until), "cut at {cut}");
        }
    }

    #[test]
    fn any_piece_that_is_missing_costs_at_most_the_frames_that_it_hits() {
        let (whole, ends) = file();
        for from in HEADER.len()..whole.len() {
            for to in from + 1..whole.len() {
                let missing = [&whole[..from], &whole[to..]].concat();
                let found = entries(&read(&missing).unwrap());
                for (id, entry) in (0..).zip(ENTRIES) {
                    let number = 3 * usize::try_from(id).unwrap();
                    let is_hit = from < ends[number + 1] && ends[number] < to;
                    let is_there = found.contains(&(id, entry.to_vec()));
                    assert!(is_hit || is_there, "{from} to {to}, entry {id}: {found:?}");
                }
                let known = |(id, entry): &(u64, Vec<u8>)| match *id {
                    100.. => entry == b"delivered",
                    id => ENTRIES[usize::try_from(id).unwrap()] == entry,
                };
                assert!(found.iter().all(known), "{from} to {to}: {found:?}");
            }
        }
    }

    #[test]
    fn zeroes_at_the_end_are_a_write_that_a_power_failure_broke_off() {
        let (mut bytes, _) = file();
        let end = bytes.len();
        bytes.extend([0; 100]);
        let reading = read(&bytes).unwrap();
        assert_eq!((reading.end, reading.damage), (end, Damage::default()));
    }

    #[test]
    fn what_is_no_journal_is_not_read() {
        for bytes in [&b"somebody's diary"[..], b"RELAYJ02 and in another form", b"x"] {
            assert!(read(bytes).is_none(), "{bytes:?}");
        }
    }

    #[test]
    fn a_damaged_header_with_nothing_behind_it_keeps_nothing_from_being_kept() {
        for at in 0..HEADER.len() {
            for mask in [0x01, 0x10, 0x80, 0xFF] {
                let mut header = HEADER;
                header[at] ^= mask;
                let reading = read(&header).unwrap();
                assert_eq!((reading.end, reading.damage.places), (HEADER.len(), 1));
            }
        }
        let torn = [HEADER.map(|byte| byte ^ u8::from(byte == b'R')).as_slice(), b"torn"].concat();
        assert_eq!(read(&torn).unwrap().kept.entries.len(), 0);
        for length in [1, 8, 4_096] {
            let reading = read(&vec![0; length]).unwrap();
            assert_eq!((reading.end, reading.damage), (HEADER.len(), Damage::default()));
        }
    }
}
