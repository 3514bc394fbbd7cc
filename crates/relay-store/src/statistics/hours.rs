//! Hours of the operator's calendar as numbers, so that days and months can be walked by arithmetic.

use relay_domain::{Calendar, Period, PeriodKind, Timestamp};

const HOUR_MS: u64 = 3_600_000;

/// An hour of the operator's calendar, by how many hours of that calendar lie between it and the first of
/// 1970. Two hours that clocks show alike, because they are set back, are one; one that they leave out is
/// empty.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Hour(u32);

impl Hour {
    /// The first there is.
    pub const FIRST: Self = Self(0);

    /// The hour in which `moment` lies.
    #[must_use]
    pub fn of(calendar: Calendar, moment: Timestamp) -> Self {
        let local = u64::try_from(calendar.local_millis(moment)).unwrap_or(0);
        Self(u32::try_from(local / HOUR_MS).unwrap_or(u32::MAX))
    }

    /// The hour that is stored as `number`.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// When it begins.
    #[must_use]
    pub fn start(self, calendar: Calendar) -> Timestamp {
        let local = u64::from(self.0) * HOUR_MS;
        calendar.moment_at_local(i64::try_from(local).unwrap_or(i64::MAX))
    }

    /// The period of the given kind in which it lies.
    #[must_use]
    pub fn period(self, kind: PeriodKind) -> Period {
        Calendar::UTC.period(kind, self.local())
    }

    /// So many hours later.
    #[must_use]
    pub fn plus(self, hours: u32) -> Self {
        Self(self.0.saturating_add(hours))
    }

    /// So many days earlier.
    #[must_use]
    pub fn minus_days(self, days: u32) -> Self {
        Self(self.0.saturating_sub(days.saturating_mul(24)))
    }

    /// The first hour of its day.
    #[must_use]
    pub fn day(self) -> Self {
        Self(self.0 - self.0 % 24)
    }

    /// The first hour of the next day.
    #[must_use]
    pub fn next_day(self) -> Self {
        self.day().plus(24)
    }

    /// The first hour of its month.
    #[must_use]
    pub fn month(self) -> Self {
        let Period::Day { day, .. } = self.period(PeriodKind::Day) else { return self.day() };
        self.day().minus_days(u32::from(day).saturating_sub(1))
    }

    /// The first hour of the next month.
    #[must_use]
    pub fn next_month(self) -> Self {
        // Every month has fewer days than that, and no two have.
        self.month().plus(32 * 24).month()
    }

    /// The first hour of the month that lies so many months before its own.
    #[must_use]
    pub fn minus_months(self, months: u32) -> Self {
        (0..months).fold(self.month(), |month, _| Self(month.0.saturating_sub(1)).month())
    }

    fn local(self) -> Timestamp {
        Timestamp::from_millis(u64::from(self.0) * HOUR_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(text: &str, calendar: Calendar) -> Hour {
        Hour::of(calendar, Timestamp::parse_rfc3339(text).unwrap())
    }

    #[test]
    fn hours_are_those_of_the_calendar() {
        let fixed = [0, 480, 330, -210].map(Calendar::with_offset_minutes);
        let zones = ["Europe/Berlin", "Australia/Lord_Howe", "Africa/Cairo"].map(Calendar::of_zone);
        let texts = [
            "2024-02-28T23:59:59.999Z",
            "2024-12-31T16:00:00Z",
            "2026-11-23T05:30:00Z",
            "2026-03-29T00:59:59Z",
            "2026-03-29T01:00:00Z",
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:30:00Z",
            "2026-04-04T15:15:00Z",
            "2026-10-29T21:30:00Z",
        ];
        for calendar in fixed.into_iter().chain(zones).flatten() {
            for text in texts {
                let moment = Timestamp::parse_rfc3339(text).unwrap();
                let hour = Hour::of(calendar, moment);
                for kind in [PeriodKind::Hour, PeriodKind::Day, PeriodKind::Month] {
                    assert_eq!(hour.period(kind), calendar.period(kind, moment), "{text}");
                }
                assert!(hour.start(calendar) <= moment && moment < hour.plus(1).start(calendar));
            }
        }
    }

    #[test]
    fn days_and_months_begin_where_they_begin() {
        let at = |text| hour(text, Calendar::UTC);
        let moment = at("2024-02-29T13:00:00Z");
        assert_eq!(moment.day(), at("2024-02-29T00:00:00Z"));
        assert_eq!(moment.next_day(), at("2024-03-01T00:00:00Z"));
        assert_eq!(moment.month(), at("2024-02-01T00:00:00Z"));
        assert_eq!(moment.next_month(), at("2024-03-01T00:00:00Z"));
        assert_eq!(moment.minus_months(0), at("2024-02-01T00:00:00Z"));
        assert_eq!(moment.minus_months(3), at("2023-11-01T00:00:00Z"));
        assert_eq!(at("2023-12-31T23:00:00Z").next_month(), at("2024-01-01T00:00:00Z"));
        assert_eq!(Hour::FIRST.minus_months(5), Hour::FIRST);
    }
}
