//! What limits count stays in the file, and adds up to the same however it is read.

#![expect(clippy::unwrap_used, reason = "what fails fails the test")]

use std::path::Path;
use std::time::Duration;

use relay_domain::{LimitKind, LimitState, Limits, PeriodStarts, Timestamp};
use relay_store::contract::clocks;
use relay_store::contract::fixture::{LEASE, at, calendar};
use relay_store::contract::sequences::histories;
use relay_store::contract::spender::{BUDGETS, Spender, Whose, amount, limit, with_limit};
use relay_store::{Charge, Settlement, Stores};
use relay_store_sqlite::{Access, SqliteOptions, SqliteStore};

const LIMITS: [LimitKind; 2] = [LimitKind::WindowRequests, LimitKind::WindowTokens];

fn open(path: &Path) -> Stores {
    open_for(path, 1_000)
}

/// The same with room for so many records.
fn open_for(path: &Path, record_capacity: usize) -> Stores {
    let options = SqliteOptions {
        calendar: calendar(),
        record_capacity,
        record_lifetime: relay_store::contract::fixture::RECORD_LIFETIME,
        access: Access::Serve,
    };
    SqliteStore::open(path, options).unwrap().stores()
}

fn all_limits(starts: PeriodStarts) -> Limits {
    let all = BUDGETS.into_iter().chain(LIMITS);
    let limits = all.fold(Limits::default(), |limits, kind| with_limit(limits, kind, Some(9_000)));
    Limits { starts, ..limits }
}

fn hours(hours: u64) -> Timestamp {
    at(hours * 3_600_000)
}

/// Who spends in [`a_restart_forgets_nothing_that_limits_count`]: a day of an account may begin at
/// midnight, on the hour and within it.
fn spenders(stores: &Stores) -> Vec<Spender> {
    let days = [
        (Whose::Key, 0),
        (Whose::Group, 0),
        (Whose::Account, 0),
        (Whose::Account, 17 * 60),
        (Whose::Account, 10 * 60 + 30),
    ];
    let spender = |whose, day_minute, name: &str| {
        let starts = PeriodStarts { day_minute, week_day: 7, week_hour: 7 };
        Spender::new(stores, whose, &format!("{name}-{day_minute}"), all_limits(starts))
    };
    let both =
        |(whose, minute)| [spender(whose, minute, "spends"), spender(whose, minute, "restarts")];
    days.into_iter().flat_map(both).collect()
}

#[tokio::test]
async fn a_restart_forgets_nothing_that_limits_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.db");
    let now = hours(39).plus(Duration::from_mins(30));
    let standing = async |stores: &Stores| {
        let mut all = Vec::new();
        for spender in spenders(stores) {
            all.push(spender.standing(now).await);
        }
        all
    };
    let stores = open(&path);
    for (place, spender) in spenders(&stores).into_iter().enumerate() {
        for request in 0..40 {
            spender.enter(request, 9, hours(request)).await.unwrap();
            spender.finish(request, request + 1, hours(request)).await;
            if place % 2 == 1 && request == 35 {
                stores.ledger.restart(&spender.scope(), hours(request)).await.unwrap();
            }
        }
        spender.enter(40, 11, hours(39)).await.unwrap();
    }
    let before = standing(&stores).await;
    drop(stores);
    assert_eq!(standing(&open(&path)).await, before);

    let used = |standing: &[LimitState], kind| {
        let state = standing.iter().find(|state| state.limit == kind).unwrap();
        (state.used / amount(kind, 1), state.held / amount(kind, 1))
    };
    let whole: u64 = (1..=40).sum();
    assert_eq!(used(&before[0], LimitKind::TotalCost), (whole, 11), "the test spends something");
    assert_eq!(used(&before[1], LimitKind::TotalCost), (37 + 38 + 39 + 40, 11));
    // In the calendar of the test it is four in the afternoon of the second day.
    let of_days = [0, 2, 4, 6, 8].map(|place| used(&before[place], LimitKind::DailyCost).0);
    let since = |hour: u64| (hour + 1..=40).sum::<u64>();
    assert_eq!(of_days, [since(24), since(24), since(24), since(17), since(34)]);
    assert!(0 < used(&before[0], LimitKind::WindowTokens).0, "a window is open");
}

