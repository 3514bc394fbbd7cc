//! `/api/v2/keys/{id}`: what is written reads back, and every step of a key's life.

use http::Method;
use relay_domain::{Actor, Platform};
use relay_engine::operator::{NewAccount, NewGroup};
use relay_store::AuditQuery;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::fixture::{NOW, Office};

const KEYS: &str = "/api/v2/keys";

async fn create(office: &Office, token: &str, body: &Value) -> (String, Value) {
    let made = office.post(KEYS, Some(token), &body.to_string()).await.expect(201).json();
    (format!("{KEYS}/{}", made["key"]["id"].as_str().unwrap()), made)
}

async fn put(office: &Office, token: &str, path: &str, body: &Value) -> Value {
    let answer = office.send_json(Method::PUT, path, Some(token), &body.to_string()).await;
    answer.expect(200).json()["key"].clone()
}

/// Every field that can be written, with a value that is not its default.
async fn everything(office: &Office) -> Value {
    let root = Actor::admin("root");
    let mut accounts = Vec::new();
    for platform in [Platform::ClaudeConsole, Platform::Codex] {
        let new = NewAccount::new(platform, "https://a.example", SecretString::from("sk-1"));
        accounts.push(office.operator.create_account(&root, new).await.unwrap().id);
    }
    let team = NewGroup { name: "team".to_owned(), ..NewGroup::default() };
    let group = office.operator.create_group(&root, team).await.unwrap().id;
    json!({
        "name": "名", "description": "d", "icon": "i", "isActive": false,
        "expiresAt": "2030-01-31T11:00:00.000Z", "expirationMode": "activation", "activationDays": 36,
        "activationUnit": "hours", "isActivated": true, "activatedAt": "2025-12-31T00:00:00.000Z",
        "claudeConsoleAccountId": accounts[0], "codexAccountId": accounts[1], "groupId": group,
        "permissions": "codex", "enableModelRestriction": false, "restrictedModels": ["m"],
        "enableClientRestriction": true, "allowedClients": ["claude_code"], "concurrencyLimit": 7,
        "queue": {"maxWaiting": 3, "timeoutSeconds": 30},
        "rateLimitWindow": 5, "rateLimitRequests": 6, "tokenLimit": 8, "rateLimitCost": 2.75,
        "dailyCostLimit": 1.5, "weeklyCostLimit": 4.25, "monthlyCostLimit": 9.75,
        "totalCostLimit": 0.01, "weeklyOpusCostLimit": 3, "weeklyResetDay": 3, "weeklyResetHour": 17,
        "budgetPolicy": "hard", "serviceRates": {"claude": 1.25, "codex": 0.5},
        "unpriced": "fallback", "tags": ["a", "b"], "userId": "u", "userUsername": "n",
    })
}

#[track_caller]
fn assert_shows(key: &Value, asked: &Value) {
    for (field, value) in asked.as_object().unwrap() {
        assert_eq!(key[field], *value, "{field}");
    }
}

#[tokio::test]
async fn every_field_reads_back_as_it_was_made_and_as_it_was_changed() {
    let office = Office::open().await;
    let token = office.token().await;
    let asked = everything(&office).await;
    let (path, made) = create(&office, &token, &asked).await;
    assert_shows(&made["key"], &asked);
    let read = office.get(&path, Some(&token)).await.expect(200);
    assert_eq!(read.json()["key"], made["key"]);
    assert_eq!(read.headers["etag"], "\"0\"");

    let (path, plain) = create(&office, &token, &json!({})).await;
    let changed = put(&office, &token, &path, &asked).await;
    assert_shows(&changed, &asked);
    assert_eq!(office.get(&path, Some(&token)).await.expect(200).json()["key"], changed);
    // What is known besides is what cannot be written.
    let written = asked.as_object().unwrap();
    for field in changed.as_object().unwrap().keys().filter(|field| !written.contains_key(*field)) {
        let known = [
            "id",
            "createdAt",
            "updatedAt",
            "lastUsedAt",
            "isDeleted",
            "createdBy",
            "userStatus",
            "revision",
        ];
        assert!(known.contains(&field.as_str()), "{field} cannot be written");
    }

    // A field at a time: the others stay. An activation needs its length besides.
    for (field, value) in written.iter().filter(|(field, _)| *field != "expirationMode") {
        let (path, before) = create(&office, &token, &json!({})).await;
        let after = put(&office, &token, &path, &json!({field.clone(): value})).await;
        assert_eq!(after[field], *value, "{field}");
        for (other, old) in before["key"].as_object().unwrap() {
            if other != field && !matches!(other.as_str(), "updatedAt" | "revision") {
                assert_eq!(after[other], *old, "{other} after a change of {field}");
            }
        }
    }
    assert_eq!(plain["key"]["revision"], 0);
}

