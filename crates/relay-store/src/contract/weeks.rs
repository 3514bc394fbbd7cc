//! What every store owes a key whose weeks are to begin at another moment.

use std::time::Duration;

use relay_domain::{
    ApiKey, LimitKind, LimitPeriodKind, LimitScope, Limits, PeriodStarts, Timestamp,
};

use super::fixture::{NOW, at, calendar, key, model};
use super::spender::{Spender, Whose, limit};
use crate::Stores;

const KIND: LimitKind = LimitKind::WeeklyClaudeCost;

/// A key that is stored, with its limits.
async fn stored(stores: &Stores, name: &str, limits: Limits) -> Spender {
    let spender = Spender::new(stores, Whose::Key, name, limits);
    let LimitScope::Key(id) = spender.scope() else { panic!("it is a key") };
    stores.keys.create(&ApiKey { limits, ..key(id.as_str(), 1) }).await.unwrap();
    spender
}

/// Gives a key these limits, with weeks that begin on this day at this hour.
async fn moved(
    stores: &Stores,
    spender: &Spender,
    limits: Limits,
    (week_day, week_hour): (u8, u8),
    now: Timestamp,
) -> Spender {
    let LimitScope::Key(id) = spender.scope() else { panic!("it is a key") };
    let limits = Limits { starts: PeriodStarts { week_day, week_hour, ..limits.starts }, ..limits };
    let old = stores.keys.get(&id).await.unwrap().unwrap();
    let new = ApiKey { limits, updated_at: Some(now), ..old };
    assert!(stores.keys.update(&new).await.unwrap().is_done());
    spender.with(limits)
}

/// Whenever the beginning of a key's week is set, all counts that was spent since then, and a hard budget is
/// not passed.
pub async fn a_week_that_begins_elsewhere_forgets_nothing(stores: &Stores) {
    let limits = limit(KIND, 10);
    let mut spender = stored(stores, "moved", limits).await;
    let mut spent: Vec<Timestamp> = Vec::new();
    let mut was_full = 0;
    for number in 0..120_u64 {
        // Several changes at a time, then some hours without any, through two weeks.
        let now = NOW.plus(Duration::from_hours(number / 5 * 14));
        let start =
            (u8::try_from(1 + number * 3 % 7).unwrap(), u8::try_from(number * 5 % 24).unwrap());
        spender = moved(stores, &spender, limits, start, now).await;
        let week = calendar().limit_period(LimitPeriodKind::Week, spender.limits.starts, now);
        let since = spent.iter().filter(|at| week.contains(**at)).count();
        let since = u64::try_from(since).unwrap();
        assert_eq!(spender.used_and_held(now).await, (since, 0), "{number}: since {start:?}");
        if spender.enter(number, 1, now).await.is_ok() {
            assert!(since < 10, "{number}: the budget is passed");
            spender.finish(number, 1, now).await;
            spent.push(now);
        } else {
            was_full += 1;
        }
    }
    assert!(20 < was_full && was_full < 100, "{was_full}");
}

/// A key that gets a budget of Claude models together with another beginning of its week has spent what it
/// has; what it spent on other models may weigh as well, for a time.
pub async fn a_limit_that_comes_with_another_week_counts_what_was_spent(stores: &Stores) {
    let free = stored(stores, "late", Limits::default()).await;
    free.enter(0, 3, at(0)).await.unwrap();
    free.finish(0, 3, at(1)).await;
    let late = moved(stores, &free, limit(KIND, 10), (5, 9), at(2)).await;
    assert_eq!(late.used_and_held(at(3)).await, (3, 0));

    let mut other = late.clone();
    (other.model, other.served) = (model("gpt-5"), model("gpt-5"));
    other.enter(1, 100, at(4)).await.unwrap();
    other.finish(1, 100, at(5)).await;
    let after = moved(stores, &late, late.limits, (4, 0), at(6)).await;
    let (used, held) = after.used_and_held(at(7)).await;
    assert!(3 <= used && held == 0, "{used}");
}

/// A request that began before its key's week was moved counts in the week as it is when it ends.
pub async fn what_ends_after_its_week_was_moved_counts_in_the_new_one(stores: &Stores) {
    let before = stored(stores, "flight", limit(KIND, 10)).await;
    before.enter(0, 6, at(0)).await.unwrap();
    before.enter(1, 2, at(0)).await.unwrap();
    before.finish(1, 2, at(1)).await;
    let after = moved(stores, &before, before.limits, (5, 9), at(2)).await;
    assert_eq!(after.used_and_held(at(3)).await, (2, 6));
    before.finish(0, 6, at(4)).await;
    assert_eq!(after.used_and_held(at(5)).await, (8, 0));
    assert_eq!(before.used_and_held(at(5)).await, (8, 0), "whoever has not heard of it");
    assert!(after.enter(2, 3, at(6)).await.is_err(), "the budget would be passed");
}