/// A week is added up from hours and days, wherever it begins.
#[tokio::test]
async fn a_week_that_is_moved_is_added_up_anew() {
    let folder = tempfile::tempdir().unwrap();
    let stores = open(&folder.path().join("relay.db"));
    let weekly = limit(LimitKind::WeeklyCost, 9_000);
    let spender = Spender::new(&stores, Whose::Key, "moved", weekly);
    let spent: Vec<_> = (0..50).map(|number| (hours(number * 7), number + 1)).collect();
    for (number, (moment, weight)) in (0..).zip(&spent) {
        spender.enter(number, 1, *moment).await.unwrap();
        spender.finish(number, *weight, *moment).await;
    }
    let now = hours(49 * 7 + 1);
    for week_day in 1..=7 {
        for week_hour in 0..24 {
            let starts = PeriodStarts { day_minute: 0, week_day, week_hour };
            let moved = spender.with(Limits { starts, ..weekly });
            let kind = LimitKind::WeeklyCost.period().unwrap();
            let week = calendar().limit_period(kind, starts, now);
            let in_week = spent.iter().filter(|(moment, _)| week.contains(*moment));
            let expected = in_week.map(|(_, weight)| weight).sum();
            assert_eq!(moved.used_and_held(now).await, (expected, 0), "{starts:?}");
        }
    }
}

fn minutes(minutes: u64) -> Timestamp {
    at(minutes * 60_000)
}

fn daily(day_minute: u16) -> Limits {
    let starts = PeriodStarts { day_minute, ..PeriodStarts::default() };
    Limits { starts, ..limit(LimitKind::DailyCost, 90_000) }
}

/// Of requests that ended at these moments and came to so much, what lies in the day of `spender` at `now`.
fn in_its_day(spender: &Spender, ended: &[(Timestamp, u64)], now: Timestamp) -> u64 {
    let kind = LimitKind::DailyCost.period().unwrap();
    let day = calendar().limit_period(kind, spender.limits.starts, now);
    ended.iter().filter(|(moment, _)| day.contains(*moment)).map(|(_, weight)| weight).sum()
}

/// So is a day of an account, to the minute, at once and by the next process, while it is moved all the time.
#[tokio::test]
async fn a_day_that_is_moved_is_added_up_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.db");
    let mut stores = open(&path);
    let of = |stores: &Stores, number: u64| {
        let day_minute = u16::try_from(number * 37 % 1_440).unwrap();
        Spender::new(stores, Whose::Account, "moved", daily(day_minute))
    };
    let mut ended = Vec::new();
    for number in 0..150 {
        let now = minutes(number * 19);
        of(&stores, number).enter(number, 1, now).await.unwrap();
        // Each ends under the day that it began under, when days have been moved three times.
        if let Some(before) = number.checked_sub(3) {
            of(&stores, before).finish(before, before + 1, now).await;
            ended.push((now, before + 1));
        }
        for number in [number, number + 17] {
            let moved = of(&stores, number);
            let seen = moved.used_and_held(now).await.0;
            assert_eq!(seen, in_its_day(&moved, &ended, now), "{:?}", moved.limits.starts);
        }
        if number % 40 == 39 {
            drop(stores);
            stores = open(&path);
        }
    }
    let now = minutes(150 * 19);
    for day_minute in (0..1_440).step_by(23) {
        let moved = Spender::new(&stores, Whose::Account, "moved", daily(day_minute));
        let seen = moved.used_and_held(now).await.0;
        assert_eq!(seen, in_its_day(&moved, &ended, now), "{day_minute}");
    }
}

/// Without records of the hour in which a day begins all of that hour counts, unless the day has been kept.
#[tokio::test]
async fn a_day_whose_records_are_gone_has_rather_too_much() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.db");
    // Half past midnight and on.
    let ended: Vec<_> = (0..40).map(|number| (minutes(number * 5), number + 1)).collect();
    let kept = daily(90);
    let stores = open_for(&path, 2);
    let spender = Spender::new(&stores, Whose::Account, "gone", kept);
    for (number, (moment, weight)) in (0..).zip(&ended) {
        spender.enter(number, 1, *moment).await.unwrap();
        spender.finish(number, *weight, *moment).await;
    }
    let now = minutes(210);
    stores.ledger.reap(now, 9).await.unwrap();
    assert_eq!(stores.usage.recent(9).await.unwrap().len(), 2);
    drop((stores, spender));
    let stores = open_for(&path, 2);
    let spender = Spender::new(&stores, Whose::Account, "gone", kept);
    assert_eq!(spender.used_and_held(now).await.0, in_its_day(&spender, &ended, now));
    let on_the_hour = in_its_day(&spender.with(daily(60)), &ended, now);
    assert_eq!(spender.with(daily(75)).used_and_held(now).await.0, on_the_hour);
}

