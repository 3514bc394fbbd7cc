//! The days, weeks and months that limits count in: they may begin at another time than the calendar's.

use std::fmt;

use chrono::{Datelike as _, Months};

use crate::time_zone::local_time;
use crate::{Calendar, LimitKind, Period, PeriodKind, PeriodStarts, Timestamp};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;
/// 1970 began on a Thursday: the Monday before it, in days.
const A_MONDAY: i64 = -3;

/// The kinds of period that a budget is for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum LimitPeriodKind {
    /// A day that begins at [`PeriodStarts::day_minute`].
    Day,
    /// A week that begins at [`PeriodStarts::week_day`] and [`PeriodStarts::week_hour`].
    Week,
    /// A calendar month.
    Month,
    /// All time.
    Total,
}

/// One period of a budget.
///
/// Prints as v1 names it: `2025-07-30`, the week `2025-07-28T00`, `2025-07`, and nothing for the total. A day
/// that does not begin at midnight, which v1 had no name for, is `2025-07-30T0830`. Within a kind the name
/// says when the period begins, so periods of other starts are told apart by it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct LimitPeriod {
    /// Its kind.
    pub kind: LimitPeriodKind,
    /// Its first moment.
    pub starts_at: Timestamp,
    /// The first moment after it: when the budget starts anew. `None`: never.
    pub ends_at: Option<Timestamp>,
    /// Its first moment in the operator's calendar, as milliseconds since 1970 there.
    local_start: i64,
}

impl LimitPeriod {
    /// Whether `moment` lies in it.
    pub fn contains(&self, moment: Timestamp) -> bool {
        self.starts_at <= moment && self.ends_at.is_none_or(|end| moment < end)
    }
}

impl LimitPeriod {
    /// Whether clocks show a full hour when it begins.
    pub fn begins_on_the_hour(&self) -> bool {
        self.local_start.rem_euclid(HOUR) == 0
    }
}

impl LimitKind {
    /// The period that the limit counts in, if it is one of the calendar.
    pub fn period(self) -> Option<LimitPeriodKind> {
        match self {
            Self::Concurrency | Self::WindowRequests | Self::WindowTokens | Self::WindowCost => {
                None
            }
            Self::DailyCost => Some(LimitPeriodKind::Day),
            Self::WeeklyCost | Self::WeeklyClaudeCost => Some(LimitPeriodKind::Week),
            Self::MonthlyCost => Some(LimitPeriodKind::Month),
            Self::TotalCost => Some(LimitPeriodKind::Total),
        }
    }
}

impl Calendar {
    /// The period of a budget in which `moment` lies.
    #[must_use]
    pub fn limit_period(
        self,
        kind: LimitPeriodKind,
        starts: PeriodStarts,
        moment: Timestamp,
    ) -> LimitPeriod {
        let local = self.local_millis(moment);
        let (start, end) = match kind {
            LimitPeriodKind::Day => {
                self.every(DAY, i64::from(starts.day_minute) * MINUTE, local, moment)
            }
            LimitPeriodKind::Week => {
                let monday_to_start = i64::from(starts.week_day) - 1;
                let phase = (A_MONDAY + monday_to_start) * DAY + i64::from(starts.week_hour) * HOUR;
                self.every(WEEK, phase, local, moment)
            }
            LimitPeriodKind::Month => self.month(moment),
            LimitPeriodKind::Total => (self.local_millis(Timestamp::EPOCH), None),
        };
        LimitPeriod {
            kind,
            starts_at: self.moment_at_local(start),
            ends_at: end.map(|end| self.moment_at_local(end)),
            local_start: start,
        }
    }

    /// What usage is counted by from `from` on: the hours up to the next midnight, the one in which `from`
    /// lies among them, and then the days; of both those that begin before `until`.
    #[must_use]
    pub fn hours_then_days(self, from: Timestamp, until: Timestamp) -> Vec<Period> {
        let mut parts = Vec::new();
        let local = self.local_millis(from);
        let mut local = local - local.rem_euclid(HOUR);
        // An hour that has begun before `from` begins with it.
        let mut moment = from;
        while moment < until {
            let is_midnight = local.rem_euclid(DAY) == 0;
            let (kind, length) =
                if is_midnight { (PeriodKind::Day, DAY) } else { (PeriodKind::Hour, HOUR) };
            let part = self.period(kind, moment);
            // An hour that clocks leave out is the one after it.
            if parts.last() != Some(&part) {
                parts.push(part);
            }
            local += length;
            moment = self.moment_at_local(local);
        }
        parts
    }

