//! Budgets by the clocks of a place, over the days on which those are set. For a store that is opened with the
//! calendar of this module; the suite's own has a fixed offset.

use relay_domain::{Calendar, LimitKind, Limits, PeriodStarts, Timestamp};

use super::spender::{Spender, Whose, limit};
use crate::Stores;

/// The calendar of a place with summer time.
pub fn calendar() -> Calendar {
    Calendar::of_zone("Europe/Berlin").unwrap()
}

fn moment(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

/// A day on which clocks are set: when somebody spends on it, the first of them before it begins, when it
/// begins and ends, and how many of them are in a week that begins on it at two.
struct Day {
    spent_at: [&'static str; 5],
    begins_at: &'static str,
    ends_at: &'static str,
    since_two: u64,
}

const DAYS: [Day; 2] = [
    // Of 23 hours: there is no two o'clock, so the week begins at three.
    Day {
        spent_at: [
            "2026-03-28T22:59:59Z",
            "2026-03-28T23:00:00Z",
            "2026-03-29T00:59:59Z",
            "2026-03-29T01:00:00Z",
            "2026-03-29T21:59:59Z",
        ],
        begins_at: "2026-03-28T23:00:00Z",
        ends_at: "2026-03-29T22:00:00Z",
        since_two: 2,
    },
    // Of 25 hours: it is half past two twice.
    Day {
        spent_at: [
            "2026-10-24T21:59:59Z",
            "2026-10-24T22:00:00Z",
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:30:00Z",
            "2026-10-25T22:59:59Z",
        ],
        begins_at: "2026-10-24T22:00:00Z",
        ends_at: "2026-10-25T23:00:00Z",
        since_two: 3,
    },
];

/// A day has as many hours as clocks make it, and everything spent in it counts once, also for a week that
/// begins within it.
pub async fn budgets_follow_the_clocks(stores: &Stores) {
    for whose in Whose::ALL {
        for day in &DAYS {
            let name = format!("clocks-{}", day.begins_at.replace(':', "-"));
            let daily = Spender::new(stores, whose, &name, limit(LimitKind::DailyCost, 100));
            for (number, spent_at) in (0..).zip(day.spent_at) {
                daily.enter(number, 1, moment(spent_at)).await.unwrap();
                daily.finish(number, 1, moment(spent_at)).await;
                let expected = if number == 0 { 1 } else { number };
                let used = daily.used_and_held(moment(spent_at)).await;
                assert_eq!(used, (expected, 0), "{spent_at} of {whose:?}");
                let ends_at = if number == 0 { day.begins_at } else { day.ends_at };
                let state = daily.standing(moment(spent_at)).await.remove(0);
                assert_eq!(state.resets_at, Some(moment(ends_at)), "{spent_at} of {whose:?}");
            }
            assert_eq!(daily.used_and_held(moment(day.ends_at)).await, (0, 0), "of {whose:?}");

            let starts = PeriodStarts { week_day: 7, week_hour: 2, ..PeriodStarts::default() };
            let limits = limit(LimitKind::WeeklyCost, 100);
            let weekly = daily.with(Limits { starts, ..limits });
            let used = weekly.used_and_held(moment(day.ends_at)).await;
            assert_eq!(used, (day.since_two, 0), "the week of {} of {whose:?}", day.begins_at);
        }
    }
}
