use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use relay_crypto::{KeyHasher, Keyring, SealFormat};
use relay_domain::{
    Account, AttemptOutcome, BudgetPolicy, Calendar, GroupId, KeyDigest, KeyGroup, KeyUser,
    LimitScope, Limits, ModelMap, RateWindow, UnpricedPolicy, UserStanding, WaitQueue,
};
use relay_pricing::PriceBook;
use relay_protocol::anthropic::scan_request;
use relay_store::{RecordQuery, Stores};
use relay_store_sqlite::{Access, SqliteOptions, SqliteStore};
use relay_testkit::{account, api_key, eventually};
use tokio_util::task::TaskTracker;

use super::*;
use crate::fixture::Bench;
use crate::prices::Prices;
use crate::upstream_url::Endpoint;
use crate::{Engine, EngineConfig, EngineParts, SystemClock};

const SECRET: &str = "cr_0123456789abcdef0123456789abcdef";
const BODY: &[u8] = br#"{"model":"claude-sonnet-5","messages":[{"role":"user","content":"hi"}]}"#;

fn hasher() -> KeyHasher {
    KeyHasher::new(&"a key of the tests' own".into())
}

fn key(id: &str, digest: [u8; 32]) -> ApiKey {
    ApiKey { digest: KeyDigest::new(digest), ..api_key(id) }
}

/// Relay on an empty store.
async fn relay() -> (Relay, Stores) {
    let options = SqliteOptions {
        calendar: Calendar::UTC,
        record_capacity: 10,
        record_lifetime: Duration::from_hours(24),
        access: Access::Serve,
    };
    let stores = SqliteStore::in_memory(options).unwrap().stores();
    let parts = EngineParts {
        config: EngineConfig::default(),
        clock: Arc::new(SystemClock),
        stores: stores.clone(),
        hasher: hasher(),
        keyring: Keyring::new(&"a key of the tests' own".into(), SealFormat::Aead),
        prices: Arc::new(Prices::of(PriceBook::builtin().unwrap())),
        journal: None,
        events: Arc::new(crate::Unheard),
        tasks: TaskTracker::new(),
    };
    (Relay::new(&Engine::start(parts).await.unwrap()), stores)
}

/// Recognises the key of the tests.
async fn caller(relay: &Relay) -> Caller {
    relay.authenticate([SECRET].into_iter()).await.unwrap()
}

/// Asks for admission; a request that is let in leaves at once.
async fn admitted(relay: &Relay, caller: Caller) -> Result<(), EngineError> {
    let (headers, body) = (HeaderMap::new(), Bytes::from_static(BODY));
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
    relay.admit(caller, &incoming, &scan_request(BODY).unwrap()).await.map(drop)
}

#[tokio::test]
async fn a_key_of_v2_is_known_after_another_key_was_changed() {
    let (relay, stores) = relay().await;
    stores.keys.create(&key("v2", hasher().unsalted(SECRET))).await.unwrap();
    admitted(&relay, caller(&relay).await).await.unwrap();
    stores.keys.create(&key("other", [7; 32])).await.unwrap();
    admitted(&relay, caller(&relay).await).await.unwrap();
}

#[tokio::test]
async fn no_old_snapshot_lets_in_or_keeps_out() {
    let (relay, stores) = relay().await;
    let active = key("k", hasher().digest(SECRET));
    stores.keys.create(&active).await.unwrap();
    let disabled = ApiKey { is_active: false, ..active.clone() };

    let before = caller(&relay).await;
    stores.keys.update(&disabled).await.unwrap();
    let refused = admitted(&relay, before).await;
    assert!(matches!(refused, Err(EngineError::Key(KeyRefusal::Disabled))), "{refused:?}");

    let before = caller(&relay).await;
    stores.keys.update(&ApiKey { revision: 1, ..active }).await.unwrap();
    admitted(&relay, before).await.unwrap();
}

