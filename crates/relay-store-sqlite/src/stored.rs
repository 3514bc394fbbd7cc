//! The forms in which the file keeps what the domain knows.
//!
//! They are of their own, so that the domain can change without changing what is stored. Fields may be
//! added with a default; a reader of an older version passes over them. A golden test per form says when
//! one has changed by mistake.

mod account;
mod hold;
mod key;

use relay_domain::{Outcome, Timestamp};

pub(crate) use account::{AccountColumns, HealthForm, SettingsForm};
pub(crate) use hold::HoldForm;
pub(crate) use key::{KeyColumns, KeyForm};

/// A moment as a column has it: milliseconds since 1970.
pub(crate) fn millis(moment: Timestamp) -> i64 {
    i64::try_from(moment.as_millis()).unwrap_or(i64::MAX)
}

/// An outcome as a column has it: as it stands in the record.
pub(crate) fn outcome_name(outcome: Outcome) -> Result<String, serde_json::Error> {
    serde_json::to_string(&outcome).map(|json| json.trim_matches('"').to_owned())
}

/// A number as a column has it.
pub(crate) fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The number of a column.
pub(crate) fn number(column: i64) -> u64 {
    u64::try_from(column).unwrap_or(0)
}

/// The moment of a column.
pub(crate) fn moment(millis: i64) -> Timestamp {
    Timestamp::from_millis(u64::try_from(millis).unwrap_or(0))
}
