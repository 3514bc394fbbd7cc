//! Limits as they stand in Redis: v1's names and lifetimes, nothing left behind, and one truth for all
//! instances.

use std::time::Duration;

use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use relay_domain::{
    BudgetPolicy, LimitKind, LimitScope, LimitState, Limits, NanoUsd, PeriodStarts, RateWindow,
    RequestRecord, Timestamp,
};
use relay_store::contract::clocks;
use relay_store::contract::fixture::{
    LEASE, account_id, admit_request, admitted, at, at_once, checkpoint, group_id, key_id, record,
    request_id, settlement,
};
use relay_store::{
    AdmitRequest, Assignment, Charge, Checkpoint, Denial, Estimate, Extension, HoldAnswer,
    Settlement, StoreError, Stores,
};
use relay_store_redis::{RedisOptions, RedisStore};
use relay_testkit::{Listen, Persistence, RedisServer};

use crate::options;

const WINDOW: Duration = Duration::from_hours(1);

fn nanos(amount: i64) -> NanoUsd {
    NanoUsd::from_nanos(amount)
}

fn daily(amount: i64) -> Limits {
    let budget_policy = BudgetPolicy::Hard;
    Limits { daily_cost: Some(nanos(amount)), budget_policy, ..Limits::default() }
}

fn windowed() -> Limits {
    let (requests, tokens, cost) = (Some(100), Some(1_000_000), Some(nanos(1_000_000_000)));
    let window = Some(RateWindow { length: WINDOW, requests, tokens, cost });
    Limits { window, ..Limits::default() }
}

fn estimate(amount: i64) -> Estimate {
    Estimate { tokens: 10, cost: nanos(amount), charged: nanos(amount) }
}

fn ask(number: u8, limits: Limits) -> AdmitRequest {
    AdmitRequest { limits, estimate: estimate(100), ..admit_request(number, "k", at(0)) }
}

async fn enter(stores: &Stores, asked: &AdmitRequest) -> Result<(), Denial> {
    stores.ledger.admit(asked).await.unwrap().decision.map(|_| ())
}

async fn assign(stores: &Stores, number: u8, account: &str, limits: Limits) -> HoldAnswer {
    let (request, account) = (request_id(number), account_id(account));
    stores
        .ledger
        .assign(&Assignment { request, account, limits, cost: NanoUsd::ZERO, now: at(0) })
        .await
        .unwrap()
}

fn came_to(number: u8, amount: i64) -> RequestRecord {
    let amount = Some(nanos(amount));
    RequestRecord { account: None, cost: amount, charged: amount, ..record(number, "k") }
}

async fn finish(stores: &Stores, record: RequestRecord) {
    assert!(stores.ledger.settle(&settlement(record, at(1))).await.unwrap().is_first());
}

async fn standing(stores: &Stores, limits: &Limits, now: Timestamp) -> Vec<LimitState> {
    let scope = LimitScope::Key(key_id("k"));
    stores.ledger.standing(&scope, limits, now).await.unwrap()
}

async fn opened() -> (RedisServer, Stores, MultiplexedConnection) {
    let server = RedisServer::start();
    let stores = crate::store(&server).await.stores();
    let raw = crate::raw(&server).await;
    (server, stores, raw)
}

async fn set(raw: &mut MultiplexedConnection, name: &str, value: &str) {
    raw.set::<_, _, ()>(name, value).await.unwrap();
}

async fn evaluations(raw: &mut MultiplexedConnection) -> u64 {
    let stats: String = redis::cmd("INFO").arg("commandstats").query_async(raw).await.unwrap();
    let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    calls.map_or(0, |calls| calls.split(',').next().unwrap().parse().unwrap())
}