#[tokio::test]
async fn a_key_whose_user_is_disabled_is_refused() {
    let (relay, stores) = relay().await;
    let user = |standing| KeyUser::new("u1".to_owned(), String::new(), standing);
    let disabled =
        ApiKey { user: user(UserStanding::Disabled), ..key("k", hasher().digest(SECRET)) };
    stores.keys.import(&disabled).await.unwrap();
    let refused = admitted(&relay, caller(&relay).await).await;
    assert!(matches!(refused, Err(EngineError::Key(KeyRefusal::UserDisabled))), "{refused:?}");
    let owner = relay.owner([SECRET].into_iter()).await.map(drop);
    assert!(matches!(owner, Err(EngineError::Key(KeyRefusal::UserDisabled))), "{owner:?}");
    let active = ApiKey { user: user(UserStanding::Active), ..disabled };
    stores.keys.update(&active).await.unwrap();
    admitted(&relay, caller(&relay).await).await.unwrap();
}

#[tokio::test]
async fn a_limit_that_was_tightened_holds_for_the_next_request() {
    let bench = Bench::new();
    let mut key = bench.key(|_| {}).await;
    let relay = Relay::new(&bench.engine(None).await);
    let _first = let_in(&relay, ASKED).await.unwrap();
    let known = caller(&relay).await;
    key.limits.concurrency = Some(1);
    bench.stores.keys.update(&key).await.unwrap();
    let refused = admitted(&relay, known).await;
    assert!(matches!(refused, Err(EngineError::Denied { .. })), "{refused:?}");
    assert_eq!(relay.core.airspace.all().len(), 1, "what was held by the old limits is given back");
}

#[tokio::test]
async fn a_key_that_was_recognised_before_others_looked_is_read_again() {
    let (relay, stores) = relay().await;
    let active = key("k", hasher().digest(SECRET));
    stores.keys.create(&active).await.unwrap();
    let slow = caller(&relay).await;
    stores.keys.update(&ApiKey { is_active: false, ..active }).await.unwrap();
    // Somebody else's request brings the cache up to date while the slow one is still being read.
    assert!(admitted(&relay, caller(&relay).await).await.is_err());
    let refused = admitted(&relay, slow).await;
    assert!(matches!(refused, Err(EngineError::Key(KeyRefusal::Disabled))), "{refused:?}");
}

/// A request of the key that is let in and stays in.
pub(crate) async fn let_in(relay: &Relay, body: &'static str) -> Result<Flight, EngineError> {
    let_in_with(relay, SECRET, body).await
}

/// A request of the key with this secret that is let in and stays in.
async fn let_in_with(
    relay: &Relay,
    secret: &str,
    body: &'static str,
) -> Result<Flight, EngineError> {
    came_in(relay, secret, body).await.map(|(flight, _)| flight)
}

/// The same with where it would rather go.
async fn came_in(
    relay: &Relay,
    secret: &str,
    body: &'static str,
) -> Result<(Flight, Preference), EngineError> {
    let (headers, bytes) = (HeaderMap::new(), Bytes::from_static(body.as_bytes()));
    let incoming = Incoming {
        endpoint: Endpoint::Messages,
        id: relay.request_id(),
        arrived: Instant::now(),
        headers: &headers,
        query: None,
        body: &bytes,
        waits: None,
        departure: None,
    };
    let scan = scan_request(body.as_bytes()).unwrap();
    let caller = relay.authenticate([secret].into_iter()).await?;
    relay.admit(caller, &incoming, &scan).await
}

#[tokio::test]
async fn a_conversation_whose_bindings_have_no_life_stays_nowhere() {
    let bench = Bench::new();
    bench.key(|_| {}).await;
    let served_by = account("a");
    bench.stores.accounts.create(&served_by).await.unwrap();
    let hour = Duration::from_hours(1);
    let cases = [(hour, None, true), (hour, Some("a"), true), (Duration::ZERO, None, false)];
    for (number, (binding_lifetime, expected, binds)) in cases.into_iter().enumerate() {
        let config = EngineConfig { binding_lifetime, ..EngineConfig::default() };
        let relay = Relay::new(&bench.engine_with(config, None).await);
        let (mut flight, preference) = came_in(&relay, SECRET, ASKED).await.unwrap();
        let sticky = preference.sticky.as_ref().map(AccountId::as_str);
        assert_eq!(sticky, expected, "request {number}");
        flight.attempt_begins(&served_by);
        flight.land(Outcome::Completed, Some(AttemptOutcome::Answered), 200);
        drop(flight);
        let records = async || {
            let query = RecordQuery { limit: 10, ..RecordQuery::default() };
            bench.stores.usage.search(&query).await.unwrap().records.len()
        };
        eventually("it is settled", async || records().await == number + 1).await;
        let settlements = bench.ledger.settlements.lock().unwrap();
        assert_eq!(settlements[number].bind.is_some(), binds, "request {number}");
    }
}

