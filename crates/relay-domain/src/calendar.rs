//! Days, months and hours in the operator's time zone, named as v1 and v2 name them.

use std::fmt;

use chrono::{Datelike as _, NaiveDateTime, Timelike as _};

use crate::Timestamp;
use crate::time_zone::{TimeZone, local_time};

/// The operator's calendar: a fixed offset from UTC, as v1's and v2's `TIMEZONE_OFFSET`, or the zone of a
/// place, with its daylight-saving time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Calendar {
    zone: TimeZone,
}

/// The kinds of period over which usage is counted.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum PeriodKind {
    /// Since the beginning.
    Total,
    /// A calendar month.
    Month,
    /// A calendar day.
    Day,
    /// An hour of a day.
    Hour,
}

impl PeriodKind {
    /// Every kind, the longest first.
    pub const ALL: [Self; 4] = [Self::Total, Self::Month, Self::Day, Self::Hour];
}

/// One period of the operator's calendar. Prints as v1 names it: empty for the total, `2025-07`,
/// `2025-07-30`, `2025-07-30:09`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Period {
    /// Since the beginning.
    Total,
    /// A calendar month.
    Month {
        /// The year.
        year: i32,
        /// 1 to 12.
        month: u8,
    },
    /// A calendar day.
    Day {
        /// The year.
        year: i32,
        /// 1 to 12.
        month: u8,
        /// 1 to 31.
        day: u8,
    },
    /// An hour of a day.
    Hour {
        /// The year.
        year: i32,
        /// 1 to 12.
        month: u8,
        /// 1 to 31.
        day: u8,
        /// 0 to 23.
        hour: u8,
    },
}

impl Calendar {
    /// Coordinated universal time.
    pub const UTC: Self = Self { zone: TimeZone::Fixed { minutes: 0 } };

    /// A calendar `minutes` ahead of UTC, or `None` outside of -12 to +14 hours.
    #[must_use]
    pub fn with_offset_minutes(minutes: i32) -> Option<Self> {
        let zone = TimeZone::Fixed { minutes };
        (-12 * 60..=14 * 60).contains(&minutes).then_some(Self { zone })
    }

    /// The calendar of a place by its name in the IANA database, such as `Europe/Berlin`; `None` if there is
    /// no such place.
    #[must_use]
    pub fn of_zone(name: &str) -> Option<Self> {
        TimeZone::named(name).map(|zone| Self { zone })
    }

    /// The name of its place, if it is that of one.
    pub fn zone(self) -> Option<&'static str> {
        self.zone.name()
    }

    /// How far it is ahead of UTC when no clock is set to daylight-saving time.
    pub fn standard_offset_minutes(self) -> i32 {
        self.zone.standard_offset_minutes()
    }

    /// The period of the given kind in which `moment` lies.
    #[must_use]
    pub fn period(self, kind: PeriodKind, moment: Timestamp) -> Period {
        let local = self.local(moment);
        let (year, month, day) = (local.year(), small(local.month()), small(local.day()));
        match kind {
            PeriodKind::Total => Period::Total,
            PeriodKind::Month => Period::Month { year, month },
            PeriodKind::Day => Period::Day { year, month, day },
            PeriodKind::Hour => Period::Hour { year, month, day, hour: small(local.hour()) },
        }
    }

    /// The four periods in which `moment` lies: total, month, day, hour.
    #[must_use]
    pub fn periods(self, moment: Timestamp) -> [Period; 4] {
        PeriodKind::ALL.map(|kind| self.period(kind, moment))
    }

    /// The time that a clock of this calendar shows.
    pub(crate) fn local(self, moment: Timestamp) -> NaiveDateTime {
        local_time(self.local_millis(moment))
    }

    /// The same, as milliseconds since that clock showed the start of 1970. Where clocks are set back it may
    /// show the same again, but never a day that is over.
    pub fn local_millis(self, moment: Timestamp) -> i64 {
        self.zone.local_millis(moment)
    }

    /// The first moment at which a clock of this calendar shows `local`, or more where clocks leave that out;
    /// not before 1970 in UTC.
    pub fn moment_at_local(self, local: i64) -> Timestamp {
        self.zone.moment_at_local(local)
    }
}

