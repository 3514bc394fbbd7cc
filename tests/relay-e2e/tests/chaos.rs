//! Killed, restarted, frozen and full, at random moments under load: no record is lost that a client saw
//! finished, none is there twice, every hold is gone when its lease has ended, and budgets are exact.

mod load;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use relay_e2e::{Account, ApiKey, Relay, Request, Store, on_both_stores};
use relay_sandbox::{Step, Usage};
use relay_testkit::Deadline;
use serde_json::{Value, json};

use self::load::{Load, random};
use crate::conversation::whole;
use crate::redis_client::RedisClient;
use crate::stored::{Amendment, Scope, Totals, amend, holds, records, totals};

on_both_stores![kills_under_load_lose_nothing_that_a_client_saw_finished];

/// How often something breaks.
const BLOWS: usize = if cfg!(feature = "chaos") { 200 } else { 10 };
/// After so many the clients rest, and everything is added up.
const BLOWS_A_ROUND: usize = if cfg!(feature = "chaos") { 20 } else { 5 };
const LEASE_SECONDS: u64 = 3;
/// How long what the dead have left behind may last: a lease, the reaper's turns, and a slow machine.
const HEALED: Duration = Duration::from_secs(10 * LEASE_SECONDS);

/// What each request uses: 600 µ$.
const INPUT: i64 = 100;
const OUTPUT: i64 = 20;
const COST_NANO: i64 = INPUT * 3_000 + OUTPUT * 15_000;
/// A budget that is used up within the first blows, and what a request holds of it at most: the worst that
/// its body allows.
const TIGHT_DOLLARS: f64 = 0.1;
const TIGHT_NANO: i64 = 100_000_000;
const MOST_HELD_NANO: i64 = 30_000_000;

/// A Relay with an account, and keys of every kind.
struct Scene {
    relay: Relay,
    _account: Account,
    free: ApiKey,
    wide: ApiKey,
    tight: ApiKey,
}

impl Scene {
    async fn set(store: Store) -> Self {
        let lease = LEASE_SECONDS.to_string();
        let settings = Relay::with(store).append_only().env("RELAY_LEASE_SECONDS", &lease);
        let relay = settings.start().await;
        let account = relay.account("a").await;
        let usage = Usage {
            input: Some(INPUT.unsigned_abs()),
            output: Some(OUTPUT.unsigned_abs()),
            ..Usage::default()
        };
        account.script(Step::new().deltas(4).delta_ms(1).usage(usage));
        let free = relay.key().await;
        let wide = relay.key_with(json!({"totalCostLimit": 500, "concurrencyLimit": 3})).await;
        let tight = relay.key_with(json!({"totalCostLimit": TIGHT_DOLLARS})).await;
        for key in [&wide, &tight] {
            amend(&relay, &key.id, Amendment::HardBudget);
        }
        Self { relay, _account: account, free, wide, tight }
    }

    fn load(&self) -> Load {
        Load::begin(&self.relay, &[&self.free, &self.wide, &self.tight], 3)
    }

    /// Waits until nothing is held any more, and compares every account of what was used with the records.
    async fn add_up(&self, finished: &BTreeSet<String>) -> Tally {
        let relay = &self.relay;
        let nothing_held = async || holds(relay) == 0;
        Deadline::after(HEALED).until("the leases of the dead end", nothing_held).await;
        let mut tally = Tally::default();
        let mut by_id = BTreeMap::new();
        for record in records(relay) {
            let id = record["id"].as_str().unwrap().to_owned();
            assert!(by_id.insert(id.clone(), record).is_none(), "{id} is recorded twice");
        }
        for id in finished {
            match by_id.get(id) {
                None => tally.lost.push(id.clone()),
                Some(record) if record["outcome"] == "completed" => {
                    assert_eq!(record["cost"], json!(COST_NANO), "{record}");
                }
                Some(record) => tally.partial.push(record.clone()),
            }
        }
        for key in [&self.free, &self.wide, &self.tight] {
            self.compare(key, by_id.values()).await;
        }
        let spent = totals(relay, Scope::Key(&self.tight.id)).cost_nano;
        assert!(spent <= TIGHT_NANO, "a hard budget was passed: {spent}");
        tally
    }

    /// The records of a key, its counters, the statistics and v1's counters say the same.
    async fn compare(&self, key: &ApiKey, records: impl Iterator<Item = &Value>) {
        let mut sum = Totals::default();
        for record in records.filter(|record| record["key"] == json!(key.id)) {
            if record["usage_source"] != "none" {
                sum.requests += 1;
                sum.input += record["usage"]["input"].as_i64().unwrap_or_default();
                sum.output += record["usage"]["output"].as_i64().unwrap_or_default();
                sum.cost_nano += record["cost"].as_i64().unwrap();
            }
        }
        let relay = &self.relay;
        assert_eq!(totals(relay, Scope::Key(&key.id)), sum, "the counters");
        let path = format!("/api/v2/stats/usage?key={}", key.id);
        let told = relay.admin("GET", &path, &Value::Null).await.json()["total"].clone();
        let of_statistics =
            ["requests", "inputTokens", "outputTokens"].map(|name| told[name].as_i64());
        assert_eq!(of_statistics, [sum.requests, sum.input, sum.output].map(Some), "{told}");
        assert_eq!(nanos(&told["cost"].to_string()), sum.cost_nano, "{told}");
        if let Some(redis) = relay.redis() {
            let name = format!("usage:cost:total:{}", key.id);
            let cost = RedisClient::connect(redis).text(&["GET", &name]).unwrap_or_default();
            assert_eq!(nanos(&cost), sum.cost_nano, "v1's counter of cost");
        }
    }