pub(crate) const ASKED: &str =
    r#"{"model":"claude-sonnet-5","messages":[{"role":"user","content":"hi"}]}"#;
const UNKNOWN_MODEL: &str =
    r#"{"model":"nobody-knows","messages":[{"role":"user","content":"hi"}]}"#;

fn one_at_once(key: &mut ApiKey, max_waiting: u32, deadline: Duration) {
    key.limits.concurrency = Some(1);
    key.queue = Some(WaitQueue { max_waiting, deadline });
}

#[tokio::test]
async fn a_request_too_many_waits_until_another_ends() {
    let bench = Bench::new();
    bench.key(|key| one_at_once(key, 1, Duration::from_mins(1))).await;
    let relay = Relay::new(&bench.engine(None).await);
    let first = let_in(&relay, ASKED).await.unwrap();
    let (waiting, others) = (relay.clone(), relay.clone());
    let queued = bench.tasks.spawn(async move { let_in(&waiting, ASKED).await.map(drop) });
    let hall = first.payer().unwrap().hall();
    eventually("it waits", async || relay.core.wait_room.has_line(&hall)).await;
    let full = let_in(&others, ASKED).await.map(drop);
    assert!(matches!(full, Err(EngineError::QueueFull { max_waiting: 1 })), "{full:?}");
    drop(first);
    queued.await.unwrap().unwrap();
    assert!(!relay.core.wait_room.has_line(&hall), "nobody waits any more");
}

const OTHER_SECRET: &str = "cr_fedcba9876543210fedcba9876543210";

/// A group that may have one request at once.
fn one_at_once_together(id: &GroupId) -> KeyGroup {
    KeyGroup {
        id: id.clone(),
        name: "team".to_owned(),
        description: String::new(),
        limits: Limits { concurrency: Some(1), ..Limits::default() },
        created_at: Timestamp::EPOCH,
        updated_at: None,
        revision: 0,
    }
}

#[tokio::test]
async fn keys_of_a_group_take_turns_whoever_came_first_and_whoever_ends() {
    let bench = Bench::new();
    let team = GroupId::try_from("team").unwrap();
    bench.stores.groups.create(&one_at_once_together(&team)).await.unwrap();
    let waits = |key: &mut ApiKey| {
        key.group = Some(team.clone());
        key.queue = Some(WaitQueue { max_waiting: 9, deadline: Duration::from_mins(1) });
    };
    bench.key(waits).await;
    let mut other = key("other", hasher().digest(OTHER_SECRET));
    waits(&mut other);
    bench.stores.keys.create(&other).await.unwrap();
    let relay = Relay::new(&bench.engine(None).await);
    let first = let_in(&relay, ASKED).await.unwrap();

    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let secrets = [SECRET, SECRET, SECRET, SECRET, OTHER_SECRET, OTHER_SECRET];
    for (before, secret) in secrets.into_iter().enumerate() {
        let (relay, order) = (relay.clone(), Arc::clone(&order));
        let room = Arc::clone(&relay.core.wait_room);
        bench.tasks.spawn(async move {
            let flight = let_in_with(&relay, secret, ASKED).await.unwrap();
            order.lock().unwrap().push(flight.record.key.to_string());
            // It ends at once, and lets the next one in.
        });
        eventually("it waits", async || room.waiting() == before + 1).await;
    }
    drop(first);
    eventually("all are served", async || order.lock().unwrap().len() == secrets.len()).await;
    assert_eq!(*order.lock().unwrap(), ["k", "other", "k", "other", "k", "k"]);
    assert_eq!(relay.core.wait_room.waiting(), 0);
}

#[tokio::test]
async fn who_waited_in_vain_is_told_so_and_held_nothing() {
    let bench = Bench::new();
    bench.key(|key| one_at_once(key, 5, Duration::from_millis(300))).await;
    let relay = Relay::new(&bench.engine(None).await);
    let first = let_in(&relay, ASKED).await.unwrap();
    let queued = let_in(&relay, ASKED).await.map(drop);
    assert!(matches!(queued, Err(EngineError::QueueTimeout { .. })), "{queued:?}");
    assert_eq!(relay.core.airspace.all(), [first.record.id]);
    // Who leaves while it waits leaves nothing behind either.
    let left = timeout(Duration::from_millis(50), let_in(&relay, ASKED)).await;
    assert!(left.is_err());
    assert!(!relay.core.wait_room.has_line(&first.payer().unwrap().hall()));
    assert_eq!(relay.core.airspace.all(), [first.record.id]);
}

