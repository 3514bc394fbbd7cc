//! What clocks show in the operator's time zone: a fixed offset from UTC, or a zone of the IANA database with
//! its daylight-saving time.
//!
//! Where clocks are set back, they show some times twice. A day begins once: the first time that a clock
//! shows its midnight. So the clock of a [`TimeZone`] never goes back behind a midnight that it has shown, and
//! a time that is shown twice means the first. A time that is left out, because clocks are set forward, means
//! the moment at which they are.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, TimeZone as _};
use chrono_tz::{OffsetComponents as _, Tz};

use crate::Timestamp;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const DAY: i64 = 24 * 60 * MINUTE;

/// What clocks show somewhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TimeZone {
    /// So many minutes ahead of UTC, all the year.
    Fixed { minutes: i32 },
    /// As the zone's law says. The rules are part of the program.
    Named(Tz),
}

impl TimeZone {
    /// The zone of this name in the IANA database, such as `Europe/Berlin`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        name.parse().ok().map(Self::Named)
    }

    /// Its name, if it has one.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Fixed { .. } => None,
            Self::Named(zone) => Some(zone.name()),
        }
    }

    /// How far it is ahead of UTC, at the beginning of 2026 and without daylight-saving time.
    pub(crate) fn standard_offset_minutes(self) -> i32 {
        match self {
            Self::Fixed { minutes } => minutes,
            Self::Named(zone) => {
                let offset = zone.offset_from_utc_datetime(&local_time(1_767_225_600_000));
                i32::try_from(offset.base_utc_offset().num_minutes()).unwrap_or(0)
            }
        }
    }

    /// What a clock shows at `moment`, as milliseconds since it showed the start of 1970.
    pub(crate) fn local_millis(self, moment: Timestamp) -> i64 {
        let utc = i64::try_from(moment.as_millis()).unwrap_or(i64::MAX);
        match self {
            Self::Fixed { minutes } => utc.saturating_add(i64::from(minutes) * MINUTE),
            Self::Named(zone) => {
                let local = utc.saturating_add(offset_at(zone, utc));
                let midnight = local.saturating_sub(local.rem_euclid(DAY)).saturating_add(DAY);
                if first_shown(zone, midnight) <= utc { midnight } else { local }
            }
        }
    }

    /// The first moment at which a clock shows `local`, or something later; not before 1970 in UTC.
    pub(crate) fn moment_at_local(self, local: i64) -> Timestamp {
        let utc = match self {
            Self::Fixed { minutes } => local.saturating_sub(i64::from(minutes) * MINUTE),
            Self::Named(zone) => first_shown(zone, local),
        };
        Timestamp::from_millis(u64::try_from(utc).unwrap_or(0))
    }
}

/// How far `zone` is ahead of UTC at `utc`.
fn offset_at(zone: Tz, utc: i64) -> i64 {
    millis(&zone.offset_from_utc_datetime(&local_time(utc)))
}

fn millis(offset: &impl chrono::Offset) -> i64 {
    i64::from(offset.fix().local_minus_utc()) * SECOND
}

/// The first moment at which a clock in `zone` shows `local`, or something later.
fn first_shown(zone: Tz, local: i64) -> i64 {
    match zone.offset_from_local_datetime(&local_time(local)) {
        MappedLocalTime::Single(offset) => local.saturating_sub(millis(&offset)),
        MappedLocalTime::Ambiguous(one, other) => {
            local.saturating_sub(millis(&one).max(millis(&other)))
        }
        MappedLocalTime::None => {
            // Between what it would be by the offset before and by the one after.
            let after = offset_at(zone, local.saturating_add(DAY));
            let before = offset_at(zone, local.saturating_sub(DAY));
            let (mut low, mut high) = (local.saturating_sub(after), local.saturating_sub(before));
            while SECOND < high - low {
                let middle = (low + (high - low) / 2).div_euclid(SECOND) * SECOND;
                let middle = middle.max(low + SECOND);
                if offset_at(zone, middle) == before { low = middle } else { high = middle }
            }
            high.div_euclid(SECOND) * SECOND
        }
    }
}