    /// Nothing of the tight budget has leaked: it can be spent until what is left is less than what a
    /// request may cost.
    async fn spend_the_rest(&self) {
        loop {
            let answer = self.relay.send(&Request::messages(&self.tight.secret, whole())).await;
            let spent = async || totals(&self.relay, Scope::Key(&self.tight.id)).cost_nano;
            let nothing_held = async || holds(&self.relay) == 0;
            Deadline::after(HEALED).until("it is settled", nothing_held).await;
            if answer.status == 402 {
                let left = TIGHT_NANO - spent().await;
                assert!((0..MOST_HELD_NANO).contains(&left), "{left} left: {}", answer.text());
                return;
            }
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
}

/// Requests that a client saw finished and that are not recorded so.
#[derive(Debug, Default)]
struct Tally {
    /// Finished, and not recorded.
    lost: Vec<String>,
    /// Finished, and recorded otherwise.
    partial: Vec<Value>,
}

/// Nano-dollars of a decimal number of dollars.
fn nanos(dollars: &str) -> i64 {
    let dollars: f64 = if dollars.is_empty() { 0.0 } else { dollars.parse().unwrap() };
    format!("{:.0}", dollars * 1e9).parse().unwrap()
}

/// Strikes again and again while clients are at work, and adds up after every round.
async fn strike(scene: &mut Scene, blow: impl AsyncFn(&mut Scene)) {
    let mut finished = BTreeSet::new();
    for _ in 0..BLOWS / BLOWS_A_ROUND {
        let load = scene.load();
        for _ in 0..BLOWS_A_ROUND {
            load.count_from_here();
            load.goes_on_for(1 + random(30)).await;
            blow(scene).await;
        }
        load.goes_on_for(1).await;
        finished.append(&mut load.end().await);
        let tally = scene.add_up(&finished).await;
        assert_eq!((tally.lost, tally.partial), (Vec::new(), Vec::new()), "of {}", finished.len());
    }
    scene.spend_the_rest().await;
}

async fn kills_under_load_lose_nothing_that_a_client_saw_finished(store: Store) {
    let mut scene = Scene::set(store).await;
    strike(&mut scene, async |scene| {
        scene.relay.kill9();
        scene.relay.run().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_killed_and_restarted_loses_nothing() {
    let mut scene = Scene::set(Store::Redis).await;
    strike(&mut scene, async |scene| scene.relay.redis_mut().restart()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_freezes_and_goes_on_loses_nothing() {
    let mut scene = Scene::set(Store::Redis).await;
    strike(&mut scene, async |scene| {
        scene.relay.redis_mut().freeze();
        refused(scene).await;
        scene.relay.redis_mut().thaw();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_without_memory_loses_nothing() {
    let mut scene = Scene::set(Store::Redis).await;
    strike(&mut scene, async |scene| {
        let limit = |bytes: &str| {
            let mut client = RedisClient::connect(scene.relay.redis().unwrap());
            client.text(&["CONFIG", "SET", "maxmemory", bytes]);
        };
        limit("1");
        refused(scene).await;
        limit("0");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_may_not_be_written_loses_nothing() {
    let mut scene = Scene::set(Store::Redis).await;
    strike(&mut scene, async |scene| {
        let replica_of = |host: &str, port: &str| {
            let mut client = RedisClient::connect(scene.relay.redis().unwrap());
            client.text(&["REPLICAOF", host, port]);
        };
        // Of a server that is not there: what it has stays, and every write is refused.
        replica_of("127.0.0.1", "1");
        refused(scene).await;
        replica_of("NO", "ONE");
    })
    .await;
}

/// Waits until nobody is let in.
async fn refused(scene: &Scene) {
    let is_refused = async || {
        let answer = scene.relay.send(&Request::messages(&scene.wide.secret, whole())).await;
        assert!(matches!(answer.status, 200 | 429 | 503), "{}", answer.text());
        answer.status == 503
    };
    Deadline::after(HEALED).until("a store that is away lets nobody in", is_refused).await;
    assert_eq!(scene.relay.send(&Request::get("/livez")).await.status, 200);
    let ready = scene.relay.send(&Request::get("/readyz")).await;
    assert_eq!(ready.status, 503, "{}", ready.text());
    assert!(ready.text().contains("the store"), "it says why: {}", ready.text());
}