#[tokio::test]
async fn what_ran_at_the_end_weighs_until_it_is_reaped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.db");
    for whose in Whose::ALL {
        let limits = with_limit(limit(LimitKind::DailyCost, 10), LimitKind::Concurrency, Some(1));
        let stores = open(&path);
        Spender::new(&stores, whose, "ran", limits).enter(0, 6, at(0)).await.unwrap();
        drop(stores);

        let stores = open(&path);
        let spender = Spender::new(&stores, whose, "ran", limits);
        let denied = spender.enter(1, 5, at(1)).await.unwrap_err();
        assert_eq!(denied.limit, LimitKind::DailyCost, "it takes no slot, and weighs");
        assert_eq!(denied.used, amount(LimitKind::DailyCost, 6));
        spender.enter(2, 4, at(1)).await.unwrap();
        let release = Settlement { charge: Charge::Release, ..spender.end(2, 4, at(2)) };
        assert!(stores.ledger.settle(&release).await.unwrap().is_first());
        assert_eq!(stores.ledger.reap(at(0).plus(LEASE), 9).await.unwrap().len(), 1);
        spender.enter(3, 10, at(0).plus(LEASE)).await.unwrap();
        spender.finish(3, 0, at(0).plus(LEASE)).await;
    }
}

#[tokio::test]
async fn a_raised_hold_is_raised_in_the_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.db");
    let total = limit(LimitKind::TotalCost, 10);
    let stores = open(&path);
    let spender = Spender::new(&stores, Whose::Key, "raised", total);
    spender.enter(0, 2, at(0)).await.unwrap();
    let asked = spender.ask(0, 7, at(1));
    let extension = relay_store::Extension {
        request: asked.request,
        key: (asked.key, asked.limits),
        group: None,
        account: None,
        model: asked.model,
        estimate: asked.estimate,
        now: at(1),
    };
    let answer = stores.ledger.extend(&extension).await.unwrap();
    assert_eq!(answer, relay_store::HoldAnswer::Held);
    drop((stores, spender));

    let spender = Spender::new(&open(&path), Whose::Key, "raised", total);
    assert_eq!(spender.used_and_held(at(2)).await, (0, 7));
}

/// A window that has ended is dropped from the file, one that has not is not.
#[tokio::test]
async fn windows_that_have_ended_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.db");
    let stores = open(&path);
    let limits = limit(LimitKind::WindowRequests, 5);
    let (early, late) = (at(0), at(0).plus(Duration::from_mins(90)));
    for (name, opened) in [("early", early), ("late", late)] {
        let spender = Spender::new(&stores, Whose::Key, name, limits);
        spender.enter(0, 1, opened).await.unwrap();
        spender.finish(0, 1, opened).await;
    }
    stores.ledger.reap(at(0).plus(Duration::from_mins(121)), 9).await.unwrap();
    drop(stores);
    let file = rusqlite::Connection::open(&path).unwrap();
    let mut read = file.prepare("SELECT id FROM rate_window").unwrap();
    let ids: Vec<String> =
        read.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(ids, ["late-Key"]);
}

/// Whatever happens, and however often the process ends meanwhile: a plain model agrees.
#[tokio::test]
async fn every_history_goes_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.db");
    let mut reopen = |stores: Stores| {
        drop(stores);
        open(&path)
    };
    histories(open(&path), Some(&mut reopen)).await;
}

#[tokio::test]
async fn budgets_follow_the_clocks_of_a_place() {
    let options = SqliteOptions {
        calendar: clocks::calendar(),
        record_capacity: 1_000,
        record_lifetime: relay_store::contract::fixture::RECORD_LIFETIME,
        access: Access::Serve,
    };
    clocks::budgets_follow_the_clocks(&SqliteStore::in_memory(options).unwrap().stores()).await;
}
