use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use relay_crypto::{LegacySalt, SealFormat};
use relay_domain::{
    Account, AccountBinding, ApiKey, BudgetPolicy, KeyGroup, LimitKind, LimitScope, Limits,
    ModelMap, Multiplier, SealedSecret, Timestamp, WaitQueue,
};
use relay_store::contract::fixture::{account_group, group, signature};
use relay_store::{Assignment, HoldAnswer};
use relay_testkit::{account, eventually};

use super::*;
use crate::fixture::{Bench, SECRET, keyring};
use crate::upstream_url::Endpoint;

const BODY: &str = r#"{"model":"claude-sonnet-5","messages":[{"role":"user","content":"hi"}]}"#;
const RESET: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// An account where nobody listens, with these limits.
fn unreachable(id: &str, limits: Limits) -> Account {
    let sealed = keyring(SealFormat::Aead).seal(&"sk-upstream".into(), LegacySalt::Console);
    Account {
        base_url: "http://127.0.0.1:1".to_owned(),
        secret: SealedSecret::new(sealed.unwrap()),
        limits,
        ..account(id)
    }
}

fn quota() -> Limits {
    Limits { daily_cost: Some(NanoUsd::from_nanos(5)), ..Limits::default() }
}

fn denied(account: &str) -> HoldAnswer {
    HoldAnswer::Denied(Denial {
        scope: LimitScope::Account(AccountId::try_from(account).unwrap()),
        limit: LimitKind::DailyCost,
        used: 5,
        held: 0,
        allowed: 5,
        resets_at: Some(RESET),
    })
}

/// Relays one request to `accounts`, the ledger answering their assignments with `answers`.
async fn relayed(
    accounts: &[Account],
    answers: impl IntoIterator<Item = HoldAnswer>,
) -> (Bench, EngineError) {
    let bench = Bench::new();
    bench.key(|_| ()).await;
    for account in accounts {
        bench.stores.accounts.create(account).await.unwrap();
    }
    bench.ledger.assign_answers.lock().unwrap().extend(answers);
    let relay = Relay::new(&bench.engine(None).await);
    let error = refusal(&bench, &relay).await;
    (bench, error)
}

/// Why a request is not answered.
async fn refusal(bench: &Bench, relay: &Relay) -> EngineError {
    let error = refused(relay).await;
    let tasks = bench.tasks.clone();
    eventually("it is settled", async || tasks.is_empty()).await;
    error
}

async fn refused(relay: &Relay) -> EngineError {
    let (headers, body) = (HeaderMap::new(), Bytes::from_static(BODY.as_bytes()));
    let incoming = Incoming {
        endpoint: Endpoint::Messages,
        id: relay.request_id(),
        arrived: Instant::now(),
        headers: &headers,
        query: None,
        body: &body,
        waits: None,
        departure: None,
    };
    let caller = relay.authenticate([SECRET].into_iter()).await.unwrap();
    relay.relay(caller, &incoming).await.err().unwrap()
}

fn assigned(bench: &Bench) -> Vec<(String, bool)> {
    let assignments = bench.ledger.assignments.lock().unwrap();
    let of = |assignment: &Assignment| {
        (assignment.account.as_str().to_owned(), !assignment.limits.are_none())
    };
    assignments.iter().map(of).collect()
}

