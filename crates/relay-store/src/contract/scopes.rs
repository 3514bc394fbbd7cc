//! What every [`Ledger`](crate::Ledger) owes a request that weighs on several limits at once, those of its
//! key, of the key's group and of the account that serves it: it is held on all of them or on none.

use relay_domain::{AccountId, LimitKind, LimitScope, Limits, NanoUsd, RequestRecord, Timestamp};

use super::fixture::{
    LEASE, account_id, admit_request, admitted, at, at_once, group_id, key_id, record, request_id,
    settlement,
};
use super::spender::{Spender, Whose, dimes, limit, with_limit};
use crate::{AdmitRequest, Assignment, Estimate, Extension, HoldAnswer, Settlement, Stores};

/// What is used and held of the one limit of a scope, in dimes if it is money.
async fn used_and_held(
    stores: &Stores,
    scope: LimitScope,
    limits: &Limits,
    now: Timestamp,
) -> (u64, u64) {
    let standing = stores.ledger.standing(&scope, limits, now).await.unwrap();
    let [state] = standing[..] else { panic!("one limit: {standing:?}") };
    let unit = super::spender::amount(state.limit, 1);
    (state.used / unit, state.held / unit)
}

fn weighing(weight: u64) -> Estimate {
    Estimate { tokens: weight, cost: dimes(weight), charged: dimes(weight) }
}

fn of_team(number: u8, key: &str, weight: u64, limits: &(Limits, Limits)) -> AdmitRequest {
    AdmitRequest {
        limits: limits.0,
        group: Some((group_id("team"), limits.1)),
        estimate: weighing(weight),
        ..admit_request(number, key, at(0))
    }
}

/// A request that its group keeps out has left nothing on its key, and the other way about.
pub async fn a_request_is_held_by_key_and_group_or_by_neither(stores: &Stores) {
    let mut wide = limit(LimitKind::Concurrency, 9);
    for kind in [LimitKind::WindowRequests, LimitKind::WindowTokens, LimitKind::DailyCost] {
        wide = with_limit(wide, kind, Some(1_000));
    }
    let narrow = with_limit(wide, LimitKind::TotalCost, Some(10));
    for (number, limits) in [(0, (wide, narrow)), (10, (narrow, wide))] {
        let name = format!("key-{number}");
        let scopes = [
            (LimitScope::Key(key_id(&name)), limits.0),
            (LimitScope::Group(group_id("team")), limits.1),
        ];
        let standing = async || {
            let mut all = Vec::new();
            for (scope, limits) in &scopes {
                all.push(stores.ledger.standing(scope, limits, at(0)).await.unwrap());
            }
            all
        };
        let before = standing().await;
        for number in number..number + 5 {
            let denied = stores.ledger.admit(&of_team(number, &name, 11, &limits)).await.unwrap();
            assert_eq!(denied.decision.unwrap_err().limit, LimitKind::TotalCost);
        }
        assert_eq!(standing().await, before);
        let asked = of_team(number + 5, &name, 5, &limits);
        assert!(stores.ledger.admit(&asked).await.unwrap().decision.is_ok());
        assert_ne!(standing().await, before);
    }
}

/// Keys of a group share its limits and have their own: at once, as many are in as fit both.
pub async fn key_and_group_are_exact_together(stores: &Stores) {
    let (own, shared) = (limit(LimitKind::DailyCost, 70), limit(LimitKind::TotalCost, 100));
    let decisions = at_once((0..60).map(|number: u8| {
        let ledger = stores.ledger.clone();
        let key = if number.is_multiple_of(2) { "one" } else { "two" };
        async move {
            let asked = of_team(number, key, 10, &(own, shared));
            (key, ledger.admit(&asked).await.unwrap().decision.is_ok())
        }
    }))
    .await;
    let granted = |name: &str| {
        let is_in = |decision: &&(&str, bool)| decision.0 == name && decision.1;
        u64::try_from(decisions.iter().filter(is_in).count()).unwrap()
    };
    let (one, two) = (granted("one"), granted("two"));
    assert_eq!(one + two, 10, "{decisions:?}");
    assert!(one <= 7 && two <= 7, "{decisions:?}");
    for (name, held) in [("one", one), ("two", two)] {
        let seen = used_and_held(stores, LimitScope::Key(key_id(name)), &own, at(0)).await;
        assert_eq!(seen, (0, held * 10));
    }
    let group = LimitScope::Group(group_id("team"));
    assert_eq!(used_and_held(stores, group, &shared, at(0)).await, (0, 100));
}

fn assignment(number: u8, account: &str, limits: Limits) -> Assignment {
    let account = account_id(account);
    Assignment { request: request_id(number), account, limits, cost: NanoUsd::ZERO, now: at(1) }
}

