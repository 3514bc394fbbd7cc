//! Prices follow their source and what an operator says, while the server runs.

use std::fs;
use std::path::Path;

use relay_e2e::{Account, ApiKey, Relay, Request, Store, on_both_stores};
use relay_testkit::eventually;
use serde_json::{Value, json};

use crate::conversation::{MODEL, body, whole};
use crate::stored::settled;

on_both_stores![
    a_price_file_is_followed_and_a_bad_one_changes_nothing,
    an_override_holds_from_the_next_request_and_outlives_the_server,
];

/// Writes a table in which the model costs so many dollars for a million tokens of either kind.
fn write_table(path: &Path, dollars: u32) {
    let price = json!({"mode": "chat", "litellm_provider": "anthropic",
        "input_cost_per_token": format!("{dollars}e-06"), "output_cost_per_token": format!("{dollars}e-06")});
    fs::write(path, json!({MODEL: price}).to_string()).unwrap();
}

/// What the next request cost, for each token in nano-dollars; there are `before` records already.
async fn nanos_a_token(relay: &Relay, key: &ApiKey, before: usize) -> Option<i64> {
    let answer = relay.send(&Request::messages(&key.secret, whole())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let record = settled(relay, before + 1).await.remove(before);
    let count = |kind: &str| record["usage"][kind].as_i64().unwrap_or_default();
    let n_tokens = count("input") + count("output");
    assert!(0 < n_tokens, "{record}");
    record["cost"].as_i64().map(|cost| cost / n_tokens)
}

async fn status(relay: &Relay) -> Value {
    let answer = relay.admin("GET", "/api/v2/prices?limit=1", &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["status"].clone()
}

async fn serving(relay: &Relay) -> (Account, ApiKey) {
    (relay.account("a").await, relay.key().await)
}

async fn a_price_file_is_followed_and_a_bad_one_changes_nothing(store: Store) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.json");
    write_table(&path, 7);
    let named = path.to_str().unwrap();
    let relay = Relay::with(store).env("RELAY_PRICES_FILE", named).start().await;
    let (_account, key) = serving(&relay).await;
    assert_eq!(nanos_a_token(&relay, &key, 0).await, Some(7_000));
    let good = status(&relay).await;
    assert_eq!((&good["source"], &good["error"]), (&json!(named), &Value::Null));

    fs::write(&path, "{\"claude").unwrap();
    eventually("the bad file is noticed", async || !status(&relay).await["error"].is_null()).await;
    let bad = status(&relay).await;
    assert_eq!(bad["layers"], good["layers"], "the prices in force stay");
    assert_eq!(nanos_a_token(&relay, &key, 1).await, Some(7_000));
    let reload = relay.admin("POST", "/api/v2/prices/reload", &json!({})).await;
    assert_eq!(reload.status, 422, "{}", reload.text());

    write_table(&path, 9);
    let reload = relay.admin("POST", "/api/v2/prices/reload", &json!({})).await;
    assert_eq!(reload.status, 200, "{}", reload.text());
    assert_ne!(reload.json()["status"]["layers"][1]["sha256"], good["layers"][1]["sha256"]);
    assert_eq!(nanos_a_token(&relay, &key, 2).await, Some(9_000));
}

async fn an_override_holds_from_the_next_request_and_outlives_the_server(store: Store) {
    let mut relay = Relay::start(store).await;
    let (_account, key) = serving(&relay).await;
    let path = format!("/api/v2/prices/{MODEL}");
    let price = json!({"standard": {"input": 4, "output": 4}});
    let set = relay.admin("PUT", &path, &price).await;
    assert_eq!(set.status, 200, "{}", set.text());
    assert_eq!(nanos_a_token(&relay, &key, 0).await, Some(4_000));
    relay.kill9();
    relay.run().await;
    assert_eq!(nanos_a_token(&relay, &key, 1).await, Some(4_000));

    // A model that nobody has priced costs unknown until somebody does.
    let unpriced = || Request::messages(&key.secret, body("claude-unheard-of", false));
    assert_eq!(relay.send(&unpriced()).await.status, 200);
    let record = settled(&relay, 3).await.remove(2);
    assert_eq!(record["cost"], Value::Null, "{record}");
    let removed = relay.admin("DELETE", &path, &Value::Null).await;
    assert_eq!(removed.status, 204, "{}", removed.text());
    let set = relay.admin("PUT", "/api/v2/prices/claude-unheard-of", &price).await;
    assert_eq!(set.status, 200, "{}", set.text());
    assert_eq!(relay.send(&unpriced()).await.status, 200);
    let record = settled(&relay, 4).await.remove(3);
    assert!(record["cost"].as_i64().is_some_and(|cost| 0 < cost), "{record}");
}
