//! A key's limit of requests at once holds to the request.

use relay_e2e::{Exchange, Relay, Request, Store, on_both_stores};
use relay_sandbox::Step;
use serde_json::json;
use tokio::task::JoinSet;

use crate::conversation::{streamed, whole};
use crate::stored::{Scope, settled, totals};

on_both_stores![exactly_as_many_as_allowed_get_in];

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