/// What v1 has counted is what Relay holds a key to.
#[tokio::test]
async fn a_keys_spending_is_what_v1_says_it_is() {
    let all = Limits {
        weekly_cost: Some(nanos(9_000_000_000)),
        monthly_cost: Some(nanos(9_000_000_000)),
        total_cost: Some(nanos(9_000_000_000)),
        weekly_claude_cost: Some(nanos(9_000_000_000)),
        ..daily(9_000_000_000)
    };
    let (_server, stores, mut raw) = opened().await;
    for (name, value) in [
        ("usage:cost:daily:k:2040-01-01", "1.25"),
        ("usage:cost:monthly:k:2040-01", "0.30000000000000004"),
        ("usage:cost:total:k", "3.1000000000000001"),
        ("usage:opus:weekly:k:2039-12-26T00", "1.5e-7"),
        // The days of the week that began on Monday the 26th, and one before.
        ("usage:cost:daily:k:2039-12-31", "0.5"),
        ("usage:cost:daily:k:2039-12-26", "0.000000001"),
        ("usage:cost:daily:k:2039-12-25", "100"),
    ] {
        set(&mut raw, name, value).await;
    }
    let used: Vec<_> = standing(&stores, &all, at(0))
        .await
        .iter()
        .map(|state| (state.limit, state.used))
        .collect();
    let expected = [
        (LimitKind::DailyCost, 1_250_000_000),
        (LimitKind::WeeklyCost, 1_750_000_001),
        (LimitKind::MonthlyCost, 300_000_000),
        (LimitKind::TotalCost, 3_100_000_000),
        (LimitKind::WeeklyClaudeCost, 150),
    ];
    assert_eq!(used, expected);
    let denial = enter(&stores, &ask(0, daily(1_250_000_000))).await.unwrap_err();
    assert_eq!((denial.limit, denial.used), (LimitKind::DailyCost, 1_250_000_000));

    // A v1 that goes on counting is seen at once.
    let () = redis::cmd("INCRBYFLOAT")
        .arg(&["usage:cost:daily:k:2040-01-01", "0.75"])
        .query_async(&mut raw)
        .await
        .unwrap();
    assert_eq!(standing(&stores, &all, at(0)).await[0].used, 2_000_000_000);
}

#[tokio::test]
async fn a_window_is_v1s_and_ends_by_itself() {
    let (_server, stores, mut raw) = opened().await;
    let names =
        ["window_start", "requests", "tokens", "cost"].map(|part| format!("rate_limit:{part}:k"));
    enter(&stores, &ask(0, windowed())).await.unwrap();
    enter(&stores, &ask(1, windowed())).await.unwrap();
    finish(&stores, came_to(0, 250_000_000)).await;
    let values: Vec<String> = raw.mget(&names).await.unwrap();
    let start = at(0).as_millis().to_string();
    assert_eq!(values, [start.as_str(), "2", "54321", "0.25"]);
    let length = i64::try_from(WINDOW.as_millis()).unwrap();
    for name in &names {
        let left: i64 = raw.pttl(name).await.unwrap();
        assert!((length - 60_000..=length).contains(&left), "{name} ends in {left} ms");
    }
    // It is over: what ends now brings none of it back.
    raw.del::<_, ()>(&names).await.unwrap();
    finish(&stores, came_to(1, 250_000_000)).await;
    assert_eq!(raw.exists::<_, u64>(&names).await.unwrap(), 0);
}

#[tokio::test]
async fn a_window_that_v1_has_opened_goes_on() {
    let (_server, stores, mut raw) = opened().await;
    let limits = windowed();
    let started = at(0).as_millis() - 1_000;
    for (part, value) in [
        ("window_start", started.to_string()),
        ("requests", "98".to_owned()),
        ("cost", "0.5".to_owned()),
    ] {
        set(&mut raw, &format!("rate_limit:{part}:k"), &value).await;
    }
    enter(&stores, &ask(0, limits)).await.unwrap();
    enter(&stores, &ask(1, limits)).await.unwrap();
    let denial = enter(&stores, &ask(2, limits)).await.unwrap_err();
    let ends = Timestamp::from_millis(started).plus(WINDOW);
    assert_eq!((denial.limit, denial.used), (LimitKind::WindowRequests, 100));
    assert_eq!(denial.resets_at, Some(ends));
    finish(&stores, came_to(0, 1)).await;
    for part in ["window_start", "requests", "tokens", "cost"] {
        let left: i64 = raw.pttl(format!("rate_limit:{part}:k")).await.unwrap();
        assert!(0 < left, "{part} was left without an end");
    }
    assert_eq!(raw.get::<_, String>("rate_limit:cost:k").await.unwrap(), "0.500000001");
}

