//! The store goes away and comes back: nothing new is let in, what runs ends well, and nothing is lost.

use std::time::{Duration, Instant};

use relay_e2e::{End, Exchange, Relay, Request, Store};
use relay_sandbox::{Step, Usage};
use relay_testkit::eventually;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::conversation::{streamed, whole};
use crate::stored::{Scope, records, settled, totals};

/// How long Redis stays frozen at least.
const FROZEN: Duration = Duration::from_secs(if cfg!(feature = "chaos") { 30 } else { 0 });

/// Begins a stream that ends by itself while the store is away.
async fn stream_over_an_outage(relay: &mut Relay) -> (relay_e2e::Account, relay_e2e::ApiKey) {
    let account = relay.account("a").await;
    let key = relay.key_with(json!({"dailyCostLimit": 50, "concurrencyLimit": 2})).await;
    let usage = Usage { input: Some(1_000), output: Some(9), ..Usage::default() };
    account.script(Step::new().deltas(9).silence_after_frame(4, 1_000).usage(usage));
    let mut running = relay.open(&Request::messages(&key.secret, streamed())).await;
    running.read_until("event: content_block_delta", 1).await;
    relay.redis_mut().freeze();
    let frozen = Instant::now();

    let refused = relay.send(&Request::messages(&key.secret, whole())).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.json()["error"]["code"], "store_unavailable");
    let answer = running.finish().await;
    assert_eq!((answer.status, answer.end), (200, End::Clean), "what runs ends well");
    assert_eq!(answer.count_of("message_stop"), 1);
    let live = relay.send(&Request::get("/livez")).await;
    assert_eq!(live.status, 200);
    let ready = relay.send(&Request::get("/readyz")).await;
    assert_eq!((ready.status, &ready.json()["status"]), (503, &json!("the store is away")));
    while frozen.elapsed() < FROZEN {
        let refused = relay.send(&Request::messages(&key.secret, whole())).await;
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert_eq!(relay.send(&Request::get("/livez")).await.status, 200);
    }
    let journal = relay.data_dir().join("journal.log");
    eventually("the settlement is in the journal", async || {
        std::fs::metadata(&journal).is_ok_and(|file| file.len() > 100)
    })
    .await;
    (account, key)
}