    /// The period of this length around `moment`, when clocks show `local`, if one begins at `phase`.
    fn every(self, length: i64, phase: i64, local: i64, moment: Timestamp) -> (i64, Option<i64>) {
        let start = local.saturating_sub(phase).div_euclid(length) * length + phase;
        let end = start.checked_add(length);
        match end {
            // Clocks were set back behind it: it has begun, and does not begin again.
            Some(next) if self.moment_at_local(next) <= moment => (next, next.checked_add(length)),
            _ => (start, end),
        }
    }

    /// The beginning of the month of `moment`, and that of the next.
    fn month(self, moment: Timestamp) -> (i64, Option<i64>) {
        let first = self.local(moment).date();
        let first = first.with_day(1).unwrap_or(first);
        let millis = |date: chrono::NaiveDate| {
            date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis()
        };
        (millis(first), first.checked_add_months(Months::new(1)).map(millis))
    }
}

impl fmt::Display for LimitPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match self.kind {
            LimitPeriodKind::Total => return Ok(()),
            LimitPeriodKind::Month => "%Y-%m",
            LimitPeriodKind::Day if self.local_start.rem_euclid(DAY) == 0 => "%Y-%m-%d",
            LimitPeriodKind::Day => "%Y-%m-%dT%H%M",
            LimitPeriodKind::Week => "%Y-%m-%dT%H",
        };
        write!(f, "{}", local_time(self.local_start).format(form))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moment(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    /// Zones whose clocks are set by an hour or half of one, at night, at midnight, or a minute later, and one
    /// that has left out a day.
    const ZONES: &[&str] = &[
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Africa/Cairo",
        "America/Havana",
        "America/St_Johns",
        "Africa/Casablanca",
        "Pacific/Apia",
    ];

    fn week(day: u8, hour: u8) -> PeriodStarts {
        PeriodStarts { week_day: day, week_hour: hour, ..PeriodStarts::default() }
    }

    /// The rows of v1's table: what it makes of these moments, eight hours ahead of UTC.
    #[test]
    fn weeks_are_named_as_v1_names_them_and_end_when_v1_resets_them() {
        let calendar = Calendar::with_offset_minutes(480).unwrap();
        let starts = [week(1, 0), week(3, 10), week(7, 23)];
        let cases = [
            (
                "2025-07-30T01:00:00.000Z",
                ["2025-07-28T00", "2025-07-23T10", "2025-07-27T23"],
                [
                    "2025-08-03T16:00:00.000Z",
                    "2025-07-30T02:00:00.000Z",
                    "2025-08-03T15:00:00.000Z",
                ],
            ),
            (
                "2025-12-31T15:59:59.999Z",
                ["2025-12-29T00", "2025-12-31T10", "2025-12-28T23"],
                [
                    "2026-01-04T16:00:00.000Z",
                    "2026-01-07T02:00:00.000Z",
                    "2026-01-04T15:00:00.000Z",
                ],
            ),
            (
                "2025-12-31T16:00:00.000Z",
                ["2025-12-29T00", "2025-12-31T10", "2025-12-28T23"],
                [
                    "2026-01-04T16:00:00.000Z",
                    "2026-01-07T02:00:00.000Z",
                    "2026-01-04T15:00:00.000Z",
                ],
            ),
            (
                "2024-12-30T00:00:00.000Z",
                ["2024-12-30T00", "2024-12-25T10", "2024-12-29T23"],
                [
                    "2025-01-05T16:00:00.000Z",
                    "2025-01-01T02:00:00.000Z",
                    "2025-01-05T15:00:00.000Z",
                ],
            ),
            (
                "2027-01-01T00:00:00.000Z",
                ["2026-12-28T00", "2026-12-30T10", "2026-12-27T23"],
                [
                    "2027-01-03T16:00:00.000Z",
                    "2027-01-06T02:00:00.000Z",
                    "2027-01-03T15:00:00.000Z",
                ],
            ),
            (
                "2026-11-22T15:59:59.000Z",
                ["2026-11-16T00", "2026-11-18T10", "2026-11-22T23"],
                [
                    "2026-11-22T16:00:00.000Z",
                    "2026-11-25T02:00:00.000Z",
                    "2026-11-29T15:00:00.000Z",
                ],
            ),
            (
                "2026-11-22T16:00:00.000Z",
                ["2026-11-23T00", "2026-11-18T10", "2026-11-22T23"],
                [
                    "2026-11-29T16:00:00.000Z",
                    "2026-11-25T02:00:00.000Z",
                    "2026-11-29T15:00:00.000Z",
                ],
            ),
        ];
        for (now, names, resets) in cases {
            for ((starts, name), reset) in starts.into_iter().zip(names).zip(resets) {
                let period = calendar.limit_period(LimitPeriodKind::Week, starts, moment(now));
                assert_eq!(period.to_string(), name, "{now} with {starts:?}");
                assert_eq!(period.ends_at, Some(moment(reset)), "{now} with {starts:?}");
            }
        }
    }

    #[test]
    fn days_begin_where_they_are_told_to() {
        let calendar = Calendar::with_offset_minutes(480).unwrap();
        let half_past_eight = PeriodStarts { day_minute: 8 * 60 + 30, ..PeriodStarts::default() };
        let cases = [
            (
                PeriodStarts::default(),
                "2025-12-31T15:59:59.999Z",
                "2025-12-31",
                "2025-12-31T16:00:00Z",
            ),
            (
                PeriodStarts::default(),
                "2025-12-31T16:00:00.000Z",
                "2026-01-01",
                "2026-01-01T16:00:00Z",
            ),
            (
                half_past_eight,
                "2026-01-01T00:29:59.999Z",
                "2025-12-31T0830",
                "2026-01-01T00:30:00Z",
            ),
            (
                half_past_eight,
                "2026-01-01T00:30:00.000Z",
                "2026-01-01T0830",
                "2026-01-02T00:30:00Z",
            ),
        ];
        for (starts, now, name, end) in cases {
            let period = calendar.limit_period(LimitPeriodKind::Day, starts, moment(now));
            assert_eq!(period.to_string(), name, "{now}");
            assert_eq!(period.ends_at, Some(moment(end)), "{now}");
        }
    }

    #[test]
    fn days_of_a_zone_are_as_long_as_its_clocks_make_them() {
        let berlin = Calendar::of_zone("Europe/Berlin").unwrap();
        let day =
            |now| berlin.limit_period(LimitPeriodKind::Day, PeriodStarts::default(), moment(now));
        for (now, name, from, until) in [
            ("2026-03-28T22:59:59Z", "2026-03-28", "2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z"),
            ("2026-03-29T12:00:00Z", "2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
            ("2026-10-25T00:30:00Z", "2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
            ("2026-10-25T01:30:00Z", "2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
            ("2026-10-25T23:00:00Z", "2026-10-26", "2026-10-25T23:00:00Z", "2026-10-26T23:00:00Z"),
        ] {
            let period = day(now);
            assert_eq!(period.to_string(), name, "{now}");
            assert_eq!((period.starts_at, period.ends_at), (moment(from), Some(moment(until))));
            assert_eq!(berlin.period(PeriodKind::Day, moment(now)).to_string(), name);
        }
        // A week that begins within the hour that is shown twice begins the first time.
        let starts = PeriodStarts { day_minute: 150, ..week(7, 2) };
        let weekly = |now| berlin.limit_period(LimitPeriodKind::Week, starts, moment(now));
        assert_eq!(weekly("2026-10-25T00:00:00Z").starts_at, moment("2026-10-25T00:00:00Z"));
        let daily = |now| berlin.limit_period(LimitPeriodKind::Day, starts, moment(now));
        for now in ["2026-10-25T00:30:00Z", "2026-10-25T01:15:00Z", "2026-10-25T01:45:00Z"] {
            assert_eq!(daily(now).starts_at, moment("2026-10-25T00:30:00Z"), "{now}");
        }
        let month =
            berlin.limit_period(LimitPeriodKind::Month, starts, moment("2026-10-31T23:30:00Z"));
        assert_eq!(month.to_string(), "2026-11");
        assert_eq!(month.ends_at, Some(moment("2026-11-30T23:00:00Z")));
    }

    #[test]
    fn what_a_period_is_counted_by_has_every_hour_and_day_once() {
        let berlin = Calendar::of_zone("Europe/Berlin").unwrap();
        let cases = [
            // Clocks are set forward: there is no hour 02.
            ("2026-03-29T00:00:00Z", "2026-03-29T03:00:00Z", "29:01 29:03 29:04"),
            // They are set back: there are two of it, counted as one.
            ("2026-10-25T00:30:00Z", "2026-10-25T03:30:00Z", "25:02 25:03 25:04"),
            ("2026-10-25T21:00:00Z", "2026-10-27T10:00:00Z", "25:22 25:23 26 27"),
            ("2026-10-24T22:00:00Z", "2026-10-26T22:59:59Z", "25 26"),
            ("2026-03-28T23:00:00Z", "2026-03-30T21:59:59Z", "29 30"),
        ];
        for (from, until, expected) in cases {
            let parts = berlin.hours_then_days(moment(from), moment(until));
            let names: Vec<_> = parts.iter().map(|part| part.to_string()[8..].to_owned()).collect();
            assert_eq!(names.join(" "), expected, "from {from}");
        }
    }

    #[test]
    fn months_are_the_calendars_and_the_total_never_ends() {
        let calendar = Calendar::with_offset_minutes(480).unwrap();
        let starts = PeriodStarts { day_minute: 60, week_day: 3, week_hour: 10 };
        for (now, name, from, until) in [
            ("2025-12-31T15:59:59.999Z", "2025-12", "2025-11-30T16:00:00Z", "2025-12-31T16:00:00Z"),
            ("2025-12-31T16:00:00.000Z", "2026-01", "2025-12-31T16:00:00Z", "2026-01-31T16:00:00Z"),
            ("2028-02-29T00:00:00.000Z", "2028-02", "2028-01-31T16:00:00Z", "2028-02-29T16:00:00Z"),
        ] {
            let period = calendar.limit_period(LimitPeriodKind::Month, starts, moment(now));
            assert_eq!(period.to_string(), name, "{now}");
            assert_eq!(period.starts_at, moment(from), "{now}");
            assert_eq!(period.ends_at, Some(moment(until)), "{now}");
        }
        let total = calendar.limit_period(LimitPeriodKind::Total, starts, Timestamp::EPOCH);
        assert_eq!((total.to_string().as_str(), total.ends_at), ("", None));
        assert_eq!(total.starts_at, Timestamp::EPOCH);
    }

    #[test]
    fn a_day_without_an_offset_is_the_day_that_usage_is_counted_by() {
        for offset in [-720, -210, 0, 330, 840] {
            let calendar = Calendar::with_offset_minutes(offset).unwrap();
            for hours in 0..60 {
                let now = Timestamp::from_millis(1_771_000_000_000 + hours * 3_600_000);
                for (kind, counted) in [
                    (LimitPeriodKind::Day, PeriodKind::Day),
                    (LimitPeriodKind::Month, PeriodKind::Month),
                    (LimitPeriodKind::Total, PeriodKind::Total),
                ] {
                    let period = calendar.limit_period(kind, PeriodStarts::default(), now);
                    assert_eq!(period.to_string(), calendar.period(counted, now).to_string());
                }
            }
        }
    }

    proptest! {
        /// A period holds the moment it was made for, and so does no other: the next one begins where it
        /// ends, and both have names of their own.
        #[test]
        fn periods_follow_one_another(
            millis in prop_oneof![86_400_000_u64 * 40..4_000_000_000_000, Just(u64::MAX)],
            offset in -720_i32..=840,
            zone in prop::option::of(prop::sample::select(ZONES)),
            day_minute in 0_u16..1440,
            week_day in 1_u8..=7,
            week_hour in 0_u8..24,
        ) {
            let calendar = match zone {
                Some(zone) => Calendar::of_zone(zone).unwrap(),
                None => Calendar::with_offset_minutes(offset).unwrap(),
            };
            let starts = PeriodStarts { day_minute, week_day, week_hour };
            let now = Timestamp::from_millis(millis);
            for kind in [LimitPeriodKind::Day, LimitPeriodKind::Week, LimitPeriodKind::Month] {
                let period = calendar.limit_period(kind, starts, now);
                prop_assert!(!period.to_string().is_empty());
                if millis == u64::MAX {
                    continue;
                }
                prop_assert!(period.contains(now));
                let end = period.ends_at.unwrap();
                prop_assert!(!period.contains(end));
                let next = calendar.limit_period(kind, starts, end);
                prop_assert_eq!(next.starts_at, end);
                prop_assert!(next.to_string() > period.to_string());
                let first = calendar.limit_period(kind, starts, period.starts_at);
                prop_assert_eq!(first, period);
            }
        }
    }
}
