//! `/api/v2/account-groups`: groups of accounts, and keys that are bound to them.

use http::Method;
use relay_domain::Platform;
use relay_engine::operator::NewAccount;
use serde_json::{Value, json};

use super::fixture::Office;

const GROUPS: &str = "/api/v2/account-groups";

async fn account(office: &Office, platform: Platform) -> String {
    let new = NewAccount::new(platform, "https://api.example.com", "sk-1".into());
    let root = relay_domain::Actor::admin("root");
    office.operator.create_account(&root, new).await.unwrap().id.into()
}

#[tokio::test]
async fn a_group_of_accounts_is_made_changed_and_removed() {
    let office = Office::open().await;
    let token = office.token().await;
    let one = account(&office, Platform::ClaudeConsole).await;
    let two = account(&office, Platform::ClaudeConsole).await;
    let codex = account(&office, Platform::Codex).await;
    let asked = json!({
        "name": "premium", "platform": "claude-console", "description": "d", "accountIds": [one],
    });
    let made = office.post(GROUPS, Some(&token), &asked.to_string()).await.expect(201);
    let group = made.json()["group"].clone();
    for (field, value) in asked.as_object().unwrap() {
        assert_eq!(group[field], *value, "{field}");
    }
    let path = format!("{GROUPS}/{}", group["id"].as_str().unwrap());
    assert_eq!(office.get(&path, Some(&token)).await.expect(200).json(), made.json());

    let put = async |body: &Value| {
        office.send_json(Method::PUT, &path, Some(&token), &body.to_string()).await
    };
    let changed = put(&json!({"accountIds": [two]})).await.expect(200);
    assert_ne!(changed.headers["etag"], made.headers["etag"]);
    let mut expected = group.clone();
    expected["accountIds"] = json!([two]);
    for field in ["revision", "updatedAt"] {
        expected[field] = changed.json()["group"][field].clone();
    }
    assert_eq!(changed.json()["group"], expected);
    for (body, message) in [
        (json!({"accountIds": [codex]}), "accountIds must be ids of accounts of its platform"),
        (json!({"accountIds": ["nobody"]}), "accountIds must be ids of accounts of its platform"),
        (json!({"accountIds": ["a:b"]}), "an id holds no colon"),
        (json!({"name": " "}), "name must"),
        (json!({"platform": "codex"}), "unknown field `platform`"),
    ] {
        let refused = put(&body).await.expect(400);
        assert!(refused.message().contains(message), "{}", refused.text);
    }
    let list = office.get(GROUPS, Some(&token)).await.expect(200).json();
    assert_eq!((list["total"].clone(), list["groups"][0].clone()), (1.into(), expected));
    office.send_json(Method::DELETE, &path, Some(&token), "").await.expect(204);
    office.get(&path, Some(&token)).await.expect(404);
    put(&json!({})).await.expect(404);
}

#[tokio::test]
async fn a_key_is_bound_to_a_group_of_accounts_and_reads_back() {
    let office = Office::open().await;
    let token = office.token().await;
    let inside = account(&office, Platform::ClaudeConsole).await;
    let outside = account(&office, Platform::ClaudeConsole).await;
    let asked = json!({"name": "g", "platform": "claude-console", "accountIds": [inside]});
    let group = office.post(GROUPS, Some(&token), &asked.to_string()).await.expect(201).json();
    let group = group["group"]["id"].as_str().unwrap().to_owned();
    let binding = format!("group:{group}");
    let asked = json!({"name": "k", "claudeConsoleAccountId": binding}).to_string();
    let made = office.post("/api/v2/keys", Some(&token), &asked).await.expect(201).json();
    let key = made["key"]["id"].as_str().unwrap().to_owned();
    assert_eq!(made["key"]["claudeConsoleAccountId"], *binding);
    let path = format!("/api/v2/keys/{key}");
    let read = office.get(&path, Some(&token)).await.expect(200).json();
    assert_eq!(read["key"]["claudeConsoleAccountId"], *binding);

    for (id, code) in [(&inside, Value::Null), (&outside, "not_in_group".into())] {
        let path = format!("/api/v2/accounts/claude-console/{id}/availability?keyId={key}");
        let told = office.get(&path, Some(&token)).await.expect(200).json();
        assert_eq!(told["available"], code.is_null(), "{told}");
        let filters = told["filters"].as_array().unwrap();
        let verdict = filters.iter().find(|told| told["filter"] == "binding").unwrap();
        assert_eq!(verdict["code"], code);
    }
    let unknown = format!("/api/v2/accounts/claude-console/{inside}/availability?keyId=nobody");
    office.get(&unknown, Some(&token)).await.expect(404);

    let put = async |body: Value| {
        office.send_json(Method::PUT, &path, Some(&token), &body.to_string()).await
    };
    for (field, text) in [
        ("claudeConsoleAccountId", "group:nobody"),
        ("claudeConsoleAccountId", "group:"),
        ("claudeConsoleAccountId", ""),
        ("codexAccountId", binding.as_str()),
    ] {
        put(json!({field: text})).await.expect(400);
    }
    let asked = json!({"count": 2, "template": {"claudeConsoleAccountId": binding}});
    let bulk = office.post("/api/v2/keys/bulk", Some(&token), &asked.to_string()).await;
    let bulk = bulk.expect(201).json();
    assert_eq!(bulk["keys"][1]["key"]["claudeConsoleAccountId"], *binding);
    let path = format!("{GROUPS}/{group}");
    let refused = office.send_json(Method::DELETE, &path, Some(&token), "").await.expect(409);
    assert_eq!(refused.message(), "3 API keys are bound to this group of accounts");
    let unbound = put(json!({"claudeConsoleAccountId": null})).await.expect(200).json();
    assert_eq!(unbound["key"].get("claudeConsoleAccountId"), None);
    let ids: Vec<_> = (0..2).map(|number| &bulk["keys"][number]["key"]["id"]).collect();
    let asked = json!({"ids": ids, "changes": {"claudeConsoleAccountId": null}}).to_string();
    office.post("/api/v2/keys/bulk-edit", Some(&token), &asked).await.expect(200);
    office.send_json(Method::DELETE, &path, Some(&token), "").await.expect(204);
}