/// A time of the clock from its milliseconds. Beyond the year 262,000 it stands still.
pub(crate) fn local_time(millis: i64) -> NaiveDateTime {
    DateTime::from_timestamp_millis(millis).unwrap_or(DateTime::<chrono::Utc>::MAX_UTC).naive_utc()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moment(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    fn shown(zone: TimeZone, at: &str) -> String {
        local_time(zone.local_millis(moment(at))).format("%Y-%m-%dT%H:%M:%S").to_string()
    }

    #[test]
    fn clocks_show_what_the_law_says() {
        let cases = [
            ("Europe/Berlin", "2026-03-29T00:59:59Z", "2026-03-29T01:59:59"),
            ("Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29T03:00:00"),
            ("Europe/Berlin", "2026-10-25T00:59:59Z", "2026-10-25T02:59:59"),
            ("Europe/Berlin", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00"),
            ("America/New_York", "2026-07-01T12:00:00Z", "2026-07-01T08:00:00"),
            ("Asia/Kathmandu", "2026-07-01T00:00:00Z", "2026-07-01T05:45:00"),
            // Clocks go from midnight back to eleven, and the day that had begun goes on.
            ("Africa/Cairo", "2026-10-29T20:30:00Z", "2026-10-29T23:30:00"),
            ("Africa/Cairo", "2026-10-29T21:30:00Z", "2026-10-29T23:30:00"),
            ("Africa/Cairo", "2026-10-29T22:00:00Z", "2026-10-30T00:00:00"),
            // A minute after midnight they went back over it.
            ("America/St_Johns", "2010-11-07T02:30:30Z", "2010-11-07T00:00:30"),
            ("America/St_Johns", "2010-11-07T02:45:00Z", "2010-11-07T00:00:00"),
            ("America/St_Johns", "2010-11-07T04:00:00Z", "2010-11-07T00:30:00"),
        ];
        for (name, at, expected) in cases {
            let zone = TimeZone::named(name).unwrap();
            assert_eq!(shown(zone, at), expected, "{name} at {at}");
            assert_eq!(zone.name(), Some(name));
        }
        for name in ["", "Berlin", "Europe/Bielefeld", "../etc/passwd"] {
            assert_eq!(TimeZone::named(name), None, "{name}");
        }
    }

    #[test]
    fn a_time_that_is_shown_twice_is_the_first_and_one_left_out_is_the_change() {
        let cases = [
            ("Europe/Berlin", "2026-10-25T02:30:00Z", "2026-10-25T00:30:00Z"),
            ("Europe/Berlin", "2026-03-29T02:30:00Z", "2026-03-29T01:00:00Z"),
            ("America/Havana", "2026-11-01T00:00:00Z", "2026-11-01T04:00:00Z"),
            // Midnight does not exist on that day.
            ("Africa/Cairo", "2026-04-24T00:00:00Z", "2026-04-23T22:00:00Z"),
            // Nor does the whole day.
            ("Pacific/Apia", "2011-12-30T00:00:00Z", "2011-12-30T10:00:00Z"),
            ("Pacific/Apia", "2011-12-30T18:00:00Z", "2011-12-30T10:00:00Z"),
        ];
        for (name, local, expected) in cases {
            let zone = TimeZone::named(name).unwrap();
            let local = i64::try_from(moment(local).as_millis()).unwrap();
            assert_eq!(zone.moment_at_local(local), moment(expected), "{name} {local}");
        }
    }

    #[test]
    fn standard_offsets_know_no_summer() {
        for (name, minutes) in [("Europe/Berlin", 60), ("Australia/Sydney", 600), ("UTC", 0)] {
            assert_eq!(TimeZone::named(name).unwrap().standard_offset_minutes(), minutes, "{name}");
        }
    }

    fn zones() -> impl Strategy<Value = TimeZone> {
        let named = (0..chrono_tz::TZ_VARIANTS.len())
            .prop_map(|index| TimeZone::Named(chrono_tz::TZ_VARIANTS[index]));
        prop_oneof![named, (-720_i32..=840).prop_map(|minutes| TimeZone::Fixed { minutes })]
    }

    proptest! {
        /// Days follow one another without a gap, and the clock shows a day from its beginning to its end.
        #[test]
        fn days_begin_once(zone in zones(), millis in 86_400_000_u64 * 2..4_000_000_000_000) {
            let now = Timestamp::from_millis(millis);
            let day = zone.local_millis(now).div_euclid(DAY);
            let (begin, end) = (zone.moment_at_local(day * DAY), zone.moment_at_local((day + 1) * DAY));
            prop_assert!(begin <= now && now < end, "{begin} {now} {end}");
            prop_assert_eq!(zone.local_millis(begin).div_euclid(DAY), day);
            let last = Timestamp::from_millis(end.as_millis() - 1);
            prop_assert_eq!(zone.local_millis(last).div_euclid(DAY), day);
        }
    }
}
