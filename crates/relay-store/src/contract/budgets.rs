//! What every [`Ledger`](crate::Ledger) owes those who have budgets: nobody passes one, however many
//! requests run at once, and what is not spent is free again.

use relay_domain::{BudgetPolicy, LimitKind, Limits, RequestRecord, Timestamp};

use super::fixture::{LEASE, at, at_once, checkpoint, model, usage};
use super::spender::{BUDGETS, Spender, WINDOW, Whose, amount, dimes, limit, with_limit};
use crate::{AdmitRequest, Charge, Denial, Settlement, Stores};

/// Limits that weigh what a request comes to.
pub(super) fn weighing() -> impl Iterator<Item = LimitKind> {
    BUDGETS.into_iter().chain([LimitKind::WindowTokens])
}

/// When a limit gives way whose window, if it is of one, was opened at `now`.
fn resets_at(spender: &Spender, kind: LimitKind, now: Timestamp) -> Option<Timestamp> {
    let is_window = matches!(kind, LimitKind::WindowTokens | LimitKind::WindowCost);
    if is_window { Some(now.plus(WINDOW)) } else { spender.resets_at(kind, now) }
}

/// With a hard budget a request is in if what it may come to fits beside what is spent and what others may
/// come to. A denial says which limit of whom, how much of it is gone, and when it gives way. What was held
/// too much is free after the settlement.
pub async fn a_budget_lets_in_what_fits(stores: &Stores) {
    for whose in Whose::ALL {
        for kind in weighing() {
            let limits = Limits { budget_policy: BudgetPolicy::Hard, ..limit(kind, 10) };
            let spender = Spender::new(stores, whose, &format!("fits-{kind:?}"), limits);
            assert_eq!(spender.used_and_held(at(0)).await, (0, 0), "{kind:?}");
            spender.enter(0, 4, at(0)).await.unwrap();
            spender.enter(1, 4, at(1)).await.unwrap();
            let denial = Denial {
                scope: spender.scope(),
                limit: kind,
                used: amount(kind, 8),
                held: amount(kind, 8),
                allowed: amount(kind, 10),
                resets_at: resets_at(&spender, kind, at(0)),
            };
            assert_eq!(spender.enter(2, 3, at(2)).await, Err(denial), "{kind:?} of {whose:?}");
            spender.enter(3, 2, at(3)).await.unwrap();
            assert_eq!(spender.used_and_held(at(4)).await, (0, 10), "{kind:?} of {whose:?}");
            spender.finish(0, 1, at(4)).await;
            assert_eq!(spender.used_and_held(at(4)).await, (1, 6), "{kind:?} of {whose:?}");
            spender.enter(4, 3, at(5)).await.unwrap();
            assert!(spender.enter(5, 1, at(6)).await.is_err(), "{kind:?} of {whose:?}");
        }
    }
}

/// With a soft budget a request is in if there is any room beside what is spent and what others may come to:
/// what it may come to itself weighs on those after it alone.
pub async fn a_soft_budget_lets_in_the_last_that_finds_room(stores: &Stores) {
    for whose in Whose::ALL {
        for kind in weighing() {
            let limits = Limits { budget_policy: BudgetPolicy::Soft, ..limit(kind, 10) };
            let spender = Spender::new(stores, whose, &format!("soft-{kind:?}"), limits);
            spender.enter(0, 9, at(0)).await.unwrap();
            spender.enter(1, 9, at(1)).await.unwrap();
            let denial = Denial {
                scope: spender.scope(),
                limit: kind,
                used: amount(kind, 18),
                held: amount(kind, 18),
                allowed: amount(kind, 10),
                resets_at: resets_at(&spender, kind, at(0)),
            };
            assert_eq!(spender.enter(2, 0, at(2)).await, Err(denial), "{kind:?} of {whose:?}");
            spender.finish(0, 9, at(3)).await;
            assert!(spender.enter(3, 0, at(4)).await.is_err(), "{kind:?} of {whose:?}");
            spender.finish(1, 0, at(5)).await;
            spender.enter(4, 100, at(6)).await.unwrap();
            assert_eq!(spender.used_and_held(at(6)).await, (9, 100), "{kind:?} of {whose:?}");
        }
    }
}