fn account(name: &str) -> LimitScope {
    LimitScope::Account(account_id(name))
}

async fn assign(stores: &Stores, number: u8, name: &str, limits: Limits) -> HoldAnswer {
    stores.ledger.assign(&assignment(number, name, limits)).await.unwrap()
}

/// A request weighs on the account that it is given to, and on no other that it was given to before. An
/// account without room does not get it, and then nobody has it.
pub async fn a_request_weighs_on_one_account(stores: &Stores) {
    let daily = limit(LimitKind::DailyCost, 10);
    let slots = limit(LimitKind::Concurrency, 1);
    for number in 0..2 {
        let asked = AdmitRequest { estimate: weighing(6), ..admit_request(number, "k", at(0)) };
        assert!(stores.ledger.admit(&asked).await.unwrap().decision.is_ok());
    }
    for _ in 0..2 {
        assert_eq!(assign(stores, 0, "one", daily).await, HoldAnswer::Held, "once or again");
        assert_eq!(used_and_held(stores, account("one"), &daily, at(1)).await, (0, 6));
    }
    let HoldAnswer::Denied(denial) = assign(stores, 1, "one", daily).await else {
        panic!("there is no room")
    };
    assert_eq!((denial.scope, denial.limit), (account("one"), LimitKind::DailyCost));
    assert_eq!(assign(stores, 1, "two", slots).await, HoldAnswer::Held);
    assert!(matches!(assign(stores, 0, "two", slots).await, HoldAnswer::Denied(_)));
    assert_eq!(used_and_held(stores, account("one"), &daily, at(1)).await, (0, 0), "it has left");
    assert_eq!(assign(stores, 1, "one", daily).await, HoldAnswer::Held);
    assert_eq!(used_and_held(stores, account("two"), &slots, at(1)).await, (0, 0), "it has left");
    assert_eq!(used_and_held(stores, account("one"), &daily, at(1)).await, (0, 6));

    let spent = NanoUsd::from_nanos(300_000_000);
    let served =
        RequestRecord { account: Some(account_id("one")), cost: Some(spent), ..record(1, "k") };
    assert!(stores.ledger.settle(&settlement(served, at(2))).await.unwrap().is_first());
    assert_eq!(used_and_held(stores, account("one"), &daily, at(2)).await, (3, 0));
    let unassigned =
        RequestRecord { account: Some(account_id("one")), cost: Some(spent), ..record(0, "k") };
    assert!(stores.ledger.settle(&settlement(unassigned, at(2))).await.unwrap().is_first());
    let seen = used_and_held(stores, account("one"), &daily, at(2)).await;
    assert_eq!(seen, (6, 0), "what was spent counts, assigned or not");
}

/// What a request may cost on an account is held there, however little was thought of it at admission, and of
/// nobody else.
pub async fn an_account_holds_what_a_request_may_cost_there(stores: &Stores) {
    let (daily, own) = (limit(LimitKind::DailyCost, 10), limit(LimitKind::DailyCost, 10));
    let dearer = |number, name| Assignment { cost: dimes(6), ..assignment(number, name, daily) };
    for number in 0..2 {
        let asked = AdmitRequest {
            estimate: weighing(1),
            limits: own,
            ..admit_request(number, "k", at(0))
        };
        assert!(stores.ledger.admit(&asked).await.unwrap().decision.is_ok());
    }
    assert_eq!(stores.ledger.assign(&dearer(0, "one")).await.unwrap(), HoldAnswer::Held);
    assert_eq!(used_and_held(stores, account("one"), &daily, at(1)).await, (0, 6));
    let denied = stores.ledger.assign(&dearer(1, "one")).await.unwrap();
    assert!(matches!(denied, HoldAnswer::Denied(_)), "{denied:?}");
    assert_eq!(assign(stores, 1, "one", daily).await, HoldAnswer::Held, "a denial raises nothing");
    assert_eq!(used_and_held(stores, account("one"), &daily, at(1)).await, (0, 7));
    assert_eq!(assign(stores, 0, "two", daily).await, HoldAnswer::Held);
    assert_eq!(used_and_held(stores, account("one"), &daily, at(1)).await, (0, 1));
    assert_eq!(used_and_held(stores, account("two"), &daily, at(1)).await, (0, 6));
    let key = LimitScope::Key(key_id("k"));
    assert_eq!(used_and_held(stores, key, &own, at(1)).await, (0, 2));
    for number in 0..2 {
        let end = settlement(record(number, "k"), at(2));
        assert!(stores.ledger.settle(&end).await.unwrap().is_first());
    }
    for name in ["one", "two"] {
        assert_eq!(used_and_held(stores, account(name), &daily, at(2)).await.1, 0, "{name}");
    }
}

