//! What every [`Ledger`](crate::Ledger) owes those who ask how limits stand, and those who start them anew.

use relay_domain::{
    LimitKind, LimitPeriodKind, LimitScope, LimitState, Limits, Period, PeriodStarts, Timestamp,
};

use super::budgets::weighing;
use super::fixture::{account_id, at, calendar};
use super::spender::{Spender, WINDOW, Whose, amount, dimes, limit, with_limit};
use crate::{Stores, UsageScope};

/// A restart takes what was spent and counted off every limit, and nothing else: what is in flight weighs
/// as before, and statistics keep what was used. It can be repeated.
pub async fn a_restart_starts_every_limit_anew(stores: &Stores) {
    for whose in Whose::ALL {
        let mut limits = with_limit(Limits::default(), LimitKind::WindowRequests, Some(10));
        for kind in weighing() {
            limits = with_limit(limits, kind, Some(20));
        }
        let spender = Spender::new(stores, whose, "restart", limits);
        for start in [0, 100] {
            for number in [start, start + 1] {
                spender.enter(number, 5, at(number)).await.unwrap();
            }
            spender.finish(start, 4, at(start + 1)).await;
            assert_used(&spender, at(start + 1), (2, 4)).await;
            for again in 2..4 {
                stores.ledger.restart(&spender.scope(), at(start + again)).await.unwrap();
                assert_used(&spender, at(start + again), (0, 0)).await;
            }
            for state in spender.standing(at(start + 3)).await {
                let held = if state.limit == LimitKind::WindowRequests { 0 } else { 5 };
                assert_eq!(state.held, amount(state.limit, held), "{state:?} of {whose:?}");
            }
            // A window is open again once a request has come; what is in flight counts in it.
            spender.enter(start + 2, 3, at(start + 4)).await.unwrap();
            spender.finish(start + 1, 3, at(start + 5)).await;
            spender.finish(start + 2, 0, at(start + 5)).await;
            assert_used(&spender, at(start + 5), (1, 3)).await;
            stores.ledger.restart(&spender.scope(), at(start + 6)).await.unwrap();
        }
        if let LimitScope::Key(key) = spender.scope() {
            let scope = UsageScope::Key(key);
            let totals = stores.usage.totals(&scope, Period::Total).await.unwrap();
            assert_eq!((totals.requests, totals.charged), (6, dimes(14)));
        }
    }
}

/// Asserts how many requests, and how much of anything else, are used of every limit.
async fn assert_used(spender: &Spender, now: Timestamp, (requests, amounts): (u64, u64)) {
    for state in spender.standing(now).await {
        let used = if state.limit == LimitKind::WindowRequests { requests } else { amounts };
        assert_eq!(state.used, amount(state.limit, used), "{state:?} of {:?}", spender.scope());
    }
}

/// A week may be made to begin ever earlier, and later again: what was spent since it begins counts.
pub async fn a_week_may_begin_ever_earlier(stores: &Stores) {
    const STEP: u64 = 3 * 3_600_000;
    for whose in Whose::ALL {
        let spender = Spender::new(stores, whose, "earlier", limit(LimitKind::WeeklyCost, 1_000));
        let mut spent: Vec<(Timestamp, u64)> = Vec::new();
        for (number, week_day) in (0..).zip((1..=7).chain((1..=7).rev()).chain([4, 1])) {
            let starts = PeriodStarts { week_day, ..PeriodStarts::default() };
            let spender = spender.with(Limits { starts, ..spender.limits });
            let now = at(number * STEP);
            spender.enter(number, 1, now).await.unwrap();
            spender.finish(number, number + 1, now).await;
            spent.push((now, number + 1));
            let week = calendar().limit_period(LimitPeriodKind::Week, starts, now);
            let since = spent.iter().filter(|(at, _)| week.contains(*at));
            let used: u64 = since.map(|(_, weight)| weight).sum();
            let told = spender.used_and_held(now).await;
            assert_eq!(told, (used, 0), "{whose:?}, from day {week_day} on");
        }
    }
}

