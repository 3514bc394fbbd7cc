//! `[store]`: where things are kept, and by whose calendar they are counted.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use relay_domain::Calendar;
use serde::{Deserialize, Deserializer};

use super::Objections;
use super::compat::Compat;
use super::seal::SealChoice;

/// Where things are kept, and by whose calendar they are counted.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StoreSection {
    /// `None`: Redis if one is named, otherwise the embedded store.
    pub(crate) kind: Option<StoreKind>,
    /// The embedded store, and the secrets that Relay generates for itself.
    pub(crate) data_dir: PathBuf,
    /// How many records of requests are kept.
    records: u64,
    /// For how many days at most.
    record_days: u64,
    /// The form of secrets in Redis. The embedded store knows one alone.
    pub(crate) seal: SealChoice,
    /// Whether to begin anew where the Redis of this installation is found empty.
    pub(crate) accept_empty: bool,
    /// The calendar of a fixed offset from UTC.
    #[serde(rename = "timezone_offset", deserialize_with = "calendar")]
    pub(crate) offset: Calendar,
    /// That of a place, which holds if it is given.
    #[serde(deserialize_with = "zone")]
    pub(crate) timezone: Option<Calendar>,
    /// Whose data is taken over, and whose defaults therefore hold.
    pub(super) compat: Option<Compat>,
}

/// What kind of store.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StoreKind {
    /// The embedded one.
    Sqlite,
    /// Redis, in v1's layout.
    Redis,
}

impl StoreKind {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Redis => "redis",
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Default for StoreSection {
    fn default() -> Self {
        // The offset of v1 and v2 when none is given.
        let offset = Calendar::with_offset_minutes(8 * 60).unwrap_or(Calendar::UTC);
        Self {
            kind: None,
            data_dir: PathBuf::from("./data"),
            records: 100_000,
            record_days: 30,
            seal: SealChoice::default(),
            accept_empty: false,
            offset,
            timezone: None,
            compat: None,
        }
    }
}

impl StoreSection {
    pub(super) fn validate(&self, objections: &mut Objections) {
        objections.within("store.records", self.records, 1..=100_000_000);
        objections.within("store.record_days", self.record_days, 1..=3_650);
    }

    /// Counts days as the predecessor did whose data is taken over.
    pub(super) fn count_as_before(&mut self) {
        self.offset = self.compat.map_or(self.offset, |compat| compat.calendar(self.offset));
    }

    /// By which calendar days, weeks and months are counted.
    pub(crate) fn calendar(&self) -> Calendar {
        self.timezone.unwrap_or(self.offset)
    }

    /// How many records of requests are kept.
    pub(crate) fn records(&self) -> usize {
        usize::try_from(self.records).unwrap_or(usize::MAX)
    }

    /// How long records of requests are kept at most.
    pub(crate) fn record_lifetime(&self) -> Duration {
        Duration::from_hours(24 * self.record_days)
    }
}

/// Hours ahead of UTC, halves and quarters allowed. Zero means zero; v1 and v2 took it for eight.
fn calendar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Calendar, D::Error> {
    let hours = f64::deserialize(deserializer)?;
    let same = |minutes: &i32| (f64::from(*minutes) - hours * 60.0).abs() < 1e-6;
    let minutes = (-12 * 60..=14 * 60).find(same);
    minutes.and_then(Calendar::with_offset_minutes).ok_or_else(|| {
        serde::de::Error::custom("expected hours ahead of UTC from -12 to 14, such as 8 or 5.5")
    })
}

/// The name of a place in the IANA database.
fn zone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Calendar>, D::Error> {
    let name = String::deserialize(deserializer)?;
    let calendar = Calendar::of_zone(name.trim());
    calendar.map(Some).ok_or_else(|| {
        serde::de::Error::custom("expected a zone of the IANA database, such as Europe/Berlin")
    })
}