#[tokio::test]
async fn a_store_that_is_away_or_hangs_lets_nobody_in_and_says_so_in_time() {
    let bench = Bench::new();
    bench.key(|key| key.limits.total_cost = Some(NanoUsd::from_nanos(1_000_000_000))).await;
    let relay = Relay::new(&bench.engine(None).await);
    // The key is known by now.
    drop(let_in(&relay, ASKED).await.unwrap());
    bench.ledger.go_away(true);
    let away = let_in(&relay, ASKED).await.map(drop);
    assert!(matches!(away, Err(EngineError::Store(_))), "{away:?}");
    bench.ledger.go_away(false);
    bench.ledger.hangs.store(true, std::sync::atomic::Ordering::SeqCst);
    tokio::time::pause();
    let asked = tokio::time::Instant::now();
    let hung = let_in(&relay, ASKED).await.map(drop);
    let (took, bound) = (asked.elapsed(), relay.core.config.admission_timeout);
    // The clock of the runtime ticks in milliseconds.
    assert!(bound <= took && took <= bound + Duration::from_millis(1), "{took:?}");
    tokio::time::resume();
    assert!(matches!(hung, Err(EngineError::Store(StoreError::Unavailable(_)))), "{hung:?}");
    bench.ledger.hangs.store(false, std::sync::atomic::Ordering::SeqCst);
    let_in(&relay, ASKED).await.map(drop).unwrap();
}

#[tokio::test]
async fn a_model_without_price_is_treated_as_the_key_says() {
    let budget = Some(NanoUsd::from_nanos(9_000_000_000));
    let refuse = Some(UnpricedPolicy::Refuse);
    let cases = [
        ("nobody budgets it", None, None, None),
        ("a budget", budget, None, Some("refused")),
        ("a budget, at the fallback rate", budget, Some(UnpricedPolicy::Fallback), None),
        ("no budget, and the key says no", None, refuse, Some("refused")),
    ];
    for (name, total_cost, unpriced, refused) in cases {
        let bench = Bench::new();
        let change = |key: &mut ApiKey| {
            key.limits.total_cost = total_cost;
            key.unpriced = unpriced;
        };
        bench.key(change).await;
        let relay = Relay::new(&bench.engine(None).await);
        for _ in 0..2 {
            let answer = let_in(&relay, UNKNOWN_MODEL).await.map(drop);
            let is_refused = matches!(answer, Err(EngineError::ModelUnpriced(_)));
            assert_eq!(is_refused, refused.is_some(), "{name}: {answer:?}");
        }
        let told = bench.events.0.lock().unwrap().len();
        assert_eq!(told, usize::from(refused.is_some()), "{name}: told once");
        let_in(&relay, ASKED).await.map(drop).unwrap();
    }
}

#[tokio::test]
async fn a_key_whose_group_is_not_there_is_refused_until_it_is_put_elsewhere() {
    let bench = Bench::new();
    let id = GroupId::try_from("gone").unwrap();
    let lost = ApiKey { group: Some(id.clone()), ..key("k", hasher().digest(SECRET)) };
    bench.stores.keys.import(&lost).await.unwrap();
    let relay = Relay::new(&bench.engine(None).await);
    for _ in 0..2 {
        let refused = let_in(&relay, ASKED).await.map(drop);
        assert!(
            matches!(&refused, Err(EngineError::GroupGone(gone)) if *gone == id),
            "{refused:?}"
        );
    }
    assert!(bench.stores.keys.update(&ApiKey { group: None, ..lost }).await.unwrap().is_done());
    let_in(&relay, ASKED).await.map(drop).unwrap();
}

