//! How entries lie in the file: length, checksum, kind, id, bytes. Numbers are little-endian.

use crate::checksum::crc32;

/// The first bytes of a journal; the last two tell the version.
pub(crate) const HEADER: [u8; 8] = *b"RELAYJ01";
/// What a journal of any version begins with.
pub(crate) const NAME: &[u8] = b"RELAYJ";
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
        let Prefix { length, checksum, behind } = Prefix::read(bytes)?;
        let inner = behind.get(..length)?;
        Some((Self::of(inner, checksum)?, PREFIX + length))
    }

    /// What is within a frame, if that is its checksum.
    fn of(inner: &'a [u8], checksum: u32) -> Option<Self> {
        let (kind, rest) = inner.split_first()?;
        let (id, entry) = rest.split_first_chunk()?;
        let id = u64::from_le_bytes(*id);
        let frame = match *kind {
            KEEP => Self::Keep { id, entry },
            FORGET if entry.is_empty() => Self::Forget { id },
            _ => return None,
        };
        // Last: who looks for a frame asks at every byte.
        (crc32(inner) == checksum).then_some(frame)
    }
}

/// The beginning of a frame, whose length is one.
struct Prefix<'a> {
    length: usize,
    checksum: u32,
    behind: &'a [u8],
}

impl<'a> Prefix<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (checksum, behind) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let is_length = (INNER_PREFIX..=INNER_PREFIX + MOST_BYTES).contains(&length);
        is_length.then_some(Self { length, checksum: u32::from_le_bytes(*checksum), behind })
    }
}

/// Bytes that are no whole frame.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Tail<'a> {
    /// A write broke off: there is less of the frame than its length says, or there are zeroes, which a file
    /// has where a power failure kept back what was written.
    BrokenOff,
    /// Nothing but the frame's length is wrong.
    WrongLength(Frame<'a>),
    /// It was whole once.
    Damaged,
}

impl<'a> Tail<'a> {
    /// What has become of the frame that `bytes` were.
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        let inner = bytes.get(PREFIX..).unwrap_or_default();
        let checksum = bytes.get(PREFIX / 2..).and_then(<[u8]>::first_chunk);
        let frame = checksum.and_then(|sum| Frame::of(inner, u32::from_le_bytes(*sum)));
        if let Some(frame) = frame {
            return Self::WrongLength(frame);
        }
        let is_short = bytes.len() < PREFIX
            || Prefix::read(bytes).is_some_and(|prefix| prefix.behind.len() < prefix.length);
        let is_broken_off = is_short || bytes.iter().all(|byte| *byte == 0);
        if is_broken_off { Self::BrokenOff } else { Self::Damaged }
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