#[tokio::test]
async fn an_accounts_slot_is_a_member_of_v1s_set_and_is_kept_and_freed() {
    let (_server, stores, mut raw) = opened().await;
    let slots = "concurrency:console_account:one";
    let two = Limits { concurrency: Some(2), ..Limits::default() };
    admitted(&stores, 0, "k", at(0)).await;
    assert_eq!(assign(&stores, 0, "one", two).await, HoldAnswer::Held);
    let members: Vec<(String, u64)> = raw.zrange_withscores(slots, 0, -1).await.unwrap();
    assert_eq!(members, [(request_id(0).to_string(), at(0).plus(LEASE).as_millis())]);
    let longer = Checkpoint { request: request_id(0), lease_until: at(900_000), progress: None };
    assert!(stores.ledger.checkpoint(&longer).await.unwrap());
    let members: Vec<(String, u64)> = raw.zrange_withscores(slots, 0, -1).await.unwrap();
    assert_eq!(members, [(request_id(0).to_string(), at(900_000).as_millis())]);
    assert_eq!(raw.pexpire_time::<_, u64>(slots).await.unwrap(), at(930_000).as_millis());
    // Another account has served it in the end.
    let elsewhere = RequestRecord { account: Some(account_id("two")), ..came_to(0, 5) };
    finish(&stores, elsewhere).await;
    assert!(!raw.exists::<_, bool>(slots).await.unwrap());
}

/// However a request ends, nothing of it is held any more.
#[tokio::test]
async fn every_way_out_gives_back_what_was_held() {
    let (_server, stores, mut raw) = opened().await;
    let limits = Limits { concurrency: Some(9), ..daily(1_000_000) };
    let group = Some((group_id("team"), limits));
    let whole = |number| AdmitRequest { group: group.clone(), ..ask(number, limits) };
    for number in 0..8 {
        enter(&stores, &whole(number)).await.unwrap();
        if number != 7 {
            assert_eq!(assign(&stores, number, "one", limits).await, HoldAnswer::Held);
        }
    }
    let meters = ["relay:meter:key:k", "relay:meter:group:team", "relay:meter:account:one"];
    for (meter, held) in meters.iter().zip(["80 800 800", "80 800 800", "70 700 700"]) {
        assert_eq!(raw.hget::<_, _, String>(meter, "held").await.unwrap(), held, "{meter}");
    }
    // Raised, and then settled by one who knows nothing of group and account.
    let raise = Extension {
        request: request_id(0),
        key: (key_id("k"), limits),
        group: group.clone(),
        account: Some((account_id("one"), limits)),
        model: record(0, "k").model,
        estimate: estimate(5_000),
        now: at(1),
    };
    assert_eq!(stores.ledger.extend(&raise).await.unwrap(), HoldAnswer::Held);
    finish(&stores, came_to(0, 1)).await;
    // Settled by one who knows both.
    let (team, one) = (Some(group_id("team")), Some(account_id("one")));
    finish(&stores, RequestRecord { group: team, account: one, ..came_to(1, 1) }).await;
    // Released.
    let release = Settlement { charge: Charge::Release, ..settlement(came_to(2, 0), at(1)) };
    assert!(stores.ledger.settle(&release).await.unwrap().is_first());
    // Asked again: in another group, without limits, and in vain.
    let other = AdmitRequest { group: Some((group_id("other"), limits)), ..ask(3, limits) };
    enter(&stores, &other).await.unwrap();
    finish(&stores, came_to(3, 1)).await;
    enter(&stores, &ask(4, Limits::default())).await.unwrap();
    finish(&stores, came_to(4, 1)).await;
    enter(&stores, &AdmitRequest { group: group.clone(), ..ask(5, daily(1)) }).await.unwrap_err();
    // Given to an account that has no room, and reaped without and with progress.
    assert!(matches!(assign(&stores, 6, "two", daily(1)).await, HoldAnswer::Denied(_)));
    let lease_until = at(0).plus(LEASE);
    assert!(
        stores.ledger.checkpoint(&checkpoint(7, lease_until, record(7, "k").usage)).await.unwrap()
    );
    assert_eq!(stores.ledger.reap(lease_until, 10).await.unwrap().len(), 2);

    for meter in meters.iter().chain(&["relay:meter:group:other", "relay:meter:account:two"]) {
        assert_eq!(raw.hget::<_, _, Option<String>>(meter, "held").await.unwrap(), None, "{meter}");
    }
    for leases in
        ["concurrency:k", "relay:concurrency:group:team", "concurrency:console_account:one"]
    {
        assert!(!raw.exists::<_, bool>(leases).await.unwrap(), "{leases}");
    }
    let holds: Vec<String> =
        redis::cmd("KEYS").arg("relay:hold*").query_async(&mut raw).await.unwrap();
    assert_eq!(holds, [""; 0], "no hold is left, and none in the index");
}

