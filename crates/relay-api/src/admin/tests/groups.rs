//! `/api/v2/groups`: groups of API keys.

use http::Method;
use serde_json::json;

use super::fixture::Office;

const GROUPS: &str = "/api/v2/groups";

#[tokio::test]
async fn a_group_is_made_changed_and_removed() {
    let office = Office::open().await;
    let token = office.token().await;
    let asked = json!({
        "name": "team", "description": "d", "concurrencyLimit": 3, "rateLimitWindow": 5,
        "rateLimitRequests": 7, "tokenLimit": 9, "rateLimitCost": 0.5, "dailyCostLimit": 1,
        "weeklyCostLimit": 2.25, "monthlyCostLimit": 3, "totalCostLimit": 4,
        "weeklyOpusCostLimit": 5, "weeklyResetDay": 2, "weeklyResetHour": 23, "budgetPolicy": "hard",
    });
    let made = office.post(GROUPS, Some(&token), &asked.to_string()).await.expect(201);
    let group = made.json()["group"].clone();
    for (field, value) in asked.as_object().unwrap() {
        assert_eq!(group[field], *value, "{field}");
    }
    let path = format!("{GROUPS}/{}", group["id"].as_str().unwrap());
    let put = async |body: &str| office.send_json(Method::PUT, &path, Some(&token), body).await;
    let changed = put(r#"{"name":"other","dailyCostLimit":0}"#).await.expect(200);
    let mut expected = group.clone();
    expected["name"] = "other".into();
    expected["dailyCostLimit"] = 0.into();
    expected["revision"] = changed.json()["group"]["revision"].clone();
    expected["updatedAt"] = changed.json()["group"]["updatedAt"].clone();
    assert_eq!(changed.json()["group"], expected);
    assert_ne!(changed.headers["etag"], made.headers["etag"]);
    for (body, message) in [
        (r#"{"rateLimitWindow":0,"rateLimitRequests":1}"#, "rateLimitWindow must"),
        (r#"{"name":" "}"#, "name must"),
        (r#"{"id":"x"}"#, "unknown field `id`"),
    ] {
        let refused = put(body).await.expect(400);
        assert!(refused.message().contains(message), "{}", refused.text);
    }
    let limits = office.get(&format!("{path}/limits"), Some(&token)).await.expect(200).json();
    let limits = limits["limits"].as_array().unwrap().clone();
    assert!(limits.iter().any(|limit| limit["limit"] == "total_cost"), "{limits:?}");
    office.post(&format!("{path}/reset-limits"), Some(&token), "").await.expect(200);
    let list = office.get(GROUPS, Some(&token)).await.expect(200).json();
    assert_eq!(list["total"], 1);

    let id = group["id"].as_str().unwrap();
    let member = relay_engine::operator::NewKey {
        group: Some(id.try_into().unwrap()),
        ..relay_engine::operator::NewKey::default()
    };
    let root = relay_domain::Actor::admin("root");
    let (key, _) = office.operator.create_key(&root, member).await.unwrap();
    office.send_json(Method::DELETE, &path, Some(&token), "").await.expect(409);
    let leave = |key: &mut relay_domain::ApiKey| key.group = None;
    office.operator.update_key(&root, &key.id, None, &leave).await.unwrap();
    office.send_json(Method::DELETE, &path, Some(&token), "").await.expect(204);
    for below in ["", "/limits"] {
        office.get(&format!("{path}{below}"), Some(&token)).await.expect(404);
    }
}