/// Ten at once of fifty, and when they have come to less than was thought, as many more as the rest is for.
pub async fn a_budget_is_exact_under_parallel_requests(stores: &Stores) {
    for whose in Whose::ALL {
        for kind in [LimitKind::TotalCost, LimitKind::DailyCost, LimitKind::WindowCost] {
            let spender = Spender::new(stores, whose, &format!("exact-{kind:?}"), limit(kind, 100));
            let enter = async |numbers: std::ops::Range<u64>| {
                let spender = spender.clone();
                let entering = numbers.map(move |number| {
                    let spender = spender.clone();
                    async move { (number, spender.enter(number, 10, at(0)).await) }
                });
                at_once(entering).await
            };
            let decisions = enter(0..50).await;
            let (granted, denied): (Vec<_>, Vec<_>) =
                decisions.into_iter().partition(|(_, decision)| decision.is_ok());
            assert_eq!(granted.len(), 10, "{kind:?} of {whose:?}");
            for (_, denial) in denied {
                let expected = Denial {
                    scope: spender.scope(),
                    limit: kind,
                    used: amount(kind, 100),
                    held: amount(kind, 100),
                    allowed: amount(kind, 100),
                    resets_at: resets_at(&spender, kind, at(0)),
                };
                assert_eq!(denial, Err(expected));
            }
            let settling = granted.into_iter().map(|(number, _)| {
                let spender = spender.clone();
                async move { spender.finish(number, 4, at(1)).await }
            });
            at_once(settling.collect::<Vec<_>>()).await;
            assert_eq!(spender.used_and_held(at(1)).await, (40, 0), "{kind:?} of {whose:?}");
            let again = enter(50..100).await;
            let granted = again.iter().filter(|(_, decision)| decision.is_ok()).count();
            assert_eq!(granted, 6, "{kind:?} of {whose:?}");
        }
    }
}

/// What is used up lets nothing in, whatever it is thought to come to; nor does a budget of nothing.
pub async fn a_budget_that_is_used_up_lets_nothing_in(stores: &Stores) {
    for whose in Whose::ALL {
        let spender = Spender::new(stores, whose, "used-up", limit(LimitKind::TotalCost, 10));
        spender.enter(0, 10, at(0)).await.unwrap();
        assert!(spender.enter(1, 0, at(0)).await.is_err(), "it is all held");
        spender.finish(0, 12, at(1)).await;
        let denial = spender.enter(2, 0, at(2)).await.unwrap_err();
        assert_eq!(denial.used, amount(LimitKind::TotalCost, 12), "what came is counted");
        let nothing = Spender::new(stores, whose, "nothing", limit(LimitKind::DailyCost, 0));
        assert!(nothing.enter(0, 0, at(0)).await.is_err());
    }
}

/// Where several limits are reached, the denial names the first in the order of v1, the key's before its
/// group's.
pub async fn the_first_limit_that_is_reached_is_named(stores: &Stores) {
    let order = [
        LimitKind::Concurrency,
        LimitKind::WindowRequests,
        LimitKind::WindowTokens,
        LimitKind::WindowCost,
        LimitKind::DailyCost,
        LimitKind::WeeklyCost,
        LimitKind::MonthlyCost,
        LimitKind::TotalCost,
        LimitKind::WeeklyClaudeCost,
    ];
    for whose in Whose::ALL {
        let mut limits = order
            .into_iter()
            .fold(Limits::default(), |limits, kind| with_limit(limits, kind, Some(1)));
        let spender = Spender::new(stores, whose, "order", limits);
        spender.enter(0, 1, at(0)).await.unwrap();
        for (number, kind) in (1..).zip(order) {
            let denial = spender.with(limits).enter(number, 1, at(1)).await.unwrap_err();
            assert_eq!((denial.limit, denial.used), (kind, amount(kind, 1)), "of {whose:?}");
            limits = with_limit(limits, kind, None);
        }
        spender.with(limits).enter(100, 1, at(2)).await.unwrap();
    }
    let key = Spender::new(stores, Whose::Key, "first", limit(LimitKind::WeeklyClaudeCost, 0));
    let group = Spender::new(stores, Whose::Group, "second", limit(LimitKind::Concurrency, 0));
    let asked = AdmitRequest { group: group.ask(0, 1, at(0)).group, ..key.ask(0, 1, at(0)) };
    let denial = stores.ledger.admit(&asked).await.unwrap().decision.unwrap_err();
    assert_eq!(denial.scope, key.scope());
    let asked = AdmitRequest { limits: Limits::default(), ..asked };
    let denial = stores.ledger.admit(&asked).await.unwrap().decision.unwrap_err();
    assert_eq!(denial.scope, group.scope());
}

