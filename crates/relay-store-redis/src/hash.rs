//! A hash of Redis, read as v1 and v2 wrote it: everything is text, and what is empty is absent.

use std::collections::HashMap;

use redis::Value;
use relay_domain::{NanoUsd, Timestamp};
use relay_store::StoreError;

use crate::connection;
use crate::money;

/// The fields of a hash. Fields that hold an empty text count as absent: that is how v1 writes nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hash(HashMap<String, String>);

impl Hash {
    /// Reads the answer to HGETALL.
    pub(crate) fn from_value(value: Value) -> Result<Self, StoreError> {
        connection::read(value, "HGETALL").map(Self)
    }

    /// Whether there is no such hash.
    pub(crate) fn is_absent(&self) -> bool {
        self.0.is_empty()
    }

    /// A field as it is stored, empty or not.
    pub(crate) fn stored(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str)
    }

    /// A field that is not empty.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.stored(field).filter(|text| !text.is_empty())
    }

    /// A field, or an empty text.
    pub(crate) fn text_or_empty(&self, field: &str) -> String {
        self.stored(field).unwrap_or_default().to_owned()
    }

    /// Whether a field says `true`.
    pub(crate) fn is_true(&self, field: &str) -> bool {
        self.stored(field) == Some("true")
    }

    /// The whole number at the start of a field, as JavaScript's `parseInt` reads it.
    pub(crate) fn number(&self, field: &str) -> Option<u64> {
        let text = self.text(field)?.trim_start();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..digits].parse().ok()
    }

    /// A number that may be negative.
    pub(crate) fn signed(&self, field: &str) -> Option<i64> {
        self.text(field)?.parse().ok()
    }

    /// A moment; a day alone is its first moment, and what names no zone is in UTC.
    pub(crate) fn moment(&self, field: &str) -> Option<Timestamp> {
        let text = self.text(field)?.trim();
        let whole = || {
            let (day, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
            // Hours and minutes alone lack the seconds.
            let seconds = if time.len() == 5 { ":00" } else { "" };
            Timestamp::parse_rfc3339(&format!("{day}T{time}{seconds}Z"))
        };
        Timestamp::parse_rfc3339(text).or_else(whole)
    }

    /// An amount that is a limit: zero means none.
    pub(crate) fn limit(&self, field: &str) -> Option<NanoUsd> {
        money::parse(self.text(field)?).filter(|amount| *amount > NanoUsd::ZERO)
    }

    /// A JSON array of texts.
    pub(crate) fn list(&self, field: &str) -> Vec<String> {
        self.text(field).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
}

impl FromIterator<(&'static str, String)> for Hash {
    fn from_iter<I: IntoIterator<Item = (&'static str, String)>>(fields: I) -> Self {
        Self(fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect())
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Hash {
    fn from(fields: [(&str, &str); N]) -> Self {
        Self(fields.map(|(field, value)| (field.to_owned(), value.to_owned())).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_javascript_reads_them() {
        let cases =
            [("1.9", Some(1)), ("60", Some(60)), ("12px", Some(12)), ("", None), ("x", None)];
        for (text, number) in cases {
            assert_eq!(Hash::from([("n", text)]).number("n"), number, "{text:?}");
        }
    }
}
