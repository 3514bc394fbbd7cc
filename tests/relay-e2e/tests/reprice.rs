//! A model without a price is given one, and history tells the truth from then on.

use relay_e2e::{Account, ApiKey, Relay, Request, Store, on_both_stores};
use relay_sandbox::{Step, Usage};
use serde_json::{Value, json};

use crate::conversation::{body, whole};
use crate::redis_client::RedisClient;
use crate::stored::{Scope, records, settled, totals};

on_both_stores![history_is_recomputed_once_a_model_has_a_price];

const UNHEARD_OF: &str = "claude-unheard-of";
/// 600 tokens at 2 dollars a million, half as much again for the budgets of the key.
const COST: i64 = 1_200_000;

async fn get(relay: &Relay, path: &str) -> Value {
    let answer = relay.admin("GET", path, &Value::Null).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

/// What is used of the key's one budget, in dollars.
async fn spent(relay: &Relay, key: &str) -> f64 {
    let limits = get(relay, &format!("/api/v2/keys/{key}/limits")).await;
    limits["limits"][0]["used"].as_f64().unwrap()
}

/// Two requests of the model that has no price, and a small one of another. Returns their records.
async fn history(relay: &Relay, account: &Account, key: &ApiKey) -> Vec<Value> {
    let usage = Usage { input: Some(400), output: Some(200), ..Usage::default() };
    account.script(Step::new().usage(usage).model(UNHEARD_OF));
    for count in 1..=2 {
        let unheard_of = body(UNHEARD_OF, false);
        let answer = relay.send(&Request::messages(&key.secret, unheard_of)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        settled(relay, count).await;
    }
    let usage = Usage { input: Some(1), output: Some(1), ..Usage::default() };
    account.script(Step::new().usage(usage));
    assert_eq!(relay.send(&Request::messages(&key.secret, whole())).await.status, 200);
    settled(relay, 3).await
}

/// It tells what would change while the server runs, and what is wrong with how it was asked.
async fn looking_changes_nothing(relay: &Relay, range: [&str; 5], before: &[Value]) {
    let told = relay.command(&range).await;
    assert!(told.success, "{}", told.stderr);
    for part in ["1 override", "2, of which 2 had no price", UNHEARD_OF, "--apply", "+0.0024"] {
        assert!(told.stdout.contains(part), "{part} is not told: {}", told.stdout);
    }
    assert_eq!(records(relay), before);
    let refused = relay.command(&[&range[..], &["--model", ""]].concat()).await;
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("--model"), "{}", refused.stderr);
    let refused = relay.command(&["reprice", "--from", "2021-01-01", "--to", "2020-01-01"]).await;
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("later than --from"), "{}", refused.stderr);
}

async fn history_is_recomputed_once_a_model_has_a_price(store: Store) {
    let mut relay = Relay::start(store).await;
    let account = relay.account("a").await;
    let key = relay.key_with(json!({"serviceRates": {"claude": 1.5}})).await;
    let before = history(&relay, &account, &key).await;
    assert_eq!(before[0]["cost"], Value::Null, "{}", before[0]);
    let known = before[2]["cost"].as_i64().unwrap();
    let limit = json!({"dailyCostLimit": 0.003});
    let limited = relay.admin("PUT", &format!("/api/v2/keys/{}", key.id), &limit).await;
    assert_eq!(limited.status, 200, "{}", limited.text());
    assert!(spent(&relay, &key.id).await < 0.001, "nothing is known of it");

    let price = json!({"standard": {"input": 2, "output": 2}});
    let set = relay.admin("PUT", &format!("/api/v2/prices/{UNHEARD_OF}"), &price).await;
    assert_eq!(set.status, 200, "{}", set.text());

    let range = ["reprice", "--from", "2020-01-01", "--to", "2999-12-31"];
    looking_changes_nothing(&relay, range, &before).await;
    let apply = [&range[..], &["--only-unpriced", "--apply", "--json"]].concat();
    if store == Store::Sqlite {
        let refused = relay.command(&apply).await;
        assert!(!refused.success && refused.stderr.contains("stop it first"), "{}", refused.stderr);
        assert_eq!(records(&relay), before);
        assert!(relay.stop());
    }
    let applied = relay.command(&apply).await.json();
    assert_eq!(applied["applied"]["total"]["changed"], 2, "{applied}");
    assert_eq!(applied["plan"]["total"]["difference"], "0.0024", "{applied}");
    assert_eq!(applied["plan"]["passedOver"], 1, "{applied}");
    let again = relay.command(&apply).await.json();
    assert_eq!(again["applied"]["total"]["changed"], 0, "{again}");
    if store == Store::Sqlite {
        relay.run().await;
    }

    let after = records(&relay);
    for record in &after[..2] {
        assert_eq!((&record["cost"], &record["charged"]), (&json!(COST), &json!(COST * 3 / 2)));
    }
    assert_eq!(after[2], before[2]);
    assert_eq!(totals(&relay, Scope::Key(&key.id)).cost_nano, 2 * COST + known);
    assert_eq!(totals(&relay, Scope::Account(&account.id)).cost_nano, 2 * COST + known);
    assert_eq!(totals(&relay, Scope::Model(UNHEARD_OF)).cost_nano, 2 * COST);
    let usage = get(&relay, "/api/v2/stats/usage?by=model").await;
    let row = usage["rows"].as_array().unwrap().iter().find(|row| row["model"] == UNHEARD_OF);
    let row = row.unwrap_or_else(|| panic!("{usage}"));
    assert_eq!((&row["cost"], &row["unpricedRequests"]), (&json!(0.0024), &json!(0)), "{usage}");
    let of_key = get(&relay, &format!("/api/v2/keys/{}/stats", key.id)).await;
    assert!(of_key["stats"].to_string().contains("0.0024"), "{of_key}");
    assert!(spent(&relay, &key.id).await >= 0.0036);
    let answer = relay.send(&Request::messages(&key.secret, whole())).await;
    assert_eq!(answer.status, 402, "its budget is spent: {}", answer.text());
    let trail = get(&relay, "/api/v2/audit?action=history.reprice").await;
    assert_eq!(trail["entries"].as_array().map(Vec::len), Some(1), "{trail}");

    if let Some(redis) = relay.redis() {
        // What v1 reads.
        let mut client = RedisClient::connect(redis);
        let total = client.text(&["GET", &format!("usage:cost:total:{}", key.id)]).unwrap();
        let total: f64 = total.parse().unwrap();
        assert!((0.0036..0.0037).contains(&total), "{total}");
    }
}
