//! Two processes on one Redis keep one set of books.

use relay_e2e::{Account, ApiKey, Exchange, Relay, Request, Store};
use relay_sandbox::{Step, Usage};
use relay_testkit::{Deadline, eventually};
use serde_json::json;
use std::time::Duration;
use tokio::task::JoinSet;

use crate::conversation::MODEL;
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

/// A stream that may cost 96 cents and a little.
fn dear() -> String {
    let messages = json!([{"role": "user", "content": "hello"}]);
    json!({"model": MODEL, "max_tokens": 64_000, "stream": true, "messages": messages}).to_string()
}

/// The answer has begun, told that its input costs 40 cents, and does not end.
fn begun() -> Step {
    let usage = Usage { input: Some(133_333), output: Some(1), ..Usage::default() };
    Step::new().deltas(9).silence_after_frame(4, 60_000).usage(usage)
}

/// Sends `count` requests at once, one half to each instance.
async fn at_once((one, other): (&Relay, &Relay), key: &ApiKey, count: usize) -> Vec<Exchange> {
    let mut requests = JoinSet::new();
    for number in 0..count {
        let address = if number.is_multiple_of(2) { one.address() } else { other.address() };
        let request = Request::messages(&key.secret, dear());
        requests.spawn(async move { Exchange::open(address, &request).await });
    }
    requests.join_all().await
}

/// Tells apart who got in and who did not.
fn sorted(exchanges: Vec<Exchange>) -> (Vec<Exchange>, Vec<Exchange>) {
    exchanges.into_iter().partition(|exchange| exchange.status() == 200)
}

async fn budgeted(relay: &Relay, account: &Account, limits: serde_json::Value) -> ApiKey {
    account.script(begun());
    let key = relay.key_with(limits).await;
    amend(relay, &key.id, Amendment::HardBudget);
    key
}

async fn as_many_as_the_budget_holds(limit: &str, code: &str) {
    let (one, other) = two("30").await;
    let account = one.account("a").await;
    let key = budgeted(&one, &account, json!({limit: 10})).await;
    let (mut running, refused) = sorted(at_once((&one, &other), &key, 50).await);
    assert_eq!(running.len(), 10);
    for exchange in refused {
        let answer = exchange.finish().await;
        assert_eq!(answer.status, 402, "{}", answer.text());
        let told = answer.json();
        assert_eq!(told["error"]["code"], json!(code), "{told}");
        assert_eq!(told["costLimit"], json!(10.0), "{told}");
        assert!(told["currentCost"].is_number(), "{told}");
    }
    // What their input cost is known, and they are left: forty cents each are spent, six dollars are free.
    for exchange in &mut running {
        exchange.read_until("event: content_block_delta", 1).await;
    }
    drop(running);
    settled(&one, 10).await;
    let spent = totals(&one, Scope::Key(&key.id)).cost_nano;
    assert!((3_999_000_000..4_010_000_000).contains(&spent), "{spent}");
    let (running, refused) = sorted(at_once((&one, &other), &key, 20).await);
    assert_eq!((running.len(), refused.len()), (6, 14));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_total_budget_lets_in_exactly_as_many_as_it_holds() {
    as_many_as_the_budget_holds("totalCostLimit", "total_cost_limit_exceeded").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daily_budget_lets_in_exactly_as_many_as_it_holds() {
    as_many_as_the_budget_holds("dailyCostLimit", "daily_cost_limit_exceeded").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_instance_held_is_free_again_when_its_leases_have_ended() {
    let (mut one, other) = two("3").await;
    let account = one.account("a").await;
    let key = budgeted(&one, &account, json!({"totalCostLimit": 10, "concurrencyLimit": 5})).await;
    let (mut running, refused) = sorted(at_once((&one, &one), &key, 8).await);
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
    let (running, refused) = sorted(at_once((&other, &other), &key, 8).await);
    assert_eq!((running.len(), refused.len()), (5, 3));
}