/// A budget of Claude models is touched by requests that one may answer, and counts those that one answered,
/// whatever the client calls it.
pub async fn a_budget_of_claude_models_counts_no_others(stores: &Stores) {
    for whose in Whose::ALL {
        let claude = Spender::new(stores, whose, "claude", limit(LimitKind::WeeklyClaudeCost, 10));
        let mut other = claude.clone();
        (other.model, other.served) = (model("gpt-5"), model("gpt-5"));
        other.enter(0, 100, at(0)).await.unwrap();
        assert_eq!(claude.used_and_held(at(0)).await, (0, 0), "{whose:?}");
        claude.enter(1, 6, at(0)).await.unwrap();
        other.finish(0, 100, at(1)).await;
        assert_eq!(claude.used_and_held(at(1)).await, (0, 6), "{whose:?}");
        claude.finish(1, 6, at(1)).await;
        assert!(claude.enter(2, 5, at(2)).await.is_err(), "{whose:?}");
        other.enter(3, 5, at(2)).await.unwrap();
        assert_eq!(claude.used_and_held(at(2)).await, (6, 0), "{whose:?}");

        let mut alias = claude.clone();
        alias.model = model("fast");
        assert!(alias.enter(4, 5, at(2)).await.is_err(), "{whose:?}");
        alias.enter(5, 1, at(2)).await.unwrap();
        assert_eq!(claude.used_and_held(at(2)).await, (6, 1), "{whose:?}");
        alias.finish(5, 1, at(3)).await;
        assert_eq!(claude.used_and_held(at(3)).await, (7, 0), "{whose:?}");
        let mut replaced = claude.clone();
        replaced.served = model("glm-5");
        replaced.enter(6, 3, at(3)).await.unwrap();
        replaced.finish(6, 3, at(4)).await;
        assert_eq!(claude.used_and_held(at(4)).await, (7, 0), "{whose:?}");
    }
}

/// What was spent weighs until the end of its period, to the millisecond, and no longer.
pub async fn a_period_that_is_over_weighs_no_more(stores: &Stores) {
    for whose in Whose::ALL {
        for kind in [
            LimitKind::DailyCost,
            LimitKind::WeeklyCost,
            LimitKind::MonthlyCost,
            LimitKind::WeeklyClaudeCost,
        ] {
            let mut limits = limit(kind, 10);
            (limits.starts.week_day, limits.starts.week_hour) = (3, 10);
            if whose == Whose::Account {
                limits.starts.day_minute = 8 * 60 + 30;
            }
            let spender = Spender::new(stores, whose, &format!("over-{kind:?}"), limits);
            spender.enter(0, 10, at(0)).await.unwrap();
            spender.finish(0, 10, at(1)).await;
            let mut end = spender.resets_at(kind, at(1)).unwrap();
            for number in [1, 10] {
                let last = Timestamp::from_millis(end.as_millis() - 1);
                let denial = spender.enter(number, 1, last).await.unwrap_err();
                assert_eq!(denial.resets_at, Some(end), "{kind:?} of {whose:?}");
                assert_eq!(spender.standing(end).await[0].used, 0, "{kind:?} of {whose:?}");
                spender.enter(number + 1, 10, end).await.unwrap();
                spender.finish(number + 1, 10, end).await;
                assert_eq!(spender.used_and_held(end).await, (10, 0), "{kind:?} of {whose:?}");
                end = spender.resets_at(kind, end).unwrap();
            }
        }
    }
}

/// A request that begins before the end of a period and ends after it is held in both, and counts in the
/// second only.
pub async fn what_ends_in_the_next_period_counts_there(stores: &Stores) {
    for whose in Whose::ALL {
        for kind in [LimitKind::DailyCost, LimitKind::WeeklyCost, LimitKind::MonthlyCost] {
            let spender = Spender::new(stores, whose, &format!("next-{kind:?}"), limit(kind, 10));
            let end = spender.resets_at(kind, at(0)).unwrap();
            let last = Timestamp::from_millis(end.as_millis() - 1);
            spender.enter(0, 4, at(0)).await.unwrap();
            spender.finish(0, 4, at(0)).await;
            spender.enter(1, 6, last).await.unwrap();
            assert_eq!(spender.used_and_held(last).await, (4, 6), "{kind:?} of {whose:?}");
            assert_eq!(spender.used_and_held(end).await, (0, 6), "{kind:?} of {whose:?}");
            assert!(spender.enter(2, 5, end).await.is_err(), "{kind:?} of {whose:?}");
            spender.finish(1, 7, end).await;
            assert_eq!(spender.used_and_held(end).await, (7, 0), "{kind:?} of {whose:?}");
        }
    }
}