/// Waits for the only record of a request that was completed. What was refused while Redis was frozen may be
/// there besides: Redis finds it in its sockets when it goes on, and its release behind it.
async fn the_completed(relay: &Relay) -> Value {
    let mut found = Vec::new();
    eventually("the request is recorded", async || {
        found = records(relay);
        found.retain(|record| record["outcome"] == "completed");
        !found.is_empty()
    })
    .await;
    assert_eq!(found.len(), 1, "once: {found:#?}");
    found.remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_while_redis_is_frozen_is_recorded_once_when_it_goes_on() {
    let mut relay = Relay::start(Store::Redis).await;
    let (account, key) = stream_over_an_outage(&mut relay).await;
    relay.redis_mut().thaw();
    let record = the_completed(&relay).await;
    assert_eq!(record["usage_source"], "final");
    account.script(Step::new());
    eventually("requests are let in again", async || {
        relay.send(&Request::messages(&key.secret, whole())).await.status == 200
    })
    .await;
    let counted = async || totals(&relay, Scope::Key(&key.id)).requests == 2;
    eventually("both are counted", counted).await;
    let journal = relay.data_dir().join("journal.log");
    eventually("nothing is left in the journal but its header", async || {
        std::fs::metadata(&journal).is_ok_and(|file| file.len() == 8)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_server_had_in_its_journal_is_recorded_by_the_next() {
    let mut relay = Relay::start(Store::Redis).await;
    let (_account, key) = stream_over_an_outage(&mut relay).await;
    relay.kill9();
    relay.redis_mut().thaw();
    relay.run().await;
    let record = the_completed(&relay).await;
    assert_eq!(record["usage"]["input"], 1_000);
    assert_eq!(totals(&relay, Scope::Key(&key.id)).requests, 1);
}

/// Begins `count` streams that end by themselves, but not before their clients have heard of them.
async fn streams(relay: &Relay, account: &relay_e2e::Account, count: usize) -> Vec<Exchange> {
    let key = relay.key().await;
    let usage = Usage { input: Some(1_000), output: Some(9), ..Usage::default() };
    account.script(Step::new().deltas(9).silence_after_frame(4, 1_000).usage(usage));
    let mut running = Vec::new();
    for _ in 0..count {
        let mut stream = relay.open(&Request::messages(&key.secret, streamed())).await;
        stream.read_until("event: message_start", 1).await;
        running.push(stream);
    }
    running
}

/// Reads all of them to their end.
async fn finish(running: Vec<Exchange>) {
    let mut finishing: JoinSet<_> = running.into_iter().map(Exchange::finish).collect();
    while let Some(answer) = finishing.join_next().await {
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.end), (200, End::Clean), "{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_saw_finished_right_before_a_kill_is_recorded_though_redis_was_frozen() {
    let mut relay = Relay::with(Store::Redis).env("RELAY_LEASE_SECONDS", "3").start().await;
    let account = relay.account("a").await;
    let running = streams(&relay, &account, 10).await;
    relay.redis_mut().freeze();
    finish(running).await;
    relay.kill9();
    relay.redis_mut().thaw();
    relay.run().await;
    for record in settled(&relay, 10).await {
        let told = (&record["outcome"], &record["usage_source"], &record["usage"]["output"]);
        assert_eq!(told, (&json!("completed"), &json!("final"), &json!(9)), "{record}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_byte_in_the_journal_costs_the_request_that_it_hits_and_no_other() {
    let settings = Relay::with(Store::Redis).append_only().env("RELAY_LEASE_SECONDS", "3");
    let mut relay = settings.start().await;
    let account = relay.account("a").await;
    let running = streams(&relay, &account, 4).await;
    relay.redis_mut().kill();
    finish(running).await;
    relay.kill9();
    let journal = relay.data_dir().join("journal.log");
    let mut bytes = std::fs::read(&journal).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&journal, &bytes).unwrap();
    relay.redis_mut().restart();
    relay.run().await;
    let records = settled(&relay, 4).await;
    let of = |outcome: &str| records.iter().filter(|record| record["outcome"] == outcome).count();
    assert_eq!((of("completed"), of("orphaned")), (3, 1), "{records:#?}");
    assert!(relay.printed().contains("the journal was damaged"), "{}", relay.printed());
    let aside = relay.data_dir().join("journal.damaged-1");
    assert_eq!(std::fs::read(aside).unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_starts_after_the_gateway_is_waited_for() {
    let mut relay = Relay::with(Store::Redis).prepare();
    relay.redis_mut().kill();
    relay.begin().await;
    let live = relay.send(&Request::get("/livez")).await;
    assert_eq!((live.status, &live.json()["status"]), (200, &json!("live")));
    let ready = relay.send(&Request::get("/readyz")).await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("the store is not open yet"), "{}", ready.text());
    for body in [whole(), streamed()] {
        let refused = relay.send(&Request::messages("cr_whoever", body)).await;
        assert_eq!(refused.status, 503, "{}", refused.text());
        let told = refused.json();
        assert_eq!((&told["type"], &told["error"]["type"]), (&json!("error"), &json!("api_error")));
        assert_eq!(told["error"]["code"], "store_unavailable");
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    assert_eq!(relay.send(&Request::get("/api/v2/keys")).await.status, 503);
    assert!(relay.printed().contains("waiting for it"), "{}", relay.printed());

    relay.redis_mut().restart();
    relay.until_ready().await;
    let account = relay.account("a").await;
    let key = relay.key().await;
    account.script(Step::new());
    let answer = relay.send(&Request::messages(&key.secret, whole())).await;
    assert_eq!(answer.status, 200, "without a restart: {}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_waits_for_its_redis_ends_when_it_is_asked_to() {
    let mut relay = Relay::with(Store::Redis).prepare();
    relay.redis_mut().kill();
    relay.begin().await;
    assert_eq!(relay.send(&Request::get("/livez")).await.status, 200);
    assert!(relay.stop(), "it is no failure: {}", relay.printed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_freezes_while_the_gateway_starts_is_waited_for() {
    let mut relay = Relay::with(Store::Redis).prepare();
    for _ in 0..8 {
        // It listens before it has read the store; how far it has come when Redis stops is chance.
        relay.begin().await;
        relay.redis_mut().freeze();
        let frozen = Instant::now();
        while frozen.elapsed() < Duration::from_millis(600) {
            assert_eq!(relay.send(&Request::get("/livez")).await.status, 200);
        }
        relay.redis_mut().thaw();
        relay.until_ready().await;
        relay.kill9();
    }
}
