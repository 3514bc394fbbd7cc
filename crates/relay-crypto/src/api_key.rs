//! API keys: how one is minted, and the digests by which a presented one is looked up.
//!
//! There is no comparison of keys here, on purpose: a presented key is digested and the digest is
//! looked up, so that neither the store nor a snapshot ever needs the key itself.

use std::ops::RangeInclusive;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::random;

/// What an API key begins with unless the operator decides otherwise.
pub const DEFAULT_PREFIX: &str = "cr_";

/// How long a presented key may be, in characters with its prefix.
const PLAUSIBLE_CHARS: RangeInclusive<usize> = 10..=512;

/// How many random bytes a minted key carries.
const MINTED_BYTES: usize = 32;

/// Mints API keys of one prefix.
#[derive(Clone, Debug)]
pub struct ApiKeyMinter {
    prefix: String,
}

impl ApiKeyMinter {
    /// A minter whose keys begin with `prefix`.
    #[must_use]
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into() }
    }

    /// Mints a key: the prefix and 64 lower-case hex digits.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give.
    #[must_use]
    pub fn mint(&self) -> SecretString {
        random::prefixed_secret(&self.prefix, MINTED_BYTES)
    }

    /// What the keys of this minter begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl Default for ApiKeyMinter {
    /// A minter of [`DEFAULT_PREFIX`].
    fn default() -> Self {
        Self::new(DEFAULT_PREFIX)
    }
}

/// Whether `presented` can be an API key at all, so that anything else costs no digest and no
/// look-up: 10 to 512 characters that begin with `prefix`. Any tail will do, because keys of other
/// shapes were minted by Relay's predecessors and by hand.
#[must_use]
pub fn plausible(presented: &str, prefix: &str) -> bool {
    let counted = presented.chars().take(PLAUSIBLE_CHARS.end() + 1).count();
    presented.starts_with(prefix) && PLAUSIBLE_CHARS.contains(&counted)
}

/// Digests presented API keys. Runs for every request and allocates nothing.
pub struct KeyHasher {
    encryption_key: SecretString,
    former: Vec<SecretString>,
}

impl KeyHasher {
    /// A hasher that salts with `encryption_key`, the text of `ENCRYPTION_KEY` as configured.
    #[must_use]
    pub fn new(encryption_key: &SecretString) -> Self {
        Self { encryption_key: encryption_key.clone(), former: Vec::new() }
    }

    /// Also recognises keys that were stored under other values of `ENCRYPTION_KEY`: a digest cannot be
    /// made anew without the key, so keys that were brought along keep theirs.
    #[must_use]
    pub fn with_former(mut self, former: Vec<SecretString>) -> Self {
        self.former = former;
        self
    }

    /// The salted digest under which keys are stored: SHA-256 of the key followed by
    /// `ENCRYPTION_KEY`, nothing between them, as v1 has it.
    #[must_use]
    pub fn digest(&self, presented: &str) -> [u8; 32] {
        salted(presented, &self.encryption_key)
    }

    /// The salted digests under former values of `ENCRYPTION_KEY`. To be looked up only where
    /// [`KeyHasher::digest`] is not found.
    pub fn former<'a>(&'a self, presented: &'a str) -> impl Iterator<Item = [u8; 32]> + 'a {
        self.former.iter().map(move |encryption_key| salted(presented, encryption_key))
    }

    /// The digest under which v2 stored keys, SHA-256 of the key alone. To be looked up only where
    /// [`KeyHasher::digest`] is not found.
    #[must_use]
    pub fn unsalted(&self, presented: &str) -> [u8; 32] {
        Sha256::digest(presented).into()
    }
}

fn salted(presented: &str, encryption_key: &SecretString) -> [u8; 32] {
    Sha256::new()
        .chain_update(presented)
        .chain_update(encryption_key.expose_secret())
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, Vectors};

    #[test]
    fn a_minted_key_is_the_prefix_and_64_lower_case_hex_digits() {
        for minter in [ApiKeyMinter::default(), ApiKeyMinter::new("team-"), ApiKeyMinter::new("")] {
            let key = minter.mint();
            let tail = key.expose_secret().strip_prefix(minter.prefix()).unwrap();
            assert_eq!(tail.len(), 64);
            assert!(tail.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
            assert!(plausible(key.expose_secret(), minter.prefix()));
        }
        assert_eq!(ApiKeyMinter::default().prefix(), "cr_");
    }

    #[test]
    fn only_what_can_be_a_key_is_plausible() {
        let cases = [
            ("as v1 and we mint it", format!("cr_{}", "0".repeat(64)), true),
            ("as v2 mints it", format!("cr_{}", "a".repeat(32)), true),
            ("any tail", "cr_Hand-Made!".to_owned(), true),
            ("ten characters", "cr_1234567".to_owned(), true),
            ("nine characters", "cr_123456".to_owned(), false),
            ("512 characters", format!("cr_{}", "x".repeat(509)), true),
            ("513 characters", format!("cr_{}", "x".repeat(510)), false),
            ("characters are counted, not bytes", format!("cr_{}", "钥".repeat(509)), true),
            ("too few characters in enough bytes", format!("cr_{}", "钥".repeat(6)), false),
            ("another prefix", "sk-ant-0123456789".to_owned(), false),
            ("the prefix in capitals", format!("CR_{}", "0".repeat(64)), false),
            ("nothing", String::new(), false),
        ];
        for (name, presented, expected) in cases {
            assert_eq!(plausible(&presented, DEFAULT_PREFIX), expected, "{name}");
        }
        assert!(plausible("0123456789", ""), "no prefix is a prefix too");
    }

    #[test]
    fn digests_are_those_of_v1_and_v2() {
        let vectors = Vectors::load();
        let hasher = KeyHasher::new(&vectors.encryption_key);
        assert_eq!(vectors.hash.len(), 3);
        for case in vectors.hash {
            assert_eq!(hex::encode(hasher.digest(&case.raw)), case.v1, "{}", case.raw);
            if let Some(v2) = case.v2 {
                assert_eq!(hex::encode(hasher.unsalted(&case.raw)), v2, "{}", case.raw);
            }
        }
    }

    #[test]
    fn another_encryption_key_makes_another_digest() {
        let ours = KeyHasher::new(&Vectors::load().encryption_key);
        let other = KeyHasher::new(&vectors::OTHER_ENCRYPTION_KEY.into());
        assert_ne!(ours.digest("cr_0123456789"), other.digest("cr_0123456789"));
        assert_eq!(ours.unsalted("cr_0123456789"), other.unsalted("cr_0123456789"));
    }

    #[test]
    fn keys_of_former_encryption_keys_are_digested_as_they_were() {
        let vectors = Vectors::load();
        let hasher = KeyHasher::new(&vectors::OTHER_ENCRYPTION_KEY.into())
            .with_former(vec![vectors.encryption_key.clone()]);
        for case in vectors.hash {
            let former: Vec<_> = hasher.former(&case.raw).map(hex::encode).collect();
            assert_eq!(former, std::slice::from_ref(&case.v1));
            assert_ne!(hex::encode(hasher.digest(&case.raw)), case.v1);
        }
    }
}