/// Limits hold as they are given with a request: one that is lowered below what is gone lets nothing in,
/// and one that is raised or taken away does. One that is set late counts what was spent before.
pub async fn a_limit_that_is_changed_holds_at_once(stores: &Stores) {
    for whose in Whose::ALL {
        for kind in [
            LimitKind::DailyCost,
            LimitKind::WeeklyCost,
            LimitKind::MonthlyCost,
            LimitKind::TotalCost,
            LimitKind::WeeklyClaudeCost,
        ] {
            let none = Spender::new(stores, whose, &format!("changed-{kind:?}"), Limits::default());
            none.enter(0, 6, at(0)).await.unwrap();
            none.finish(0, 6, at(1)).await;
            let late = none.with(limit(kind, 10));
            assert_eq!(late.used_and_held(at(2)).await, (6, 0), "{kind:?} of {whose:?}");
            late.enter(1, 4, at(2)).await.unwrap();
            let lowered = late.with(limit(kind, 5));
            let denial = lowered.enter(2, 0, at(3)).await.unwrap_err();
            let expected = (amount(kind, 10), amount(kind, 5));
            assert_eq!((denial.used, denial.allowed), expected, "{kind:?} of {whose:?}");
            late.finish(1, 4, at(4)).await;
            assert!(lowered.enter(3, 0, at(5)).await.is_err(), "{kind:?} of {whose:?}");
            late.with(limit(kind, 11)).enter(4, 1, at(5)).await.unwrap();
            none.enter(5, 100, at(5)).await.unwrap();
        }
    }
}

/// A release gives back what was held and spends nothing.
pub async fn a_release_spends_nothing(stores: &Stores) {
    for whose in Whose::ALL {
        for kind in BUDGETS {
            let spender =
                Spender::new(stores, whose, &format!("release-{kind:?}"), limit(kind, 10));
            spender.enter(0, 10, at(0)).await.unwrap();
            let release = Settlement { charge: Charge::Release, ..spender.end(0, 7, at(1)) };
            assert!(stores.ledger.settle(&release).await.unwrap().is_first());
            assert_eq!(spender.used_and_held(at(1)).await, (0, 0), "{kind:?} of {whose:?}");
        }
    }
}

/// Where a cost is not known, a key and a group count what is charged, and an account what is presumed, on each
/// of their budgets.
pub async fn an_unknown_cost_counts_what_stands_for_it(stores: &Stores) {
    for kind in BUDGETS {
        for (number, (whose, [cost, presumed, charged], used)) in [
            (Whose::Key, [None, Some(5), Some(3)], 3),
            (Whose::Key, [Some(3), None, None], 0),
            (Whose::Group, [None, Some(5), Some(3)], 3),
            (Whose::Account, [None, Some(5), Some(3)], 5),
            (Whose::Account, [Some(4), None, None], 4),
            (Whose::Account, [None, None, Some(3)], 0),
        ]
        .into_iter()
        .enumerate()
        {
            let name = format!("unknown-{kind:?}-{number}");
            let spender = Spender::new(stores, whose, &name, limit(kind, 10));
            spender.enter(0, 5, at(0)).await.unwrap();
            let [cost, presumed_cost, charged] =
                [cost, presumed, charged].map(|amount| amount.map(dimes));
            let record = RequestRecord { cost, presumed_cost, charged, ..spender.record(0, 0) };
            let end = Settlement { record, ..spender.end(0, 0, at(1)) };
            assert!(stores.ledger.settle(&end).await.unwrap().is_first());
            assert_eq!(spender.used_and_held(at(1)).await, (used, 0), "{whose:?} {kind:?}");
            stores.ledger.restart(&spender.scope(), at(2)).await.unwrap();
            assert_eq!(spender.used_and_held(at(3)).await, (0, 0), "{whose:?} {kind:?}");
        }
    }
}

