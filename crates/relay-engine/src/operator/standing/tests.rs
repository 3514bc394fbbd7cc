use relay_domain::{KeyId, RequestRecord};
use relay_store::contract::fixture::{admitted, record, settlement};
use relay_store::{AuditQuery, Settlement};
use secrecy::SecretString;

use super::*;
use crate::Clock as _;
use crate::operator::NewAccount;
use crate::operator::fixture::{Desk, root};

#[tokio::test]
async fn limits_that_start_anew_leave_a_note() {
    let desk = Desk::new();
    let limits = Limits { daily_cost: Some(NanoUsd::from_nanos(5)), ..Limits::default() };
    let secret = SecretString::from("sk-1");
    let platform = relay_domain::Platform::Codex;
    let new = NewAccount { limits, ..NewAccount::new(platform, "https://a.example", secret) };
    let account = desk.operator.create_account(&root(), new).await.unwrap();
    spend(&desk, 3, &account).await;
    let scope = LimitScope::Account(account.id.clone());
    let states = desk.operator.standing(&scope, &account.limits).await.unwrap();
    assert_eq!((states.len(), states[0].used, states[0].allowed), (1, 3, 5));
    assert!(desk.operator.standing(&scope, &Limits::default()).await.unwrap().is_empty());
    let spending = desk.operator.spending(std::slice::from_ref(&account)).await.unwrap();
    assert_eq!(spending, [Spending { of_day: NanoUsd::from_nanos(3), used_up: None }]);

    let stale = desk.operator.restart_account_limits(&root(), &account.id, Some(7)).await;
    assert!(matches!(stale, Err(OperatorError::Stale { current: 0 })), "{stale:?}");
    let states = desk.operator.standing(&scope, &account.limits).await.unwrap();
    assert_eq!(states[0].used, 3, "it is decided before anything starts anew");
    desk.operator.restart_account_limits(&root(), &account.id, Some(0)).await.unwrap();
    let states = desk.operator.standing(&scope, &account.limits).await.unwrap();
    assert_eq!(states[0].used, 0);
    let query = AuditQuery { limit: 1, ..AuditQuery::default() };
    let trail = desk.operator.audit(&query).await.unwrap().entries;
    assert_eq!(trail[0].action, "account.reset-limits");
    let noted = |text: &Option<String>| -> Value {
        serde_json::from_str(text.as_deref().unwrap()).unwrap()
    };
    let (before, after) = (noted(&trail[0].before), noted(&trail[0].after));
    for limit in ["daily_cost", "weekly_cost", "monthly_cost", "total_cost"] {
        assert_eq!(before[limit], "0.000000003", "{limit}: limited or not");
        assert_eq!(after[limit], "0.00", "{limit}");
    }
}

#[test]
fn of_the_limits_that_are_used_up_the_last_to_start_anew_tells() {
    let state = |limit, used, resets_at: Option<u64>| LimitState {
        limit,
        used,
        held: 9,
        allowed: 5,
        resets_at: resets_at.map(relay_domain::Timestamp::from_millis),
    };
    let day = state(LimitKind::DailyCost, 5, Some(10));
    let week = state(LimitKind::WeeklyCost, 6, Some(70));
    let total = state(LimitKind::TotalCost, 5, None);
    for (states, used_up) in [
        (vec![], None),
        (vec![state(LimitKind::DailyCost, 4, Some(10))], None),
        (vec![state(LimitKind::Concurrency, 5, None), day], Some(day)),
        (vec![week, day], Some(week)),
        (vec![total, week, day], Some(total)),
    ] {
        assert_eq!(Spending::of(&states).used_up, used_up, "{states:?}");
    }
}

/// A request of a key that costs so many nano-dollars at the account.
async fn spend(desk: &Desk, nanos: i64, account: &Account) {
    let (now, cost) = (desk.clock.now(), Some(NanoUsd::from_nanos(nanos)));
    admitted(&desk.stores, 0, "k", now).await;
    let record = RequestRecord {
        key: KeyId::try_from("k").unwrap(),
        account: Some(account.id.clone()),
        cost,
        charged: cost,
        ..record(0, "k")
    };
    let end: Settlement = settlement(record, now);
    assert!(desk.stores.ledger.settle(&end).await.unwrap().is_first());
}
