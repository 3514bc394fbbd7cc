//! `/api/v2/service-rates`: v1's document, shown and set as a whole.

use http::Method;
use relay_store::{SettingsChange, SettingsName};
use serde_json::{Value, json};

use super::fixture::{NOW, Office};

const RATES: &str = "/api/v2/service-rates";

#[tokio::test]
async fn rates_are_one_until_they_are_set_and_stand_as_v1_writes_them() {
    let office = Office::open().await;
    let token = office.token().await;
    let ones = json!({"claude": 1, "codex": 1, "gemini": 1, "droid": 1, "bedrock": 1, "azure": 1, "ccr": 1});
    let shown = office.get(RATES, Some(&token)).await.expect(200).json();
    assert_eq!(
        shown,
        json!({"baseService": "claude", "rates": ones, "updatedAt": "", "updatedBy": ""})
    );

    let body =
        json!({"baseService": "codex", "rates": {"claude": 1.25, "codex": 0.000_001, "ccr": 2}});
    let set =
        office.send_json(Method::PUT, RATES, Some(&token), &body.to_string()).await.expect(200);
    let rates = json!({"claude": 1.25, "codex": 0.000_001, "gemini": 1, "droid": 1, "bedrock": 1, "azure": 1, "ccr": 2});
    let expected = json!({"baseService": "codex", "rates": rates, "updatedAt": NOW.to_string(), "updatedBy": "root"});
    assert_eq!(set.json(), expected);
    assert_eq!(office.get(RATES, Some(&token)).await.expect(200).json(), expected);
    let stored = office.stores.settings.read(SettingsName::ServiceRates).await.unwrap().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&stored).unwrap(), expected, "it is v1's form");

    let body = json!({"rates": {}});
    let set =
        office.send_json(Method::PUT, RATES, Some(&token), &body.to_string()).await.expect(200);
    assert_eq!((&set.json()["baseService"], &set.json()["rates"]), (&json!("codex"), &ones));
}

#[tokio::test]
async fn rates_that_cannot_be_are_refused_by_name() {
    let office = Office::open().await;
    let token = office.token().await;
    let cases = [
        (json!({}), "missing field `rates`"),
        (json!({"rates": {"claude": 0}}), "claude must be a number above 0"),
        (json!({"rates": {"codex": -1}}), "codex must be a number above 0"),
        (json!({"rates": {"gemini": 0.000_000_1}}), "gemini must be a number above 0"),
        (json!({"rates": {"droid": 5000}}), "droid must be a number above 0"),
        (json!({"rates": {"claude": "1"}}), "rates.claude must be a JSON number"),
        (json!({"rates": {"anthropic": 1}}), "unknown field `anthropic`"),
        (json!({"rates": {}, "updatedBy": "me"}), "unknown field `updatedBy`"),
        (json!({"rates": {}, "baseService": "grok"}), "baseService must be one of"),
    ];
    for (body, message) in cases {
        let answer = office.send_json(Method::PUT, RATES, Some(&token), &body.to_string()).await;
        assert!(answer.expect(400).message().contains(message), "{body}");
    }
    assert_eq!(office.stores.settings.read(SettingsName::ServiceRates).await.unwrap(), None);
    office.get(RATES, None).await.expect(401);
    office.send_json(Method::PUT, RATES, None, r#"{"rates": {}}"#).await.expect(401);
}

#[tokio::test]
async fn a_document_that_cannot_be_read_is_told_apart_from_none() {
    let office = Office::open().await;
    let token = office.token().await;
    let name = SettingsName::ServiceRates;
    let change = SettingsChange { name, expected: None, next: "secret nonsense".to_owned() };
    assert!(office.stores.settings.replace(&change).await.unwrap());
    let answer = office.get(RATES, Some(&token)).await.expect(500);
    assert!(!answer.text.contains("nonsense"), "{}", answer.text);
}
