//! The digest of a set of texts, whatever their order: whether two stores hold the same.

use sha2::{Digest, Sha256};

/// The sum of the SHA-256 of every text, as numbers of 256 bits. Texts must differ from each other.
///
/// It tells an honest difference, as after a move, and is no seal: whoever chooses the texts can find two
/// sets of the same digest.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SetDigest {
    low: u128,
    high: u128,
}

impl SetDigest {
    /// Takes a text in, and returns its own digest.
    pub fn add(&mut self, text: &[u8]) -> [u8; 32] {
        let digest: [u8; 32] = Sha256::digest(text).into();
        let half = |from: usize| u128::from_le_bytes(std::array::from_fn(|at| digest[from + at]));
        let (low, carry) = self.low.overflowing_add(half(0));
        self.low = low;
        self.high = self.high.wrapping_add(half(16)).wrapping_add(u128::from(carry));
        digest
    }

    /// The digest in lower-case hexadecimal.
    #[must_use]
    pub fn to_hex(self) -> String {
        format!("{:032x}{:032x}", self.high, self.low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> String {
        let mut digest = SetDigest::default();
        for text in texts {
            digest.add(text.as_bytes());
        }
        digest.to_hex()
    }

    #[test]
    fn the_order_does_not_matter_and_every_text_does() {
        assert_eq!(of(&["a", "b", "c"]), of(&["c", "a", "b"]));
        let different = [of(&[]), of(&["a"]), of(&["a", "b"]), of(&["a", "c"]), of(&["ab"])];
        for (at, digest) in different.iter().enumerate() {
            assert_eq!(digest.len(), 64);
            assert!(!different[..at].contains(digest));
        }
    }
}
