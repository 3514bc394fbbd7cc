//! A key's limit of requests at once holds to the request.

use relay_e2e::{Exchange, Relay, Request, Store, on_both_stores};
use relay_sandbox::Step;
use relay_testkit::eventually;
use serde_json::json;
use tokio::task::JoinSet;

use crate::conversation::{streamed, whole};
use crate::stored::{Scope, holds, settled, totals};

on_both_stores![exactly_as_many_as_allowed_get_in, no_way_to_end_leaks_a_slot];

/// How often a client leaves, is refused, or waits in vain.
const LOOPS: usize = if cfg!(feature = "chaos") { 1_000 } else { 40 };

async fn exactly_as_many_as_allowed_get_in(store: Store) {
    const ALLOWED: usize = 3;
    let relay = Relay::start(store).await;
    let account = relay.account("a").await;
    let (key, other) =
        (relay.key_with(json!({"concurrencyLimit": ALLOWED})).await, relay.key().await);
    let held = Step::new().deltas(9).silence_after_frame(4, 60_000);
    account.script(held.clone());
    // The second round begins when the slots of the first are free again.
    for round in 0..2 {
        let mut requests = JoinSet::new();
        for _ in 0..20 {
            let (address, secret) = (relay.address(), key.secret.clone());
            let request = Request::messages(&secret, streamed());
            requests.spawn(async move { Exchange::open(address, &request).await });
        }
        let (running, refused): (Vec<_>, Vec<_>) =
            requests.join_all().await.into_iter().partition(|exchange| exchange.status() == 200);
        assert_eq!(running.len(), ALLOWED, "round {round}");
        for exchange in refused {
            let answer = exchange.finish().await;
            assert_eq!(answer.status, 429, "round {round}: {}", answer.text());
            assert_eq!(answer.json()["error"]["type"], "rate_limit_error", "round {round}");
            assert_eq!(
                answer.json()["error"]["code"],
                "concurrency_limit_exceeded",
                "round {round}"
            );
            assert!(answer.header("retry-after").is_some(), "round {round}");
            assert!(answer.header("request-id").is_some(), "round {round}");
        }
        account.holds(ALLOWED as u64).await;
        account.script(Step::new());
        let unlimited = relay.send(&Request::messages(&other.secret, whole())).await;
        assert_eq!(unlimited.status, 200, "round {round}, another key: {}", unlimited.text());
        account.script(held.clone());
        drop(running);
        settled(&relay, (round + 1) * (ALLOWED + 1)).await;
    }
    let total = totals(&relay, Scope::Key(&key.id));
    assert_eq!(total.requests, 2 * 3, "those that got in, and none of those that did not");
}

async fn no_way_to_end_leaks_a_slot(store: Store) {
    let relay = Relay::with(store).env("RELAY_HEAD_TIMEOUT_SECONDS", "1").start().await;
    let account = relay.account("a").await;
    let key = relay.key_with(json!({"concurrencyLimit": 1})).await;
    let request = |body: String| Request::messages(&key.secret, body);
    for number in 0..LOOPS {
        match number % 4 {
            0 => {
                account.script(Step::new());
                let answer = relay.send(&request("{\"model\":".to_owned())).await;
                assert_eq!(answer.status, 400, "{}", answer.text());
            }
            1 => {
                // The client leaves after some of the answer: another part of it every time.
                account.script(Step::new().deltas(9).delta_ms(1).silence_after_frame(9, 60_000));
                let mut exchange = relay.open(&request(streamed())).await;
                exchange.read_until("event: ", 1 + number % 7).await;
            }
            2 => {
                // The client leaves at once, whatever has become of its request by then.
                account.script(Step::new().delay_head_ms(2));
                let mut leaving = JoinSet::new();
                let (address, request) = (relay.address(), request(whole()));
                leaving.spawn(async move { Exchange::try_open(address, &request).await.is_some() });
                tokio::task::yield_now().await;
                leaving.shutdown().await;
            }
            _ if number % 20 == 3 => {
                account.script(Step::holding());
                let answer = relay.send(&request(whole())).await;
                assert_eq!(answer.status, 504, "{}", answer.text());
            }
            _ => {
                account.script(Step::failing(400, "invalid_request_error", "no"));
                let answer = relay.send(&request(whole())).await;
                assert_eq!(answer.status, 400, "{}", answer.text());
            }
        }
        account.script(Step::new());
        eventually("the only slot is free", async || {
            relay.send(&request(whole())).await.status == 200
        })
        .await;
    }
    eventually("nothing is held", async || holds(&relay) == 0).await;
}
