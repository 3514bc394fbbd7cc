//! Fields of a change that tell `null` from nothing: `null` takes a value away, nothing leaves it.

#![expect(clippy::option_option, reason = "left out, null and a value are three things")]

use serde::{Deserialize, Deserializer};

/// Reads a field that is there, be it `null`. To be used with `default`, which is what is not there.
pub(super) fn nullable<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}