#[tokio::test]
async fn a_change_of_a_group_of_accounts_holds_from_the_next_request_on() {
    let bench = Bench::new();
    let mut group = account_group("g", &[]);
    let groups = &bench.stores.account_groups;
    groups.create(&group).await.unwrap();
    let key = bench.key(|key| key.claude_binding = AccountBinding::Group(group.id.clone())).await;
    for id in ["a", "b", "c"] {
        bench.stores.accounts.create(&unreachable(id, quota())).await.unwrap();
        bench.ledger.assign_answers.lock().unwrap().push_back(denied(id));
    }
    let relay = Relay::new(&bench.engine(None).await);
    let mut asked = Vec::new();
    for members in [&["a"][..], &[], &["c"], &["b"]] {
        let ids = members.iter().map(|id| AccountId::try_from(*id).unwrap());
        group.members = ids.collect();
        assert!(groups.update(&group).await.unwrap().is_done());
        group.revision += 1;
        asked.extend(members.iter().map(|id| ((*id).to_owned(), true)));
        let error = refusal(&bench, &relay).await;
        let EngineError::NoAccount { shortage, .. } = error else { panic!("{error}") };
        assert_eq!(shortage == Shortage::NoMembers, members.is_empty(), "{members:?}");
        assert_eq!(assigned(&bench), asked, "{members:?}");
    }
    // While the key is deleted it does not keep its group.
    let deleted = ApiKey { deleted: Some(signature(RESET, "admin")), ..key.clone() };
    assert!(bench.stores.keys.update(&deleted).await.unwrap().is_done());
    assert!(groups.delete(&group.id, group.revision).await.unwrap().is_done());
    let restored = ApiKey { revision: 1, ..key };
    assert!(bench.stores.keys.update(&restored).await.unwrap().is_done());
    let error = refusal(&bench, &relay).await;
    assert!(
        matches!(error, EngineError::NoAccount { shortage: Shortage::NoMembers, .. }),
        "{error}"
    );
    assert_eq!(assigned(&bench), asked, "nobody else stands in");
}

#[tokio::test]
async fn accounts_without_room_are_passed_over_and_the_shortage_says_until_when() {
    let accounts = [unreachable("a", quota()), unreachable("b", quota())];
    let (bench, error) = relayed(&accounts, [denied("a"), denied("b")]).await;
    let EngineError::NoAccount { shortage, retry_at } = error else { panic!("{error:?}") };
    assert_eq!(shortage, Shortage::RateLimited { until: Some(RESET) });
    assert_eq!(retry_at, Some(RESET));
    assert_eq!(assigned(&bench).len(), 2, "each is asked once");
    let settlements = bench.ledger.settlements.lock().unwrap();
    let record = &settlements[0].record;
    assert_eq!((record.outcome, record.attempts.len()), (Outcome::NoAccount, 0));
    let verdicts: Vec<_> =
        record.decision.iter().map(|decided| (decided.verdict.as_ref(), decided.until)).collect();
    assert_eq!(verdicts, [("quota_spent", Some(RESET)); 2]);
}

/// A denial of `account`, of whose five dollars a day so much is spent and so much held.
fn no_room(account: &str, spent: u64, held: u64) -> HoldAnswer {
    let HoldAnswer::Denied(denial) = denied(account) else { unreachable!() };
    let dollars = |dollars: u64| dollars * 1_000_000_000;
    let [used, held, allowed] = [spent + held, held, 5].map(dollars);
    HoldAnswer::Denied(Denial { used, held, allowed, ..denial })
}

#[tokio::test]
async fn an_account_that_is_full_of_what_is_in_flight_is_not_said_to_be_used_up() {
    // The request may come to some two dollars, which a hard budget holds; a soft one lets in what finds any room.
    let spent = Shortage::RateLimited { until: Some(RESET) };
    let small = Shortage::RoomTooSmall { until: Some(RESET) };
    for (is_hard, [of_a, of_b], shortage, verdicts) in [
        (true, [(1, 4), (1, 3)], Shortage::RoomHeld, ["room_held"; 2]),
        (false, [(1, 4), (4, 1)], Shortage::RoomHeld, ["room_held"; 2]),
        (true, [(1, 4), (5, 1)], Shortage::RoomHeld, ["room_held", "quota_spent"]),
        (true, [(1, 4), (4, 0)], Shortage::RoomHeld, ["room_held", "room_too_small"]),
        (true, [(4, 0), (4, 1)], small, ["room_too_small"; 2]),
        (true, [(4, 0), (6, 0)], small, ["room_too_small", "quota_spent"]),
        (true, [(5, 0), (6, 0)], spent, ["quota_spent"; 2]),
    ] {
        let limits = if is_hard { hard(daily(5)) } else { daily(5) };
        let accounts = [unreachable("a", limits), unreachable("b", limits)];
        let answers = [no_room("a", of_a.0, of_a.1), no_room("b", of_b.0, of_b.1)];
        let (bench, error) = relayed(&accounts, answers).await;
        let EngineError::NoAccount { shortage: found, .. } = error else { panic!("{error:?}") };
        assert_eq!(found, shortage, "{of_a:?}, {of_b:?}");
        let settlements = bench.ledger.settlements.lock().unwrap();
        let record = &settlements[0].record;
        assert_eq!((record.outcome, record.status), (Outcome::NoAccount, 429));
        let found: Vec<_> =
            record.decision.iter().map(|decided| decided.verdict.as_ref()).collect();
        assert_eq!(found, verdicts, "{of_a:?}, {of_b:?}");
    }
}