/// The slot of an account is free when its request has ended, has lost its lease, or has asked again.
pub async fn an_account_gets_its_slots_back(stores: &Stores) {
    let slots = limit(LimitKind::Concurrency, 1);
    admitted(stores, 0, "k", at(0)).await;
    admitted(stores, 1, "k", at(0)).await;
    admitted(stores, 2, "k", at(0)).await;
    assert_eq!(assign(stores, 0, "one", slots).await, HoldAnswer::Held);
    assert!(matches!(assign(stores, 1, "one", slots).await, HoldAnswer::Denied(_)));
    assert!(stores.ledger.settle(&settlement(record(0, "k"), at(1))).await.unwrap().is_first());
    assert_eq!(assign(stores, 1, "one", slots).await, HoldAnswer::Held);
    admitted(stores, 1, "k", at(0)).await;
    assert_eq!(assign(stores, 2, "one", slots).await, HoldAnswer::Held);
    let later = at(0).plus(LEASE);
    let next = AdmitRequest { now: later, ..admit_request(3, "k", later) };
    assert!(stores.ledger.admit(&next).await.unwrap().decision.is_ok());
    let late = Assignment { now: later, ..assignment(3, "one", slots) };
    assert_eq!(stores.ledger.assign(&late).await.unwrap(), HoldAnswer::Held);
}

/// Of requests that are given to an account at once, as many get it as it has room for.
pub async fn assignments_at_once_are_exact(stores: &Stores) {
    let limits = with_limit(limit(LimitKind::Concurrency, 7), LimitKind::WindowRequests, Some(5));
    for number in 0..30 {
        admitted(stores, number, "k", at(0)).await;
    }
    let answers = at_once((0..30).map(|number| {
        let ledger = stores.ledger.clone();
        async move { ledger.assign(&assignment(number, "one", limits)).await.unwrap() }
    }))
    .await;
    let held = answers.iter().filter(|answer| **answer == HoldAnswer::Held).count();
    assert_eq!(held, 5, "{answers:?}");
}

/// What is not held can neither be given to an account nor raised.
pub async fn what_has_ended_is_gone(stores: &Stores) {
    let daily = limit(LimitKind::DailyCost, 10);
    let raise = |number| extension(number, None, 1);
    assert_eq!(assign(stores, 9, "one", daily).await, HoldAnswer::Gone, "it never was");
    assert_eq!(stores.ledger.extend(&raise(9)).await.unwrap(), HoldAnswer::Gone);
    admitted(stores, 0, "k", at(0)).await;
    assert!(stores.ledger.settle(&settlement(record(0, "k"), at(1))).await.unwrap().is_first());
    assert_eq!(assign(stores, 0, "one", daily).await, HoldAnswer::Gone, "it was settled");
    assert_eq!(stores.ledger.extend(&raise(0)).await.unwrap(), HoldAnswer::Gone);
    admitted(stores, 1, "k", at(0)).await;
    assert_eq!(stores.ledger.reap(at(0).plus(LEASE), 9).await.unwrap().len(), 1);
    assert_eq!(assign(stores, 1, "one", daily).await, HoldAnswer::Gone, "it was reaped");
    assert_eq!(stores.ledger.extend(&raise(1)).await.unwrap(), HoldAnswer::Gone);
    assert_eq!(used_and_held(stores, account("one"), &daily, at(1)).await, (0, 0));
}

/// A raise of a request of key `k` in the team, which both may spend 10 dimes in all.
fn extension(number: u8, account: Option<(AccountId, Limits)>, weight: u64) -> Extension {
    let total = limit(LimitKind::TotalCost, 10);
    Extension {
        request: request_id(number),
        key: (key_id("k"), total),
        group: Some((group_id("team"), total)),
        account,
        model: admit_request(number, "k", at(0)).model,
        estimate: weighing(weight),
        now: at(1),
    }
}

