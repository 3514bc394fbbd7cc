//! Two processes on one Redis keep one set of books.

use std::time::Duration;

use relay_e2e::{Account, ApiKey, Relay, Request, Store};
use relay_sandbox::Step;
use relay_testkit::{Deadline, eventually};
use serde_json::json;

use crate::budget_race::{at_once, begun, sorted};
use crate::conversation::{streamed, whole};
use crate::redis_client::RedisClient;
use crate::stored::{Amendment, Scope, amend, holds, settled, totals};

/// Two instances, the first of which tells what is stored.
async fn two(lease_seconds: &str) -> (Relay, Relay) {
    let one = Relay::with(Store::Redis)
        .env("RELAY_LEASE_SECONDS", lease_seconds)
        .env("ENCRYPTION_KEY", "one key for both of the instances")
        .env("JWT_SECRET", "one secret for both of the instances")
        .start()
        .await;
    let other = one.beside().start().await;
    (one, other)
}

async fn budgeted(relay: &Relay, account: &Account, limits: serde_json::Value) -> ApiKey {
    account.script(begun());
    let key = relay.key_with(limits).await;
    amend(relay, &key.id, Amendment::HardBudget);
    key
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_instance_held_is_free_again_when_its_leases_have_ended() {
    let (mut one, other) = two("3").await;
    let account = one.account("a").await;
    let key = budgeted(&one, &account, json!({"totalCostLimit": 10, "concurrencyLimit": 5})).await;
    let (mut running, refused) = sorted(at_once(&[one.address()], &[&key], 8).await);
    assert_eq!((running.len(), refused.len()), (5, 3));
    for exchange in &mut running {
        exchange.read_until("event: content_block_delta", 1).await;
    }
    // What they have come to is known to the store.
    eventually("the checkpoints", async || crate::stored::checkpoints(&one) == 5).await;
    one.kill9();
    let healed = Deadline::after(Duration::from_secs(30));
    healed.until("the other instance settles them", async || holds(&one) == 0).await;
    let found = settled(&one, 5).await;
    for record in &found {
        assert_eq!(record["outcome"], "orphaned", "{record}");
        assert_eq!(record["usage"]["input"], 133_333, "{record}");
    }
    let total = totals(&one, Scope::Key(&key.id));
    assert_eq!((total.requests, total.input), (5, 5 * 133_333));
    // All five places and eight dollars are there again.
    let (running, refused) = sorted(at_once(&[other.address()], &[&key], 8).await);
    assert_eq!((running.len(), refused.len()), (5, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_wait_on_all_instances_together_than_may() {
    let (one, other) = two("3").await;
    let account = one.account("a").await;
    let key = one.key_with(json!({"concurrencyLimit": 1})).await;
    amend(&one, &key.id, Amendment::Queue(1, 60_000));
    account.script(Step::new().deltas(9).silence_after_frame(4, 60_000));
    let mut first = one.open(&Request::messages(&key.secret, streamed())).await;
    first.read_until("event: content_block_delta", 1).await;
    account.script(Step::new());
    let request = Request::messages(&key.secret, whole());
    let (mut here, mut there) = (Box::pin(one.send(&request)), Box::pin(other.send(&request)));
    // One waits, and the other finds the queue full, whichever comes first.
    let (waited, refused) = tokio::select! {
        answer = &mut here => {
            drop(first);
            (there.await, answer)
        }
        answer = &mut there => {
            drop(first);
            (here.await, answer)
        }
    };
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert_eq!(refused.json()["error"]["code"], "queue_full");
    assert_eq!(waited.status, 200, "{}", waited.text());
    // Nobody waits any more: the place is free again.
    let mut redis = RedisClient::connect(one.redis().unwrap());
    eventually("the place is free", async || redis.texts(&["KEYS", "relay:waiting:*"]).is_empty())
        .await;
}