#[tokio::test]
async fn what_may_be_none_is_cleared_by_null() {
    let office = Office::open().await;
    let token = office.token().await;
    let (path, _) = create(&office, &token, &everything(&office).await).await;
    let none = json!({
        "expiresAt": null, "activatedAt": null, "claudeConsoleAccountId": null, "codexAccountId": null,
        "groupId": null, "queue": null, "unpriced": null, "userId": null, "userUsername": null,
        "icon": null,
    });
    assert_shows(&put(&office, &token, &path, &none).await, &none);
    let zeros = json!({
        "concurrencyLimit": null, "rateLimitWindow": null, "rateLimitRequests": null,
        "tokenLimit": null, "rateLimitCost": null, "dailyCostLimit": null, "weeklyCostLimit": null,
        "monthlyCostLimit": null, "totalCostLimit": null, "weeklyOpusCostLimit": null,
    });
    let key = put(&office, &token, &path, &zeros).await;
    for field in zeros.as_object().unwrap().keys() {
        assert_eq!(key[field], 0, "{field}");
    }
    let rest = json!({"serviceRates": null, "description": null});
    let key = put(&office, &token, &path, &rest).await;
    assert_eq!((&key["serviceRates"], &key["description"]), (&json!({}), &json!("")));

    let (path, _) = create(&office, &token, &json!({"expiresAt": "2030-01-31T12:00:00Z"})).await;
    assert!(put(&office, &token, &path, &json!({"expiresAt": ""})).await["expiresAt"].is_null());
    for body in [json!({"name": null}), json!({"isActive": null}), json!({"createdBy": "me"})] {
        let answer = office.send_json(Method::PUT, &path, Some(&token), &body.to_string()).await;
        answer.expect(400);
    }
}

#[tokio::test]
async fn a_window_that_is_gone_is_remembered() {
    let office = Office::open().await;
    let token = office.token().await;
    let asked = json!({"rateLimitWindow": 5, "rateLimitRequests": 6, "rateLimitCost": 0.125});
    let (path, _) = create(&office, &token, &asked).await;
    let off = put(&office, &token, &path, &json!({"rateLimitWindow": 0})).await;
    assert_shows(
        &off,
        &json!({"rateLimitWindow": 0, "rateLimitRequests": 6, "rateLimitCost": 0.125}),
    );
    assert_shows(&put(&office, &token, &path, &json!({"rateLimitWindow": 5})).await, &asked);
}

#[tokio::test]
async fn a_change_may_name_the_revision_that_it_was_decided_on() {
    let office = Office::open().await;
    let token = office.token().await;
    let (path, _) = create(&office, &token, &json!({})).await;
    let name = |name: &str| json!({ "name": name });
    let to = (Method::PUT, path.as_str());
    let first = office.send_with(("if-match", "\"0\""), to.clone(), &token, &name("a")).await;
    assert_eq!(first.expect(200).headers["etag"], "\"1\"");
    let stale = office.send_with(("if-match", "\"0\""), to.clone(), &token, &name("b")).await;
    let stale = stale.expect(412);
    assert_eq!(stale.headers["etag"], "\"1\"");
    assert!(stale.message().contains("now 1"), "{}", stale.text);
    office.send_with(("if-match", "1"), to.clone(), &token, &name("c")).await.expect(400);
    let any = office.send_with(("if-match", "*"), to.clone(), &token, &name("d")).await.expect(200);
    assert_eq!(any.json()["key"]["revision"], 2);
    for (method, path) in [
        (Method::DELETE, path.clone()),
        (Method::POST, format!("{path}/rotate")),
        (Method::POST, format!("{path}/restore")),
    ] {
        let to = (method, path.as_str());
        office.send_with(("if-match", "\"1\""), to, &token, &json!({})).await.expect(412);
    }
}