#[tokio::test]
async fn a_groups_limits_are_its_keys_too_from_the_next_request_on() {
    let bench = Bench::new();
    let id = GroupId::try_from("team").unwrap();
    let mut group = one_at_once_together(&id);
    bench.stores.groups.create(&group).await.unwrap();
    bench.key(|key| key.group = Some(id.clone())).await;
    let relay = Relay::new(&bench.engine(None).await);
    let first = let_in(&relay, ASKED).await.unwrap();
    assert_eq!(first.record.group.as_ref(), Some(&id));
    let denied = let_in(&relay, ASKED).await.map(drop);
    let Err(EngineError::Denied { denial, .. }) = denied else { panic!("{denied:?}") };
    assert_eq!(denial.scope, LimitScope::Group(id.clone()));

    group.revision = bench.stores.groups.get(&id).await.unwrap().unwrap().revision;
    group.limits.concurrency = Some(2);
    bench.stores.groups.update(&group).await.unwrap();
    let_in(&relay, ASKED).await.map(drop).unwrap();
}

/// An account that calls a model by another name.
fn renaming(id: &str, from: &str, to: &str) -> Account {
    Account { models: ModelMap::new([(from.to_owned(), to.to_owned())].into()), ..account(id) }
}

fn a_dollar(budget_policy: BudgetPolicy) -> Limits {
    let total_cost = Some(NanoUsd::from_nanos(1_000_000_000));
    Limits { total_cost, budget_policy, ..Limits::default() }
}

#[tokio::test]
async fn a_hard_budget_holds_the_dearest_that_an_account_of_the_key_would_be_asked_for() {
    const HAIKU: &str = r#"{"model":"claude-haiku-4-5","max_tokens":40000,
        "messages":[{"role":"user","content":"hi"}]}"#;
    let id = |name| AccountId::try_from(name).unwrap();
    let cases = [
        ("any account", AccountBinding::Pool, false),
        ("the one that says Opus", AccountBinding::Account(id("dear")), false),
        ("another", AccountBinding::Account(id("plain")), true),
    ];
    for (name, binding, is_in) in cases {
        let bench = Bench::new();
        let dear = renaming("dear", "claude-haiku-4-5", "claude-opus-5");
        for account in [account("plain"), dear] {
            bench.stores.accounts.create(&account).await.unwrap();
        }
        let change = |key: &mut ApiKey| {
            key.limits = a_dollar(BudgetPolicy::Hard);
            key.claude_binding = binding;
        };
        bench.key(change).await;
        let relay = Relay::new(&bench.engine(None).await);
        let answer = let_in(&relay, HAIKU).await.map(drop);
        assert_eq!(answer.is_ok(), is_in, "{name}: {answer:?}");
        assert!(is_in || matches!(answer, Err(EngineError::Denied { .. })), "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn no_old_roster_refuses_a_model_for_having_no_price() {
    let bench = Bench::new();
    bench.key(|key| key.limits = a_dollar(BudgetPolicy::Soft)).await;
    let relay = Relay::new(&bench.engine(None).await);
    let refused = let_in(&relay, UNKNOWN_MODEL).await.map(drop);
    assert!(matches!(refused, Err(EngineError::ModelUnpriced(_))), "{refused:?}");
    let knowing = renaming("knowing", "nobody-knows", "claude-opus-5");
    bench.stores.accounts.create(&knowing).await.unwrap();
    let_in(&relay, UNKNOWN_MODEL).await.map(drop).unwrap();
}

#[tokio::test]
async fn a_hard_limit_on_tokens_holds_the_worst_case_also_without_a_budget() {
    const LONG: &str = r#"{"model":"claude-sonnet-5","max_tokens":20000,
        "messages":[{"role":"user","content":"hi"}]}"#;
    let window = RateWindow {
        length: Duration::from_mins(5),
        requests: None,
        tokens: Some(100_000),
        cost: None,
    };
    let (hard, soft) = (BudgetPolicy::Hard, BudgetPolicy::Soft);
    for (budget_policy, expected) in [(hard, 4), (soft, 8)] {
        let bench = Bench::new();
        let limits = Limits { window: Some(window), budget_policy, ..Limits::default() };
        bench.key(|key| key.limits = limits).await;
        let relay = Relay::new(&bench.engine(None).await);
        let mut running = Vec::new();
        for _ in 0..8 {
            running.extend(let_in(&relay, LONG).await.ok());
        }
        assert_eq!(running.len(), expected, "{budget_policy:?}");
        assert_eq!(running[0].is_metered(), budget_policy == hard);
    }
}