fn small(part: u32) -> u8 {
    // Months, days and hours are below 60.
    u8::try_from(part).unwrap_or(u8::MAX)
}

impl Period {
    /// The kind of this period.
    pub fn kind(self) -> PeriodKind {
        match self {
            Self::Total => PeriodKind::Total,
            Self::Month { .. } => PeriodKind::Month,
            Self::Day { .. } => PeriodKind::Day,
            Self::Hour { .. } => PeriodKind::Hour,
        }
    }

    /// Reads what [`Display`](fmt::Display) prints, an empty text for the total.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = |at: std::ops::Range<usize>| {
            let digits = text.get(at).filter(|part| part.bytes().all(|b| b.is_ascii_digit()))?;
            digits.parse::<i32>().ok()
        };
        let part = |at: usize| u8::try_from(number(at..at + 2)?).ok();
        let whole = match text.len() {
            0 => Self::Total,
            7 => Self::Month { year: number(0..4)?, month: part(5)? },
            10 => Self::Day { year: number(0..4)?, month: part(5)?, day: part(8)? },
            13 => {
                Self::Hour { year: number(0..4)?, month: part(5)?, day: part(8)?, hour: part(11)? }
            }
            _ => return None,
        };
        (whole.to_string() == text).then_some(whole)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Total => Ok(()),
            Self::Month { year, month } => write!(f, "{year:04}-{month:02}"),
            Self::Day { year, month, day } => write!(f, "{year:04}-{month:02}-{day:02}"),
            Self::Hour { year, month, day, hour } => {
                write!(f, "{year:04}-{month:02}-{day:02}:{hour:02}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_named_as_the_contract_names_them() {
        // What v1 and v2 made of these moments, eight hours ahead of UTC.
        let calendar = Calendar::with_offset_minutes(480).unwrap();
        let cases = [
            ("2025-07-30T01:00:00.000Z", "2025-07-30", "2025-07-30:09", "2025-07"),
            ("2025-12-31T15:59:59.999Z", "2025-12-31", "2025-12-31:23", "2025-12"),
            ("2025-12-31T16:00:00.000Z", "2026-01-01", "2026-01-01:00", "2026-01"),
            ("2026-11-22T16:00:00.000Z", "2026-11-23", "2026-11-23:00", "2026-11"),
        ];
        for (moment, day, hour, month) in cases {
            let moment = Timestamp::parse_rfc3339(moment).unwrap();
            let names = calendar.periods(moment).map(|period| period.to_string());
            assert_eq!(names, ["", month, day, hour], "{moment}");
        }
    }

    #[test]
    fn what_a_period_prints_is_read() {
        let texts = ["", "2025-07", "2025-07-30", "2025-07-30:09"];
        for text in texts {
            assert_eq!(Period::parse(text).map(|period| period.to_string()).as_deref(), Some(text));
        }
        for text in
            ["2025", "2025-7", "2025/07", "2025-07-30 09", "2025-07-30:9", "x025-07", "é25-07"]
        {
            assert_eq!(Period::parse(text), None, "{text}");
        }
    }

    #[test]
    fn half_hours_and_the_end_of_time() {
        let india = Calendar::with_offset_minutes(330).unwrap();
        let moment = Timestamp::parse_rfc3339("2026-01-01T18:30:00.000Z").unwrap();
        assert_eq!(india.period(PeriodKind::Hour, moment).to_string(), "2026-01-02:00");
        assert_eq!(Calendar::with_offset_minutes(15 * 60), None);
        assert!(
            !Calendar::UTC
                .period(PeriodKind::Day, Timestamp::from_millis(u64::MAX))
                .to_string()
                .is_empty()
        );
    }
}