#[tokio::test]
async fn a_key_is_deleted_restored_and_removed_for_good() {
    let office = Office::open().await;
    let token = office.token().await;
    let (path, _) = create(&office, &token, &json!({"isActive": false})).await;
    let delete = async |query: &str| {
        office.send_json(Method::DELETE, &format!("{path}{query}"), Some(&token), "").await
    };
    let restore = async || office.post(&format!("{path}/restore"), Some(&token), "").await;
    assert_eq!(restore().await.expect(400).message(), "API Key is not deleted");
    delete("?permanent=true").await.expect(400);
    delete("").await.expect(204);
    delete("").await.expect(409);
    for (method, path, body) in [
        (Method::PUT, path.clone(), r#"{"name":"n"}"#),
        (Method::POST, format!("{path}/rotate"), "{}"),
        (Method::POST, format!("{path}/reset-limits"), ""),
    ] {
        office.send_json(method, &path, Some(&token), body).await.expect(409);
    }
    let key = restore().await.expect(200).json()["key"].clone();
    let expected = json!({
        "isActive": true, "isDeleted": false, "restoredAt": NOW.to_string(), "restoredBy": "root",
        "restoredByType": "admin",
    });
    assert_shows(&key, &expected);
    delete("").await.expect(204);
    delete("?permanent=true").await.expect(204);
    office.get(&path, Some(&token)).await.expect(404);
    for answer in [delete("").await, delete("?permanent=true").await, restore().await] {
        assert_eq!(answer.expect(404).message(), "API Key not found");
    }
}

#[tokio::test]
async fn another_secret_is_shown_once_and_the_one_before_fades() {
    let office = Office::open().await;
    let token = office.token().await;
    let (path, made) = create(&office, &token, &json!({})).await;
    let rotate = format!("{path}/rotate");
    let rotated =
        office.post(&rotate, Some(&token), r#"{"gracePeriodSeconds":60}"#).await.expect(200);
    let rotated = rotated.json();
    let secret = rotated["rawKey"].as_str().unwrap();
    assert!(secret.starts_with("cr_") && rotated["rawKey"] != made["rawKey"]);
    assert_eq!(rotated["key"]["retiringSecretUntil"], "2026-01-01T00:01:00.000Z");
    let read = office.get(&path, Some(&token)).await.expect(200);
    assert!(!read.text.contains(secret));
    let at_once = office.post(&rotate, Some(&token), "{}").await.expect(200).json();
    assert!(at_once["key"]["retiringSecretUntil"].is_null());
    let long = office.post(&rotate, Some(&token), r#"{"gracePeriodSeconds":2592001}"#).await;
    assert!(long.expect(400).message().starts_with("gracePeriodSeconds must"));
}

#[tokio::test]
async fn limits_are_shown_and_started_anew() {
    let office = Office::open().await;
    let token = office.token().await;
    let team = NewGroup { name: "team".to_owned(), ..NewGroup::default() };
    let group = office.operator.create_group(&Actor::admin("root"), team).await.unwrap().id;
    let asked = json!({"monthlyCostLimit": 2.5, "groupId": group});
    let (path, _) = create(&office, &token, &asked).await;
    let shown = office.get(&format!("{path}/limits"), Some(&token)).await.expect(200).json();
    let expected = json!({"limit": "monthly_cost", "used": 0, "held": 0,
        "allowed": 2.5, "resetsAt": "2026-02-01T00:00:00.000Z"});
    assert_eq!(shown, json!({"limits": [expected], "group": {"id": group, "limits": []}}));
    let reset = office.post(&format!("{path}/reset-limits"), Some(&token), "").await.expect(200);
    assert_eq!(reset.json(), shown);
    let trail = office.operator.audit(&AuditQuery { limit: 1, ..AuditQuery::default() }).await;
    assert_eq!(trail.unwrap().entries[0].action, "key.reset-limits");
    office.get(&format!("{KEYS}/none/limits"), Some(&token)).await.expect(404);
}
