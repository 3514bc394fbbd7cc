//! What every [`Ledger`](crate::Ledger) owes an account whose days are moved while one runs: its budget counts
//! what was spent since the day began as it is now, whatever runs meanwhile.

use std::time::Duration;

use relay_domain::{LimitKind, Limits, PeriodStarts, Timestamp};

use super::fixture::at;
use super::spender::{Spender, Whose, limit};
use crate::Stores;

/// So many minutes after midnight. The time of tests begins half an hour after it.
fn clock(hour: u64, minute: u64) -> Timestamp {
    at(0).plus(Duration::from_mins(hour * 60 + minute - 30))
}

/// A budget of a day that begins at this minute.
fn daily(allowed: u64, (hour, minute): (u16, u16)) -> Limits {
    let starts = PeriodStarts { day_minute: hour * 60 + minute, ..PeriodStarts::default() };
    Limits { starts, ..limit(LimitKind::DailyCost, allowed) }
}

async fn spend(spender: &Spender, number: u64, weight: u64, now: Timestamp) {
    spender.enter(number, weight, now).await.unwrap();
    spender.finish(number, weight, now).await;
}

/// On the hour or not, before and after what was spent, there and back: a day has what was spent since it
/// began, and lets in no more than that leaves.
pub async fn a_day_that_is_moved_has_what_was_spent_since_it_began(stores: &Stores) {
    let spender = Spender::new(stores, Whose::Account, "moved", daily(100, (0, 0)));
    let moved = |allowed, minute| spender.with(daily(allowed, minute));
    for (number, weight) in [(0, 1), (1, 2), (2, 4)] {
        spend(&spender, number, weight, clock(1 + 2 * number, 20)).await;
    }
    let days = |later: u64| {
        let of_the_day = [
            ((2, 37), 6),
            ((4, 10), 4),
            ((6, 37), 0),
            ((4, 11), 4),
            ((1, 10), 7),
            ((23, 50), 7),
            ((0, 1), 7),
            ((2, 0), 6),
            ((2, 37), 6),
            ((0, 0), 7),
        ];
        of_the_day.map(|(minute, spent)| (minute, spent + later))
    };
    for (number, (minute, spent)) in (40..).zip(days(0)) {
        let now = clock(6, 45);
        assert_eq!(moved(100, minute).used_and_held(now).await, (spent, 0), "since {minute:?}");
        let narrow = moved(spent + 1, minute);
        let denial = narrow.enter(number, 2, now).await.unwrap_err();
        assert_eq!(denial.resets_at, narrow.resets_at(LimitKind::DailyCost, now), "{minute:?}");
    }
    // What is spent from then on is in all of these days.
    let mut later = 0;
    for (number, (minute, _)) in (20..).zip(days(0)) {
        spend(&moved(100, minute), number, 3, clock(6, 50)).await;
        later += 3;
        for (minute, spent) in days(later) {
            let seen = moved(100, minute).used_and_held(clock(6, 51)).await;
            assert_eq!(seen, (spent, 0), "since {minute:?} after {number}");
        }
    }
    for (minute, _) in days(later) {
        let moved = moved(100, minute);
        let end = moved.resets_at(LimitKind::DailyCost, clock(6, 51)).unwrap();
        assert_eq!(moved.used_and_held(end).await, (0, 0), "after the day since {minute:?}");
    }
}

/// What runs while the day is moved counts in the day as it is when the request ends, whether anybody has
/// asked for that day before or not.
pub async fn what_runs_while_a_day_is_moved_counts(stores: &Stores) {
    let on_the_hour = daily(100, (0, 0));
    let odd = |minute| daily(100, (2, minute));
    let none = Limits::default();
    for (place, (before, after)) in [
        (none, odd(34)),
        (on_the_hour, odd(34)),
        (odd(37), odd(40)),
        (odd(40), odd(37)),
        (odd(37), on_the_hour),
    ]
    .into_iter()
    .enumerate()
    {
        for is_asked in [false, true] {
            let name = format!("runs-{place}-{is_asked}");
            let old = Spender::new(stores, Whose::Account, &name, before);
            for number in 0..4 {
                old.enter(number, 2, clock(3, number)).await.unwrap();
            }
            let new = old.with(after);
            if is_asked {
                assert_eq!(new.used_and_held(clock(3, 10)).await, (0, 8), "{name}");
            }
            // Some of them end by what they knew, and some by what is known now.
            old.finish(0, 1, clock(3, 11)).await;
            new.finish(1, 1, clock(3, 12)).await;
            spend(&new, 4, 1, clock(3, 13)).await;
            old.finish(2, 1, clock(3, 14)).await;
            new.finish(3, 1, clock(3, 15)).await;
            assert_eq!(new.used_and_held(clock(3, 16)).await, (5, 0), "{name}");
            if before != none {
                assert_eq!(old.used_and_held(clock(3, 16)).await, (5, 0), "{name}");
            }
        }
    }
}

/// What was forgiven stays forgiven when the day is moved.
pub async fn a_day_that_is_moved_has_nothing_from_before_a_restart(stores: &Stores) {
    let spender = Spender::new(stores, Whose::Account, "forgiven", daily(100, (2, 37)));
    spend(&spender, 0, 1, clock(3, 0)).await;
    stores.ledger.restart(&spender.scope(), clock(4, 0)).await.unwrap();
    assert_eq!(spender.used_and_held(clock(4, 1)).await, (0, 0));
    spend(&spender, 1, 2, clock(5, 0)).await;
    spend(&spender, 2, 4, clock(7, 0)).await;
    for (minute, spent) in [((2, 37), 6), ((2, 38), 6), ((1, 1), 6), ((6, 30), 4), ((0, 0), 6)] {
        let moved = spender.with(daily(100, minute));
        assert_eq!(moved.used_and_held(clock(7, 30)).await, (spent, 0), "since {minute:?}");
    }
}
