//! A moment, as a value.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment in UTC, in whole milliseconds since 1970. Read by a clock at the edge, passed inwards.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The start of 1970.
    pub const EPOCH: Self = Self(0);

    /// The moment `millis` milliseconds after the start of 1970.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the start of 1970.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The moment `wait` later, to the millisecond.
    #[must_use]
    pub fn plus(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Reads an RFC 3339 text, the form in which v1 and v2 store moments. `None` if it is not one
    /// or lies before 1970.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let parsed = chrono::DateTime::parse_from_rfc3339(text).ok()?;
        u64::try_from(parsed.timestamp_millis()).ok().map(Self)
    }

    /// Reads an HTTP date (`Tue, 14 Nov 2023 22:13:50 GMT`). `None` if it is not one or lies before
    /// 1970.
    #[must_use]
    pub fn parse_http_date(text: &str) -> Option<Self> {
        let parsed = chrono::DateTime::parse_from_rfc2822(text).ok()?;
        u64::try_from(parsed.timestamp_millis()).ok().map(Self)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with three digits of milliseconds and `Z`, as JavaScript's `toISOString` writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = i64::try_from(self.0).ok().and_then(chrono::DateTime::from_timestamp_millis);
        match moment {
            Some(moment) => {
                f.write_str(&moment.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
            }
            None => f.write_str("+292278994-08-17T07:12:55.807Z"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_javascript_does_and_reads_back() {
        let moment = Timestamp::from_millis(1_753_837_200_005);
        assert_eq!(moment.to_string(), "2025-07-30T01:00:00.005Z");
        assert_eq!(Timestamp::parse_rfc3339(&moment.to_string()), Some(moment));
        assert_eq!(Timestamp::parse_rfc3339("2025-07-30T09:00:00.005+08:00"), Some(moment));
        assert_eq!(Timestamp::parse_rfc3339("soon"), None);
        let whole = Timestamp::from_millis(1_753_837_200_000);
        assert_eq!(Timestamp::parse_http_date("Wed, 30 Jul 2025 01:00:00 GMT"), Some(whole));
        assert_eq!(Timestamp::parse_http_date("30"), None);
        assert!(!Timestamp::from_millis(u64::MAX).to_string().is_empty());
    }

    #[test]
    fn time_never_runs_backwards() {
        assert_eq!(Timestamp::EPOCH.since(Timestamp::from_millis(5)), Duration::ZERO);
        assert_eq!(Timestamp::from_millis(5).plus(Duration::MAX).as_millis(), u64::MAX);
    }
}