#[tokio::test]
async fn what_a_budget_never_has_room_for_has_no_end() {
    let limits = hard(daily(1));
    let HoldAnswer::Denied(denial) = denied("a") else { unreachable!() };
    let answer = Denial { used: 0, allowed: 1_000_000_000, ..denial };
    let answers = [HoldAnswer::Denied(answer)];
    let (_, error) = relayed(&[unreachable("a", limits)], answers).await;
    let EngineError::NoAccount { shortage, retry_at } = error else { panic!("{error:?}") };
    assert_eq!((shortage, retry_at), (Shortage::RoomTooSmall { until: None }, None));
}

#[tokio::test]
async fn a_window_that_is_used_up_ends_with_its_length() {
    let HoldAnswer::Denied(denial) = denied("a") else { unreachable!() };
    let used_up = Denial { limit: LimitKind::WindowRequests, ..denial };
    let (bench, error) = relayed(&[unreachable("a", quota())], [HoldAnswer::Denied(used_up)]).await;
    let EngineError::NoAccount { shortage, .. } = error else { panic!("{error:?}") };
    assert_eq!(shortage, Shortage::RateLimited { until: Some(RESET) });
    let settlements = bench.ledger.settlements.lock().unwrap();
    assert_eq!(settlements[0].record.decision[0].verdict, "limit_reached");
}

#[tokio::test]
async fn who_has_a_queue_waits_for_room_in_a_budget() {
    let bench = Bench::new();
    let queue = WaitQueue { max_waiting: 9, deadline: Duration::from_mins(1) };
    bench.key(|key| key.queue = Some(queue)).await;
    bench.stores.accounts.create(&unreachable("a", hard(daily(5)))).await.unwrap();
    bench.ledger.assign_answers.lock().unwrap().extend(vec![no_room("a", 1, 3); 1_000]);
    let relay = Relay::new(&bench.engine(None).await);
    let room = Arc::clone(&relay.core.wait_room);
    let asking = relay.clone();
    bench.tasks.spawn(async move { refused(&asking).await });
    eventually("it waits", async || room.waiting() == 1).await;
    // A request in flight ends, and gives back what it held.
    bench.ledger.assign_answers.lock().unwrap().clear();
    relay.core.wait_room.wake_all(&Hall::Accounts);
    let tasks = bench.tasks.clone();
    eventually("it is answered", async || tasks.is_empty()).await;
    let settlements = bench.ledger.settlements.lock().unwrap();
    assert_eq!(settlements[0].record.attempts.len(), 1, "the account was asked");
}

#[tokio::test]
async fn a_place_moves_on_with_the_request() {
    let mut accounts = [unreachable("a", quota()), unreachable("b", Limits::default())];
    accounts[1].priority = 99.try_into().unwrap();
    let (bench, _) = relayed(&accounts, [HoldAnswer::Held, HoldAnswer::Held]).await;
    let expected = [("a".to_owned(), true), ("b".to_owned(), false)];
    assert_eq!(assigned(&bench), expected, "the second gives back what the first held");
    let settlements = bench.ledger.settlements.lock().unwrap();
    assert_eq!(settlements[0].record.attempts.len(), 2);
}

#[tokio::test]
async fn accounts_without_limits_cost_no_trip_and_a_lost_hold_is_told() {
    let (bench, _) = relayed(&[unreachable("a", Limits::default())], []).await;
    assert_eq!(assigned(&bench), []);
    let (_, error) = relayed(&[unreachable("a", quota())], [HoldAnswer::Gone]).await;
    assert!(matches!(error, EngineError::HoldLost), "{error:?}");
}

fn daily(dollars: i64) -> Limits {
    let daily_cost = Some(NanoUsd::from_nanos(dollars * 1_000_000_000));
    Limits { daily_cost, ..Limits::default() }
}

fn hard(limits: Limits) -> Limits {
    Limits { budget_policy: BudgetPolicy::Hard, ..limits }
}

