//! How entries lie in the file: length, checksum, kind, id, bytes. Numbers are little-endian.

use crate::checksum::crc32;

/// The first bytes of a journal; the last two tell the version.
pub(crate) const HEADER: [u8; 8] = *b"RELAYJ01";
/// Length and checksum.
const PREFIX: usize = 8;
/// Kind and id: the beginning of what the checksum is over.
const INNER_PREFIX: usize = 9;
/// The largest entry: a length beyond it is no length.
pub(crate) const MOST_BYTES: usize = 1 << 20;

const KEEP: u8 = 1;
const FORGET: u8 = 2;

/// One frame.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Frame<'a> {
    /// An entry.
    Keep { id: u64, entry: &'a [u8] },
    /// An entry has been delivered.
    Forget { id: u64 },
}

/// What an entry takes in the file.
pub(crate) fn size_of_entry(entry: &[u8]) -> u64 {
    u64::try_from(PREFIX + INNER_PREFIX + entry.len()).unwrap_or(u64::MAX)
}

impl<'a> Frame<'a> {
    /// Writes it at the end of `out`. An entry has at most [`MOST_BYTES`].
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let (kind, id, entry) = match self {
            Self::Keep { id, entry } => (KEEP, id, *entry),
            Self::Forget { id } => (FORGET, id, &[][..]),
        };
        let length = u32::try_from(INNER_PREFIX + entry.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_le_bytes());
        let checksum_at = out.len();
        out.extend_from_slice(&[0; 4]);
        let inner_at = out.len();
        out.push(kind);
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(entry);
        let checksum = crc32(&out[inner_at..]).to_le_bytes();
        out[checksum_at..inner_at].copy_from_slice(&checksum);
    }

    /// Reads the frame at the front of `bytes`, and how long it is. `None`: there is no whole one.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (checksum, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        if !(INNER_PREFIX..=INNER_PREFIX + MOST_BYTES).contains(&length) {
            return None;
        }
        let inner = rest.get(..length)?;
        if crc32(inner) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let (kind, rest) = inner.split_first()?;
        let (id, entry) = rest.split_first_chunk()?;
        let id = u64::from_le_bytes(*id);
        let frame = match *kind {
            KEEP => Self::Keep { id, entry },
            FORGET => Self::Forget { id },
            _ => return None,
        };
        Some((frame, PREFIX + length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back_and_no_damage_goes_unnoticed() {
        for frame in [Frame::Keep { id: 7, entry: b"what was said" }, Frame::Forget { id: 7 }] {
            let mut bytes = Vec::new();
            frame.write(&mut bytes);
            assert_eq!(Frame::read(&bytes), Some((frame, bytes.len())));
            for cut in 0..bytes.len() {
                assert_eq!(Frame::read(&bytes[..cut]), None, "cut at {cut}");
                let mut damaged = bytes.clone();
                damaged[cut] ^= 0x10;
                assert_eq!(Frame::read(&damaged), None, "damaged at {cut}");
            }
        }
    }
}