/// A request that is in is told how the limits of its key stand with it; anybody can ask the same.
pub async fn a_grant_tells_how_the_limits_stand(stores: &Stores) {
    let mut limits = with_limit(Limits::default(), LimitKind::Concurrency, Some(3));
    limits = with_limit(limits, LimitKind::WindowRequests, Some(50));
    limits = with_limit(limits, LimitKind::WindowTokens, Some(60));
    limits = with_limit(limits, LimitKind::MonthlyCost, Some(70));
    limits = with_limit(limits, LimitKind::TotalCost, Some(80));
    let spender = Spender::new(stores, Whose::Key, "standing", limits);
    let unused = spender.standing(at(0)).await;
    assert!(unused.iter().all(|state| (state.used, state.held) == (0, 0)), "{unused:?}");
    spender.enter(0, 7, at(0)).await.unwrap();
    spender.finish(0, 6, at(1)).await;
    let asked = spender.ask(1, 5, at(2));
    let granted = stores.ledger.admit(&asked).await.unwrap().decision.unwrap().limits;
    let state = |kind, used, held, allowed, resets_at| LimitState {
        limit: kind,
        used: amount(kind, used),
        held: amount(kind, held),
        allowed: amount(kind, allowed),
        resets_at,
    };
    let window_ends = Some(at(0).plus(WINDOW));
    let month_ends = spender.resets_at(LimitKind::MonthlyCost, at(2));
    let expected = [
        state(LimitKind::Concurrency, 1, 0, 3, None),
        state(LimitKind::WindowRequests, 2, 0, 50, window_ends),
        state(LimitKind::WindowTokens, 6, 5, 60, window_ends),
        state(LimitKind::MonthlyCost, 6, 5, 70, month_ends),
        state(LimitKind::TotalCost, 6, 5, 80, None),
    ];
    assert_eq!(granted, expected);
    assert_eq!(spender.standing(at(2)).await, expected);
    assert_eq!(spender.with(Limits::default()).standing(at(2)).await, []);
}

/// Many are told how they stand in one call, each as if it had asked alone, in the order in which they were
/// asked for.
pub async fn many_standings_are_told_in_the_order_asked_for(stores: &Stores) {
    let mut limits = with_limit(Limits::default(), LimitKind::Concurrency, Some(3));
    for kind in weighing() {
        limits = with_limit(limits, kind, Some(70));
    }
    let mut spenders = Vec::new();
    for (whose, name, dimes) in [
        (Whose::Account, "c", 3),
        (Whose::Account, "a", 1),
        (Whose::Key, "d", 4),
        (Whose::Account, "b", 2),
        (Whose::Group, "e", 5),
    ] {
        let spender = Spender::new(stores, whose, name, limits);
        spender.enter(0, 9, at(0)).await.unwrap();
        spender.finish(0, dimes, at(1)).await;
        spender.enter(1, 6, at(2)).await.unwrap();
        spenders.push(spender);
    }
    let mut scopes: Vec<_> = spenders.iter().map(|spender| (spender.scope(), limits)).collect();
    // One that nothing is known of, one that has no limits, and one that is asked for twice.
    let unknown = LimitScope::Account(account_id("unknown"));
    scopes.insert(2, (unknown.clone(), limits));
    scopes.insert(4, (unknown, Limits::default()));
    scopes.push((spenders[1].scope(), limit(LimitKind::TotalCost, 70)));
    let told = stores.ledger.standings(&scopes, at(3)).await.unwrap();
    let mut alone = Vec::new();
    for (scope, limits) in &scopes {
        alone.push(stores.ledger.standing(scope, limits, at(3)).await.unwrap());
    }
    assert_eq!(told, alone);
    let total = |states: &[LimitState]| {
        let state = states.iter().find(|state| state.limit == LimitKind::TotalCost);
        state.map(|state| (state.used, state.held))
    };
    let expected = [Some((3, 6)), Some((1, 6)), Some((0, 0)), Some((4, 6)), None, Some((2, 6))];
    let expected = expected.into_iter().chain([Some((5, 6)), Some((1, 6))]);
    let dimes = |number| amount(LimitKind::TotalCost, number);
    let expected = expected.map(|sums| sums.map(|(used, held)| (dimes(used), dimes(held))));
    assert_eq!(
        told.iter().map(|states| total(states)).collect::<Vec<_>>(),
        expected.collect::<Vec<_>>()
    );
    assert_eq!(stores.ledger.standings(&[], at(3)).await.unwrap(), Vec::<Vec<_>>::new());
}