#[tokio::test]
async fn a_hard_quota_of_an_account_holds_the_worst_case_for_a_key_without_limits() {
    let quota = daily(100);
    for (limits, worst) in [(hard(quota), true), (quota, false)] {
        let models =
            ModelMap::new([("claude-sonnet-5".to_owned(), "claude-opus-5".to_owned())].into());
        let account = Account { models, ..unreachable("a", limits) };
        let (bench, _) = relayed(&[account], []).await;
        let assignments = bench.ledger.assignments.lock().unwrap();
        // All that Opus gives: 128,000 tokens at 25 dollars a million and a tenth more, and a little input.
        let cost = assignments[0].cost;
        assert_eq!(NanoUsd::from_nanos(3_520_000_000) < cost, worst, "{cost}");
        assert!(worst || cost == NanoUsd::ZERO, "the guess of the admission does: {cost}");
    }
}

#[tokio::test]
async fn what_an_account_has_become_since_admission_is_held_before_it_is_asked() {
    let bench = Bench::new();
    let team = KeyGroup { limits: daily(100), ..group("team") };
    bench.stores.groups.create(&team).await.unwrap();
    let join = |key: &mut ApiKey| {
        key.limits = hard(daily(10));
        key.group = Some(team.id.clone());
    };
    bench.key(join).await;
    bench.stores.accounts.create(&unreachable("a", Limits::default())).await.unwrap();
    let relay = Relay::new(&bench.engine(None).await);
    let error = refusal(&bench, &relay).await;
    assert!(matches!(error, EngineError::NoAccount { .. }), "it was asked: {error}");
    assert_eq!(
        bench.ledger.extensions.lock().unwrap().len(),
        0,
        "nothing has changed, no trip more"
    );

    // The first one rests by now.
    let rate = Multiplier::from_micros(10_000_000);
    let dear = Account { rate, ..unreachable("b", Limits::default()) };
    bench.stores.accounts.create(&dear).await.unwrap();
    let error = refusal(&bench, &relay).await;
    let EngineError::Denied { denial, needed } = error else { panic!("{error}") };
    assert_eq!(denial.limit, LimitKind::DailyCost);
    assert!(10_000_000_000 < needed, "{needed}");
    let extension = bench.ledger.extensions.lock().unwrap().pop().unwrap();
    let (soft, limits) = extension.group.unwrap();
    assert_eq!((soft, limits), (team.id.clone(), Limits::default()), "a soft limit is not asked");
    let settlements = bench.ledger.settlements.lock().unwrap();
    let record = &settlements.last().unwrap().record;
    assert_eq!((record.outcome, record.attempts.len()), (Outcome::Rejected, 0), "nobody was asked");
}

#[tokio::test]
async fn nobody_passes_those_who_wait_for_an_account() {
    let bench = Bench::new();
    let queue = WaitQueue { max_waiting: 9, deadline: Duration::from_mins(1) };
    bench.key(|key| key.queue = Some(queue)).await;
    let one_at_once = Limits { concurrency: Some(1), ..Limits::default() };
    bench.stores.accounts.create(&unreachable("a", one_at_once)).await.unwrap();
    let busy = HoldAnswer::Denied(Denial {
        scope: LimitScope::Account(AccountId::try_from("a").unwrap()),
        limit: LimitKind::Concurrency,
        used: 1,
        held: 1,
        allowed: 1,
        resets_at: None,
    });
    bench.ledger.assign_answers.lock().unwrap().extend(vec![busy; 1_000]);
    let relay = Relay::new(&bench.engine(None).await);
    let room = Arc::clone(&relay.core.wait_room);
    for waiting in 1..=2 {
        let relay = relay.clone();
        bench.tasks.spawn(async move { refused(&relay).await });
        eventually("it waits", async || room.waiting() == waiting).await;
    }
    // The account becomes free.
    bench.ledger.assign_answers.lock().unwrap().clear();
    relay.core.wait_room.wake_all(&Hall::Accounts);
    let tasks = bench.tasks.clone();
    eventually("both have their answers", async || tasks.is_empty()).await;
    let assignments = bench.ledger.assignments.lock().unwrap();
    let mut asked: Vec<_> = assignments.iter().map(|assignment| assignment.request).collect();
    asked.dedup();
    // Its attempt fails, and the account rests before it is the second's turn.
    assert_eq!(asked.len(), 1, "who came second does not ask meanwhile");
}