#[tokio::test]
async fn a_week_that_begins_on_another_day_is_counted_as_v1_counts_it() {
    let (_server, stores, mut raw) = opened().await;
    let starts = PeriodStarts { week_day: 3, week_hour: 10, ..PeriodStarts::default() };
    let limits = Limits { weekly_claude_cost: Some(nanos(10_000)), starts, ..Limits::default() };
    // The settlement tells of no budget: the hold knows when the week began.
    enter(&stores, &ask(0, limits)).await.unwrap();
    finish(&stores, came_to(0, 1_000)).await;
    let week: String = raw.get("usage:opus:weekly:k:2039-12-28T10").await.unwrap();
    assert_eq!(week, "0.000001");
    assert_eq!(standing(&stores, &limits, at(2)).await[0].used, 1_000);
}

/// One trip, but for the first request of a week.
#[tokio::test]
async fn admission_is_one_trip_with_every_limit() {
    let (_server, stores, mut raw) = opened().await;
    let limits = Limits {
        concurrency: Some(100),
        weekly_cost: Some(nanos(1_000_000)),
        monthly_cost: Some(nanos(1_000_000)),
        total_cost: Some(nanos(1_000_000)),
        weekly_claude_cost: Some(nanos(1_000_000)),
        daily_cost: Some(nanos(1_000_000)),
        ..windowed()
    };
    let group = Some((group_id("team"), limits));
    let whole = |number| AdmitRequest { group: group.clone(), ..ask(number, limits) };
    enter(&stores, &whole(0)).await.unwrap();
    let before = evaluations(&mut raw).await;
    for number in 1..11 {
        enter(&stores, &whole(number)).await.unwrap();
    }
    assert_eq!(evaluations(&mut raw).await - before, 10);
    let before = evaluations(&mut raw).await;
    enter(&stores, &ask(20, Limits::default())).await.unwrap();
    assert_eq!(evaluations(&mut raw).await, before, "and no script where there is no limit");
}

/// What was known of a week's beginning is kept for a few weeks and no longer.
#[tokio::test]
async fn beginnings_of_periods_do_not_pile_up() {
    let (_server, stores, mut raw) = opened().await;
    let weekly = Limits { weekly_cost: Some(nanos(1_000)), ..Limits::default() };
    for week in 0..20 {
        let now = at(week * 7 * 24 * 3_600_000);
        standing(&stores, &weekly, now).await;
    }
    assert_eq!(raw.hlen::<_, u64>("relay:meter:key:k").await.unwrap(), 3);
}

#[tokio::test]
async fn limits_are_exact_over_two_instances() {
    let server = RedisServer::start();
    let instances = [crate::store(&server).await.stores(), crate::store(&server).await.stores()];
    let (mut concurrency, mut requests) = (Limits::default(), windowed());
    concurrency.concurrency = Some(10);
    requests.window = requests.window.map(|window| RateWindow { requests: Some(10), ..window });
    for (at, limits) in [concurrency, requests, daily(1_000)].into_iter().enumerate() {
        let key = format!("k{at}");
        let decisions = at_once((0..60).map(|number: u8| {
            let ledger = instances[usize::from(number % 2)].ledger.clone();
            let asked = AdmitRequest { key: key_id(&key), ..ask(number, limits) };
            async move { ledger.admit(&asked).await.unwrap().decision.is_ok() }
        }))
        .await;
        assert_eq!(decisions.iter().filter(|is_in| **is_in).count(), 10, "{limits:?}");
    }
    // What came to less is free again, and no more: by each settlement, whichever instance does it.
    let held: Vec<u8> = (0..60).collect();
    let settled = at_once(held.into_iter().flat_map(|number| {
        instances.clone().map(|stores| async move {
            let end = settlement(RequestRecord { key: key_id("k2"), ..came_to(number, 40) }, at(1));
            stores.ledger.settle(&end).await.unwrap().is_first()
        })
    }))
    .await;
    assert_eq!(settled.iter().filter(|first| **first).count(), 10, "those that are in, once each");
    let scope = LimitScope::Key(key_id("k2"));
    let state = instances[0].ledger.standing(&scope, &daily(1_000), at(1)).await.unwrap()[0];
    assert_eq!((state.used, state.held), (10 * 40, 0));
}

