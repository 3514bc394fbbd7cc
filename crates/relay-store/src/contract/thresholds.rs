//! What every [`Ledger`](crate::Ledger) owes those who want to be told that a budget is running out: each
//! threshold once, and to one settlement.

use relay_domain::{LimitKind, LimitScope, LimitState, Limits, NanoUsd, RequestRecord};

use super::fixture::{account_id, admitted, at, at_once, group_id, key_id, record, settlement};
use super::spender::{BUDGETS, Spender, Whose, amount, dimes, limit, with_limit};
use crate::{Charge, Crossing, Settled, Settlement, Stores};

fn crossed(settled: Settled) -> Vec<Crossing> {
    match settled {
        Settled::Now { crossed } => crossed,
        Settled::Before => panic!("it was settled before"),
    }
}

/// A settlement is told the thresholds that it has passed, and how the budget stands with it.
pub async fn a_settlement_is_told_what_it_has_passed(stores: &Stores) {
    for whose in Whose::ALL {
        for kind in BUDGETS {
            let spender = Spender::new(stores, whose, &format!("told-{kind:?}"), limit(kind, 100));
            spender.enter(90, 1, at(0)).await.unwrap();
            for number in 0..6 {
                spender.enter(number, 0, at(0)).await.unwrap();
            }
            let mut used = 0;
            let cases: [(u64, u64, &[u8]); 6] = [
                (0, 49, &[]),
                (1, 1, &[50]),
                (2, 29, &[]),
                (3, 20, &[80, 95]),
                (4, 0, &[]),
                (5, 30, &[100]),
            ];
            for (number, weight, percents) in cases {
                let crossed = crossed(spender.settle(number, weight, at(1)).await);
                used += weight;
                let expected = percents.iter().map(|percent| Crossing {
                    scope: spender.scope(),
                    percent: *percent,
                    state: LimitState {
                        limit: kind,
                        used: amount(kind, used),
                        held: amount(kind, 1),
                        allowed: amount(kind, 100),
                        resets_at: crossed.first().and_then(|crossing| crossing.state.resets_at),
                    },
                });
                assert_eq!(
                    crossed,
                    expected.collect::<Vec<_>>(),
                    "{kind:?} of {whose:?} at {used}"
                );
                if let (Some(crossing), Some(_)) = (crossed.first(), kind.period()) {
                    assert_eq!(crossing.state.resets_at, spender.resets_at(kind, at(1)));
                }
            }
        }
    }
}

/// However many settlements pass a threshold at once, one of them is told.
pub async fn a_threshold_is_told_once(stores: &Stores) {
    for whose in Whose::ALL {
        let spender = Spender::new(stores, whose, "once", limit(LimitKind::DailyCost, 100));
        for number in 0..50 {
            spender.enter(number, 2, at(0)).await.unwrap();
        }
        let told = at_once((0..100).map(|call: u64| {
            let spender = spender.clone();
            async move {
                match spender.settle(call / 2, 2, at(1)).await {
                    Settled::Now { crossed } => crossed,
                    Settled::Before => Vec::new(),
                }
            }
        }))
        .await;
        let mut percents: Vec<_> =
            told.into_iter().flatten().map(|crossing| crossing.percent).collect();
        percents.sort_unstable();
        assert_eq!(percents, [50, 80, 95, 100], "{whose:?}");
    }
}

/// Every budget of the key, the group and the account that is watched tells its own.
pub async fn every_watched_budget_tells_its_own(stores: &Stores) {
    let scopes = [
        LimitScope::Key(key_id("k")),
        LimitScope::Group(group_id("team")),
        LimitScope::Account(account_id("one")),
    ];
    let limits = with_limit(limit(LimitKind::DailyCost, 10), LimitKind::TotalCost, Some(20));
    let budgets: Vec<_> = scopes.iter().map(|scope| (scope.clone(), limits)).collect();
    let ended = |number, budgets: &[(LimitScope, Limits)]| Settlement {
        budgets: budgets.to_vec(),
        ..settlement(
            RequestRecord {
                group: Some(group_id("team")),
                account: Some(account_id("one")),
                cost: Some(dimes(6)),
                charged: Some(dimes(9)),
                ..record(number, "k")
            },
            at(1),
        )
    };
    admitted(stores, 0, "k", at(0)).await;
    let asked = super::fixture::admit_request(1, "k", at(0));
    let team = Some((group_id("team"), Limits::default()));
    for request in [super::fixture::request_id(0), super::fixture::request_id(1)] {
        let asked = crate::AdmitRequest { request, group: team.clone(), ..asked.clone() };
        assert!(stores.ledger.admit(&asked).await.unwrap().decision.is_ok());
    }
    let told = crossed(stores.ledger.settle(&ended(0, &budgets)).await.unwrap());
    let told: Vec<_> = told
        .iter()
        .map(|crossing| (&crossing.scope, crossing.state.limit, crossing.percent))
        .collect();
    let [key, group, account] = &scopes;
    let expected = [
        (key, LimitKind::DailyCost, 50),
        (key, LimitKind::DailyCost, 80),
        (group, LimitKind::DailyCost, 50),
        (group, LimitKind::DailyCost, 80),
        (account, LimitKind::DailyCost, 50),
    ];
    assert_eq!(told, expected);
    let told = crossed(stores.ledger.settle(&ended(1, &budgets[..1])).await.unwrap());
    let told: Vec<_> = told
        .iter()
        .map(|crossing| (&crossing.scope, crossing.state.limit, crossing.percent))
        .collect();
    let expected = [
        (key, LimitKind::DailyCost, 95),
        (key, LimitKind::DailyCost, 100),
        (key, LimitKind::TotalCost, 50),
        (key, LimitKind::TotalCost, 80),
    ];
    assert_eq!(told, expected, "what is not watched is not told");
}

/// A new period and a restart begin anew; a release passes nothing.
pub async fn thresholds_are_told_again_when_a_limit_starts_anew(stores: &Stores) {
    let spender = Spender::new(stores, Whose::Key, "anew", limit(LimitKind::DailyCost, 10));
    let tomorrow = spender.resets_at(LimitKind::DailyCost, at(0)).unwrap();
    let mut number = 0;
    for (restart, now) in [(false, at(0)), (false, tomorrow), (true, tomorrow)] {
        if restart {
            stores.ledger.restart(&spender.scope(), now).await.unwrap();
        }
        spender.enter(number, 1, now).await.unwrap();
        let release = Settlement { charge: Charge::Release, ..spender.end(number, 10, now) };
        assert_eq!(crossed(stores.ledger.settle(&release).await.unwrap()), []);
        spender.enter(number + 1, 1, now).await.unwrap();
        let told = crossed(spender.settle(number + 1, 10, now).await);
        assert_eq!(
            told.iter().map(|crossing| crossing.percent).collect::<Vec<_>>(),
            [50, 80, 95, 100]
        );
        number += 2;
    }
    let nothing = Spender::new(stores, Whose::Key, "nothing", limit(LimitKind::DailyCost, 0));
    admitted(stores, 200, "nothing-Key", at(0)).await;
    let free = RequestRecord { charged: Some(NanoUsd::ZERO), ..record(200, "nothing-Key") };
    let end = Settlement { record: free, ..nothing.end(0, 0, at(1)) };
    assert_eq!(crossed(stores.ledger.settle(&end).await.unwrap()), []);
}