/// A hold is raised where its key, its group and its account all have room. Where one has not, it stays on
/// all of them as it was.
pub async fn a_hold_is_raised_everywhere_or_nowhere(stores: &Stores) {
    let total = limit(LimitKind::TotalCost, 10);
    let scopes =
        [LimitScope::Key(key_id("k")), LimitScope::Group(group_id("team")), account("one")];
    let assert_held = async |expected: [u64; 3]| {
        for (scope, held) in scopes.iter().zip(expected) {
            let seen = used_and_held(stores, scope.clone(), &total, at(1)).await;
            assert_eq!(seen, (0, held), "{scope:?}");
        }
    };
    let asked = of_team(0, "k", 2, &(total, total));
    assert!(stores.ledger.admit(&asked).await.unwrap().decision.is_ok());
    assert_eq!(assign(stores, 0, "one", total).await, HoldAnswer::Held);
    assert_held([2, 2, 2]).await;

    let on_account = Some((account_id("one"), total));
    for (weight, held) in [(5, 5), (5, 5), (3, 5), (10, 10), (4, 10)] {
        let raise = extension(0, on_account.clone(), weight);
        assert_eq!(stores.ledger.extend(&raise).await.unwrap(), HoldAnswer::Held);
        assert_held([held; 3]).await;
    }
    let raise = extension(0, on_account, 11);
    let HoldAnswer::Denied(denial) = stores.ledger.extend(&raise).await.unwrap() else {
        panic!("there is no room")
    };
    assert_eq!((&denial.scope, denial.limit), (&scopes[0], LimitKind::TotalCost));
    assert_held([10; 3]).await;

    // Each of the three may be the one that has no room.
    for (narrow, scope) in scopes.iter().enumerate() {
        let mut raise = extension(0, Some((account_id("one"), total)), 12);
        let wide = limit(LimitKind::TotalCost, 100);
        let limits = |place| if place == narrow { total } else { wide };
        raise.key.1 = limits(0);
        raise.group = Some((group_id("team"), limits(1)));
        raise.account = Some((account_id("one"), limits(2)));
        let HoldAnswer::Denied(denial) = stores.ledger.extend(&raise).await.unwrap() else {
            panic!("there is no room")
        };
        assert_eq!(&denial.scope, scope);
        assert_held([10; 3]).await;
    }
}

/// Only what is raised needs room: a limit that others have passed does not stand in the way of the rest.
pub async fn what_is_not_raised_needs_no_room(stores: &Stores) {
    let total = limit(LimitKind::TotalCost, 10);
    let asked = of_team(0, "k", 2, &(total, total));
    assert!(stores.ledger.admit(&asked).await.unwrap().decision.is_ok());
    let tokens = with_limit(limit(LimitKind::TotalCost, 1), LimitKind::WindowTokens, Some(10));
    let mut raise = extension(0, None, 2);
    (raise.key.1, raise.group) = (tokens, None);
    raise.estimate.tokens = 9;
    assert_eq!(stores.ledger.extend(&raise).await.unwrap(), HoldAnswer::Held);
    raise.estimate = weighing(3);
    assert!(matches!(stores.ledger.extend(&raise).await.unwrap(), HoldAnswer::Denied(_)));
}

/// Raises at once go as far as there is room, and no further.
pub async fn raises_at_once_never_pass_a_limit(stores: &Stores) {
    let spender = Spender::new(stores, Whose::Key, "raises", limit(LimitKind::DailyCost, 50));
    for number in 0..10 {
        spender.enter(number, 2, at(0)).await.unwrap();
    }
    let answers = at_once((0..10).map(|number| {
        let ledger = stores.ledger.clone();
        let raise = Extension {
            request: spender.request(number),
            key: (key_id("raises-Key"), spender.limits),
            group: None,
            account: None,
            model: spender.model.clone(),
            estimate: spender.estimate(9),
            now: at(1),
        };
        async move { ledger.extend(&raise).await.unwrap() }
    }))
    .await;
    let raised = answers.iter().filter(|answer| **answer == HoldAnswer::Held).count();
    assert_eq!(raised, 4, "from 20 to 48 of 50: {answers:?}");
    assert_eq!(spender.used_and_held(at(1)).await, (0, 48));
    for number in 0..10 {
        spender.finish(number, 5, at(2)).await;
    }
    assert_eq!(spender.used_and_held(at(2)).await, (50, 0));
}

/// A request counts once for its key, its group and the account that served it, each by its own measure.
pub async fn a_settlement_counts_for_key_group_and_account(stores: &Stores) {
    let total = limit(LimitKind::TotalCost, 100);
    let asked = of_team(0, "k", 2, &(total, total));
    assert!(stores.ledger.admit(&asked).await.unwrap().decision.is_ok());
    assert_eq!(assign(stores, 0, "one", total).await, HoldAnswer::Held);
    let ended = RequestRecord {
        group: Some(group_id("team")),
        account: Some(account_id("one")),
        cost: Some(dimes(7)),
        charged: Some(dimes(9)),
        ..record(0, "k")
    };
    let settlement: Settlement = settlement(ended, at(2));
    assert!(stores.ledger.settle(&settlement).await.unwrap().is_first());
    assert!(!stores.ledger.settle(&settlement).await.unwrap().is_first());
    for (scope, used) in [
        (LimitScope::Key(key_id("k")), 9),
        (LimitScope::Group(group_id("team")), 9),
        (account("one"), 7),
        (LimitScope::Group(group_id("other")), 0),
    ] {
        assert_eq!(
            used_and_held(stores, scope.clone(), &total, at(2)).await,
            (used, 0),
            "{scope:?}"
        );
    }
}