/// What a dead process's request may have cost weighs until it is reaped; then what it is known to have
/// cost does, and what comes later counts nothing.
pub async fn what_is_reaped_counts_its_progress_and_holds_nothing(stores: &Stores) {
    for (number, whose) in (0..).zip(Whose::ALL) {
        let limits = limit(LimitKind::TotalCost, 10);
        let spender = Spender::new(stores, whose, "reaped", limits);
        let began = at(number * 1_000_000);
        spender.enter(0, 5, began).await.unwrap();
        spender.enter(1, 5, began).await.unwrap();
        let record = spender.record(1, 2);
        let mut told = checkpoint(0, began.plus(LEASE), usage(1));
        told.request = record.id;
        if let Some(progress) = &mut told.progress {
            progress.cost = record.cost;
            progress.presumed_cost = record.presumed_cost;
            progress.charged = record.charged;
            if let Some(account) = &record.account {
                progress.account = account.clone();
            }
        }
        assert!(stores.ledger.checkpoint(&told).await.unwrap());
        let ended = began.plus(LEASE);
        assert!(spender.enter(2, 1, ended).await.is_err(), "{whose:?}: it is not known");
        assert_eq!(stores.ledger.reap(ended, 10).await.unwrap().len(), 2);
        assert_eq!(spender.used_and_held(ended).await, (2, 0), "{whose:?}");
        assert!(!spender.settle(0, 5, ended).await.is_first());
        assert!(!spender.settle(1, 5, ended).await.is_first());
        assert_eq!(spender.used_and_held(ended).await, (2, 0), "{whose:?}");
        spender.enter(3, 8, ended).await.unwrap();
        spender.finish(3, 0, ended).await;
    }
}

/// The end of a lease frees the slot of a request and what it holds stays, until somebody settles it.
pub async fn a_lease_that_has_ended_still_holds_its_budget(stores: &Stores) {
    for whose in Whose::ALL {
        let limits = with_limit(limit(LimitKind::DailyCost, 10), LimitKind::Concurrency, Some(1));
        let spender = Spender::new(stores, whose, "lease", limits);
        spender.enter(0, 6, at(0)).await.unwrap();
        let denied = spender.enter(1, 1, at(0)).await.unwrap_err();
        assert_eq!(denied.limit, LimitKind::Concurrency);
        let ended = at(0).plus(LEASE);
        assert_eq!(spender.standing(ended).await[0].used, 0, "{whose:?}");
        let denied = spender.enter(2, 5, ended).await.unwrap_err();
        assert_eq!(denied.limit, LimitKind::DailyCost);
        spender.enter(3, 4, ended).await.unwrap();
        spender.finish(0, 6, ended).await;
        let [_, daily] = spender.standing(ended).await[..] else { panic!("two limits") };
        let dime = |number| amount(LimitKind::DailyCost, number);
        assert_eq!((daily.used, daily.held), (dime(6), dime(4)), "{whose:?}");
    }
}

/// A request that asks again is one request: it holds what it asks for now. If it is denied, it holds
/// nothing and has left no trace.
pub async fn asking_again_holds_once(stores: &Stores) {
    for whose in [Whose::Key, Whose::Group] {
        let limits =
            with_limit(limit(LimitKind::WindowCost, 10), LimitKind::WindowRequests, Some(9));
        let spender = Spender::new(stores, whose, "again", limits);
        spender.enter(0, 2, at(0)).await.unwrap();
        for weight in [8, 3, 8] {
            spender.enter(1, weight, at(1)).await.unwrap();
            let [requests, cost] = spender.standing(at(1)).await[..] else { panic!("two limits") };
            assert_eq!(requests.used, 2, "{whose:?}");
            assert_eq!(cost.held, amount(LimitKind::WindowCost, 2 + weight), "{whose:?}");
        }
        assert!(spender.enter(1, 9, at(2)).await.is_err(), "{whose:?}");
        let [requests, cost] = spender.standing(at(2)).await[..] else { panic!("two limits") };
        assert_eq!(requests.used, 1, "{whose:?}");
        assert_eq!(cost.held, amount(LimitKind::WindowCost, 2), "{whose:?}");
        assert!(!spender.settle(1, 5, at(3)).await.is_first(), "{whose:?}");
    }
}