/// What cannot be read as a hold is dropped, and holds nobody up.
#[tokio::test]
async fn a_hold_that_is_none_is_dropped() {
    let (_server, stores, mut raw) = opened().await;
    let limits = Limits { concurrency: Some(9), ..daily(1_000) };
    for number in 0..3 {
        enter(&stores, &ask(number, limits)).await.unwrap();
    }
    let name = |number| format!("relay:hold:{}", request_id(number));
    set(&mut raw, &name(0), "of another form").await;
    raw.hset::<_, _, _, ()>(name(1), "admitted", "no JSON").await.unwrap();
    let reaped = stores.ledger.reap(at(0).plus(LEASE), 10).await.unwrap();
    assert_eq!(reaped.iter().map(|orphan| orphan.id).collect::<Vec<_>>(), [request_id(2)]);
    let left: Vec<String> =
        redis::cmd("KEYS").arg("relay:hold*").query_async(&mut raw).await.unwrap();
    assert_eq!(left, [""; 0]);
    // Of the second it was still known what it held; of the first nothing.
    let held: String = raw.hget("relay:meter:key:k", "held").await.unwrap();
    assert_eq!(held, "10 100 100");
}

fn is_unavailable<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

/// A Redis that is full, or takes no writes, lets nobody in and leaves everything as it was.
#[tokio::test]
async fn a_redis_that_cannot_write_changes_no_limit() {
    let server = RedisServer::private(Listen::UnixSocket, Persistence::None);
    let stores = crate::store(&server).await.stores();
    let mut raw = crate::raw(&server).await;
    let limits = Limits { concurrency: Some(100), ..daily(1_000_000) };
    enter(&stores, &ask(0, limits)).await.unwrap();
    assert_eq!(assign(&stores, 0, "one", limits).await, HoldAnswer::Held);
    let before = standing(&stores, &limits, at(1)).await;
    let mut configure = async |name: &str, value: &str| {
        let () = redis::cmd("CONFIG")
            .arg("SET")
            .arg(name)
            .arg(value)
            .query_async(&mut raw)
            .await
            .unwrap();
    };
    for (name, refuse, accept) in [("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0")] {
        configure(name, refuse).await;
        let ledger = &stores.ledger;
        assert!(is_unavailable(&ledger.admit(&ask(1, limits)).await), "{name}");
        assert!(is_unavailable(&ledger.admit(&ask(0, limits)).await), "{name}: asked again");
        let (request, account) = (request_id(0), account_id("two"));
        let other = Assignment { request, account, limits, cost: NanoUsd::ZERO, now: at(0) };
        assert!(is_unavailable(&ledger.assign(&other).await), "{name}");
        let raise = Extension {
            request,
            key: (key_id("k"), limits),
            group: None,
            account: None,
            model: record(0, "k").model,
            estimate: estimate(900),
            now: at(1),
        };
        assert!(is_unavailable(&ledger.extend(&raise).await), "{name}");
        assert!(
            is_unavailable(&ledger.restart(&LimitScope::Key(key_id("k")), at(1)).await),
            "{name}"
        );
        assert_eq!(standing(&stores, &limits, at(1)).await, before, "{name}");
        configure(name, accept).await;
    }
    finish(&stores, RequestRecord { account: Some(account_id("one")), ..came_to(0, 70) }).await;
    let after = standing(&stores, &limits, at(2)).await;
    assert_eq!(
        after.iter().map(|state| (state.used, state.held)).collect::<Vec<_>>(),
        [(0, 0), (70, 0)]
    );
}

/// A value under a name that is not what it should be costs what stands there, and nothing else.
#[tokio::test]
async fn a_foreign_value_under_a_sums_name_costs_that_sum_alone() {
    let (_server, stores, mut raw) = opened().await;
    let limits = daily(1_000_000);
    enter(&stores, &ask(0, limits)).await.unwrap();
    for name in ["usage:cost:total:k", "usage:records:k", "usage:daily:index:2040-01-01"] {
        raw.hset::<_, _, _, ()>(name, "a", "b").await.unwrap();
    }
    set(&mut raw, "billing:events", "no stream").await;
    finish(&stores, came_to(0, 70)).await;
    let [state] = standing(&stores, &limits, at(2)).await[..] else { panic!("one limit") };
    assert_eq!((state.used, state.held), (70, 0));
    assert_eq!(raw.get::<_, String>("usage:cost:monthly:k:2040-01").await.unwrap(), "0.00000007");
}

#[tokio::test]
async fn budgets_follow_the_clocks_of_a_place() {
    let server = RedisServer::start();
    let options = RedisOptions { calendar: clocks::calendar(), ..options(&server) };
    let store = RedisStore::connect(&options).await.unwrap();
    clocks::budgets_follow_the_clocks(&store.stores()).await;
}
