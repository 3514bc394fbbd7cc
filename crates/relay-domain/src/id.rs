//! Names of things: parsed once, valid ever after, cheap to clone.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Why a text is not an id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidId {
    /// The text is empty or longer than the kind of id allows.
    #[error("an id has 1 to {max} characters")]
    Length {
        /// The most bytes that this kind of id may have.
        max: usize,
    },
    /// The text holds a byte that would break a store's key or a log line.
    #[error("an id holds no colon, no white space and no control character")]
    Character,
    /// The text is not the expected number of hexadecimal digits.
    #[error("expected {digits} hexadecimal digits")]
    NotHex {
        /// How many digits were expected.
        digits: usize,
    },
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, max = $max:literal, allowed = $allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidId;

            fn try_from(raw: &str) -> Result<Self, InvalidId> {
                if raw.is_empty() || $max < raw.len() {
                    return Err(InvalidId::Length { max: $max });
                }
                let allowed: fn(char) -> bool = $allowed;
                if !raw.chars().all(allowed) {
                    return Err(InvalidId::Character);
                }
                Ok(Self(Arc::from(raw)))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(raw: String) -> Result<Self, InvalidId> {
                Self::try_from(raw.as_str())
            }
        }

        // Compared and hashed as the text that it is.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn plain(c: char) -> bool {
    c != ':' && !c.is_whitespace() && !c.is_control()
}

text_id! {
    /// Names one API key for its whole life: a UUID (v1, Relay) or 16 hex digits (v2). Not a secret.
    KeyId, max = 64, allowed = plain
}

text_id! {
    /// Names one upstream account for its whole life. Not a secret: safe in logs and labels.
    AccountId, max = 64, allowed = plain
}

text_id! {
    /// Names one group of accounts for its whole life. Not a secret.
    AccountGroupId, max = 64, allowed = plain
}

text_id! {
    /// Names one group of API keys, a team, for its whole life. Not a secret.
    GroupId, max = 64, allowed = plain
}

text_id! {
    /// Names one token of automation's for its whole life. Not a secret.
    AdminTokenId, max = 64, allowed = plain
}

text_id! {
    /// A model's name as a client or a provider writes it. Foreign text, so almost all of it is
    /// allowed; the bound keeps it out of trouble as part of a store's key.
    ModelName, max = 256, allowed = |c| !c.is_control()
}

text_id! {
    /// What keeps a conversation on one account: a digest over the API key's id and the client's
    /// session hint, so that two keys never share a binding.
    AffinityKey, max = 64, allowed = |c| c.is_ascii_hexdigit()
}

impl ModelName {
    /// Whether it is the name of a Claude model.
    pub fn is_claude(&self) -> bool {
        names_claude(&self.0)
    }
}

/// Whether what has this name counts against a weekly budget of Claude models. v1's rule: the name holds
/// `claude-`, or `opus`, `sonnet` or `haiku`, in any case.
pub fn names_claude(model: &str) -> bool {
    let has = |part: &str| {
        model
            .as_bytes()
            .windows(part.len())
            .any(|found| found.eq_ignore_ascii_case(part.as_bytes()))
    };
    ["claude-", "opus", "sonnet", "haiku"].into_iter().any(has)
}

/// Names one request of a client, from admission to settlement. Sorts by time.
///
/// 48 bits of milliseconds and 80 random bits, printed as `req_` and 32 hex digits.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(u128);

impl RequestId {
    /// Makes an id from the time of arrival and random bits (the low 80 of `random` are used).
    #[must_use]
    pub fn new(now: Timestamp, random: u128) -> Self {
        Self((u128::from(now.as_millis()) << 80) | (random & ((1 << 80) - 1)))
    }

    /// When the request arrived.
    #[must_use]
    pub fn arrived_at(self) -> Timestamp {
        Timestamp::from_millis(u64::try_from(self.0 >> 80).unwrap_or(u64::MAX))
    }

    /// The id as a number, for stores that index it as such.
    pub fn as_u128(self) -> u128 {
        self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "req_{:032x}", self.0)
    }
}

impl TryFrom<&str> for RequestId {
    type Error = InvalidId;

    fn try_from(raw: &str) -> Result<Self, InvalidId> {
        const NOT_HEX: InvalidId = InvalidId::NotHex { digits: 32 };
        let digits = raw.strip_prefix("req_").ok_or(NOT_HEX)?;
        if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(NOT_HEX);
        }
        u128::from_str_radix(digits, 16).map(Self).map_err(|_| NOT_HEX)
    }
}

impl TryFrom<String> for RequestId {
    type Error = InvalidId;

    fn try_from(raw: String) -> Result<Self, InvalidId> {
        Self::try_from(raw.as_str())
    }
}

impl From<RequestId> for String {
    fn from(id: RequestId) -> Self {
        id.to_string()
    }
}

/// The digest of a presented API key: what is stored and looked up instead of the key itself.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// Wraps a SHA-256 digest.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The digest as 64 lower-case hex digits, the form that v1 and v2 store.
    pub fn to_hex(&self) -> String {
        use fmt::Write as _;
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a `String` cannot fail.
            let _infallible = write!(text, "{byte:02x}");
            text
        })
    }

    /// Reads the stored form.
    ///
    /// # Errors
    ///
    /// [`InvalidId::NotHex`] unless `text` is 64 hex digits.
    pub fn from_hex(text: &str) -> Result<Self, InvalidId> {
        const NOT_HEX: InvalidId = InvalidId::NotHex { digits: 64 };
        if text.len() != 64 || !text.is_ascii() {
            return Err(NOT_HEX);
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| NOT_HEX)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_both_predecessors_are_ids() {
        for id in ["0f8fad5b-d9cb-469f-a165-70867728950e", "1a2b3c4d5e6f7a8b", "k-one"] {
            assert_eq!(KeyId::try_from(id).unwrap().as_str(), id);
        }
        for id in ["", "a:b", "a b", "a\n", &"x".repeat(65)] {
            assert!(KeyId::try_from(id).is_err(), "{id:?}");
        }
    }

    #[test]
    fn request_ids_sort_by_time_and_read_back() {
        let early = RequestId::new(Timestamp::from_millis(1), u128::MAX);
        let late = RequestId::new(Timestamp::from_millis(2), 0);
        assert!(early < late);
        assert_eq!(late.arrived_at(), Timestamp::from_millis(2));
        assert_eq!(RequestId::try_from(early.to_string().as_str()), Ok(early));
        assert!(RequestId::try_from("req_+0000000000000000000000000000000").is_err());
    }

    #[test]
    fn a_digest_reads_back_and_never_prints() {
        let digest = KeyDigest::new([0xab; 32]);
        assert_eq!(KeyDigest::from_hex(&digest.to_hex()), Ok(digest));
        assert!(!format!("{digest:?}").contains("ab"));
        assert!(KeyDigest::from_hex("é".repeat(32).as_str()).is_err());
    }
}
