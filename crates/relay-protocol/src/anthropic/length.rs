//! How much output a content comes to by its length, where the provider counts nothing.

use relay_domain::TokenCount;

use crate::ScanError;
use crate::json::Cursor;

/// Bytes of content that make a token, as English and code go.
const BYTES_PER_TOKEN: u64 = 4;

/// The length of an answer's content.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ContentLength {
    pieces: u64,
    bytes: u64,
}

impl ContentLength {
    /// Adds a piece of content that has so many bytes.
    pub(super) fn add(&mut self, bytes: usize) {
        self.pieces += 1;
        self.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
    }

    /// What it comes to: at least a token for each piece, and one for every four bytes.
    pub(super) fn tokens(self) -> TokenCount {
        TokenCount::new(self.pieces.max(self.bytes.div_ceil(BYTES_PER_TOKEN)))
    }

    /// Measures the content of a whole answer, which is in front of the cursor. What is no output, as the
    /// signature of a thought or what a search has found, does not count.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, ScanError> {
        let mut length = Self::default();
        if cursor.peek()? != b'[' {
            cursor.skip()?;
            return Ok(length);
        }
        cursor.array(|cursor| {
            cursor.object_or_skip(|cursor, key| {
                if !matches!(key, b"text" | b"thinking" | b"input") {
                    return cursor.skip();
                }
                // Without its quotes or braces.
                let bytes = match cursor.value()?.bytes {
                    [b'"' | b'{', within @ .., _] => within.len(),
                    _ => 0,
                };
                if bytes > 0 {
                    length.add(bytes);
                }
                Ok(())
            })
        })?;
        Ok(length)
    }
}
