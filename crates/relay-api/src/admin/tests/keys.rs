//! `/api/v2/keys`: what goes in comes out, and the secret once.

use http::Method;
use relay_domain::{Actor, ApiKey, KeyDigest, KeyId, KeyUser, Platform, Signature, UserStanding};
use relay_engine::operator::NewAccount;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::fixture::{NOW, Office};

const KEYS: &str = "/api/v2/keys";

async fn create(office: &Office, token: &str, body: &Value) -> Value {
    office.post(KEYS, Some(token), &body.to_string()).await.expect(201).json()
}

#[tokio::test]
async fn a_made_key_shows_its_secret_once() {
    let office = Office::open().await;
    let token = office.token().await;
    let made = create(&office, &token, &json!({})).await;
    let (raw, key) = (made["rawKey"].as_str().unwrap(), &made["key"]);
    assert!(raw.starts_with("cr_") && raw.len() == 67);
    let id = key["id"].as_str().unwrap();
    assert_eq!(
        *key,
        json!({
            "id": id, "name": format!("API Key {id}"), "description": "",
            "createdAt": "2026-01-01T00:00:00.000Z", "updatedAt": "", "lastUsedAt": "",
            "isActive": true, "isDeleted": false,
            "expirationMode": "fixed", "isActivated": true, "activationDays": 0, "activationUnit": "days",
            "permissions": "all", "enableModelRestriction": false, "restrictedModels": [],
            "enableClientRestriction": false, "allowedClients": [],
            "tokenLimit": 0, "concurrencyLimit": 0,
            "rateLimitWindow": 0, "rateLimitRequests": 0, "rateLimitCost": 0,
            "dailyCostLimit": 0, "weeklyCostLimit": 0, "monthlyCostLimit": 0, "totalCostLimit": 0,
            "weeklyOpusCostLimit": 0, "weeklyResetDay": 1, "weeklyResetHour": 0,
            "budgetPolicy": "soft", "serviceRates": {},
            "createdBy": "root", "tags": [], "revision": 0,
        })
    );
    let read = office.get(&format!("{KEYS}/{id}"), Some(&token)).await.expect(200);
    assert_eq!(read.json(), json!({"key": key}));
    let list = office.get(KEYS, Some(&token)).await.expect(200);
    assert_eq!(list.json(), json!({"keys": [key], "total": 1}));
    let stored = office.stores.keys.list().await.unwrap().remove(0);
    for text in [read.text, list.text] {
        assert!(!text.contains(raw) && !text.contains(&stored.digest.to_hex()), "{text}");
    }
}

#[tokio::test]
async fn a_key_is_made_as_it_was_asked_for() {
    let office = Office::open().await;
    let token = office.token().await;
    let secret = || SecretString::from("sk-1");
    let claude = NewAccount::new(Platform::ClaudeConsole, "https://a.example", secret());
    let claude = office.operator.create_account(&Actor::admin("root"), claude).await.unwrap().id;
    let asked = json!({
        "name": "名", "description": "d", "isActive": false, "expiresAt": "2030-01-31T12:00:00+01:00",
        "claudeConsoleAccountId": claude, "codexAccountId": null, "permissions": "claude",
        "enableModelRestriction": true, "restrictedModels": ["claude-opus-4-1"],
        "enableClientRestriction": false, "allowedClients": ["claude_code"], "concurrencyLimit": 7,
        "tags": ["a", "b"], "rateLimitWindow": 0, "rateLimitRequests": 5, "rateLimitCost": 2.75,
        "dailyCostLimit": 1, "totalCostLimit": 0.01, "weeklyOpusCostLimit": 3, "activationDays": 30,
        "expirationMode": "fixed",
    });
    let key = &create(&office, &token, &asked).await["key"];
    for field in [
        "name",
        "description",
        "isActive",
        "claudeConsoleAccountId",
        "permissions",
        "enableModelRestriction",
        "restrictedModels",
        "enableClientRestriction",
        "allowedClients",
        "concurrencyLimit",
        "rateLimitWindow",
        "rateLimitRequests",
        "rateLimitCost",
        "dailyCostLimit",
        "totalCostLimit",
        "weeklyOpusCostLimit",
        "activationDays",
        "tags",
    ] {
        assert_eq!(key[field], asked[field], "{field}");
    }
    assert_eq!(key["expiresAt"], "2030-01-31T11:00:00.000Z");

    let asked =
        json!({"expirationMode": "activation", "activationDays": 36, "activationUnit": "hours"});
    let key = &create(&office, &token, &asked).await["key"];
    let shown = (
        &key["expirationMode"],
        &key["activationDays"],
        &key["activationUnit"],
        &key["isActivated"],
    );
    assert_eq!(shown, (&json!("activation"), &json!(36), &json!("hours"), &json!(false)));
    let asked =
        json!({"expirationMode": "activation", "activationDays": 48, "activationUnit": "hours"});
    let key = &create(&office, &token, &asked).await["key"];
    assert_eq!((&key["activationDays"], &key["activationUnit"]), (&json!(48), &json!("hours")));
}

#[tokio::test]
async fn a_key_that_cannot_be_is_refused_by_name() {
    let office = Office::open().await;
    let token = office.token().await;
    let cases = [
        (json!({"name": ""}), "name must"),
        (json!({"name": 5}), "name must be a string"),
        (json!({"expiresAt": "soon"}), "expiresAt must"),
        (json!({"name": null}), "name must be a string"),
        (json!({"groupId": "none"}), "groupId must"),
        (json!({"weeklyResetDay": 8}), "weeklyResetDay must"),
        (json!({"serviceRates": {"claude": -1}}), "claude must"),
        (json!({"queue": {"maxWaiting": 1, "timeoutSeconds": 601}}), "queue.timeoutSeconds must"),
        (json!({"expiresAt": "2020-01-01T00:00:00Z"}), "expiresAt must lie in the future"),
        (json!({"expirationMode": "activation"}), "activationDays must"),
        (
            json!({"expirationMode": "activation", "activationDays": 1, "expiresAt": "2030-01-01T00:00:00Z"}),
            "expiresAt must",
        ),
        (json!({"permissions": "gemini"}), "permissions must be one of"),
        (json!({"claudeConsoleAccountId": "none"}), "claudeConsoleAccountId must"),
        (json!({"concurrencyLimit": -1}), "concurrencyLimit must be a whole number"),
        (json!({"dailyCostLimit": -1}), "dailyCostLimit must"),
        (json!({"hourlyCostLimit": 1}), "unknown field `hourlyCostLimit`"),
        (json!({"apiKey": "cr_mine"}), "unknown field `apiKey`"),
    ];
    for (body, message) in cases {
        let answer = office.post(KEYS, Some(&token), &body.to_string()).await.expect(400);
        assert!(answer.message().contains(message), "{body}: {}", answer.text);
    }
    assert!(office.stores.keys.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn keys_are_listed_by_what_they_are() {
    let office = Office::open().await;
    let token = office.token().await;
    for body in [
        json!({"name": "all"}),
        json!({"name": "off", "isActive": false}),
        json!({"name": "claude", "permissions": "claude"}),
        json!({"name": "codex", "permissions": "codex"}),
    ] {
        create(&office, &token, &body).await;
    }
    let mut gone = office.stores.keys.list().await.unwrap().remove(0);
    gone.id = "gone".try_into().unwrap();
    gone.digest = KeyDigest::new([7; 32]);
    gone.name = "gone".to_owned();
    gone.permissions = relay_domain::Permissions::Only(Vec::new());
    gone.deleted = Some(Signature { at: NOW, by: "root".to_owned(), by_type: "admin".to_owned() });
    office.stores.keys.create(&gone).await.unwrap();

    let cases: [(&str, &[&str]); 7] = [
        ("", &["all", "claude", "codex", "off"]),
        ("?includeDeleted=true", &["all", "claude", "codex", "gone", "off"]),
        ("?includeDeleted=false", &["all", "claude", "codex", "off"]),
        ("?isActive=false", &["off"]),
        ("?permissions=all", &["all", "off"]),
        ("?permissions=claude", &["claude"]),
        ("?permissions=codex&isActive=true", &["codex"]),
    ];
    for (query, expected) in cases {
        let list = office.get(&format!("{KEYS}{query}"), Some(&token)).await.expect(200).json();
        let mut names: Vec<&str> = list["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key["name"].as_str().unwrap())
            .collect();
        names.sort_unstable();
        assert_eq!(names, expected, "{query}");
        assert_eq!(list["total"], expected.len(), "{query}");
    }
    let gone = office.get("/api/v2/keys/gone", Some(&token)).await.expect(200).json();
    assert_eq!(gone["key"]["deletedAt"], NOW.to_string());
    assert_eq!(
        (&gone["key"]["deletedBy"], &gone["key"]["permissions"]),
        (&json!("root"), &json!("none"))
    );
    let answer = office.get("/api/v2/keys/none", Some(&token)).await.expect(404);
    assert_eq!(answer.message(), "API Key not found");
}

#[tokio::test]
async fn labels_and_pictures_have_bounds_and_what_is_longer_is_kept() {
    let office = Office::open().await;
    let token = office.token().await;
    let (long, many) = ("x".repeat(65_537), vec!["t"; 101]);
    for (field, value) in [("icon", json!(long)), ("tags", json!(many))] {
        let refused = office.post(KEYS, Some(&token), &json!({ field: value }).to_string()).await;
        assert!(refused.expect(400).message().starts_with(&format!("{field} must")));
    }
    let mut old = relay_store::contract::fixture::key("old", 1);
    old.icon = long;
    old.tags = many.into_iter().map(str::to_owned).collect();
    office.stores.keys.create(&old).await.unwrap();
    let path = format!("{KEYS}/old");
    let body = r#"{"name":"renamed"}"#;
    let kept = office.send_json(Method::PUT, &path, Some(&token), body).await.expect(200).json();
    assert_eq!(
        (kept["key"]["icon"].as_str().unwrap().len(), kept["key"]["name"].clone()),
        (65_537, json!("renamed"))
    );
}

#[tokio::test]
async fn a_key_of_a_disabled_user_says_so_until_it_is_given_to_another_or_to_nobody() {
    let office = Office::open().await;
    let token = office.token().await;
    let user = KeyUser::new("u1".to_owned(), "ana".to_owned(), UserStanding::Disabled);
    let put = async |id: &str, body: Value| {
        let path = format!("{KEYS}/{id}");
        let body = body.to_string();
        let answer = office.send_json(Method::PUT, &path, Some(&token), &body);
        answer.await.expect(200).json()["key"].clone()
    };
    for freed in [json!({"userId": "u2"}), json!({"userId": null})] {
        let made = create(&office, &token, &json!({"name": "k"})).await;
        let id = KeyId::try_from(made["key"]["id"].as_str().unwrap()).unwrap();
        let key = office.stores.keys.get(&id).await.unwrap().unwrap();
        let key = ApiKey { user: user.clone(), ..key };
        assert!(office.stores.keys.update(&key).await.unwrap().is_done());
        let id = id.as_str();
        let shown = office.get(&format!("{KEYS}/{id}"), Some(&token)).await.expect(200).json();
        let key = &shown["key"];
        let told = (&key["userId"], &key["userUsername"], &key["userStatus"], &key["isActive"]);
        assert_eq!(told, (&json!("u1"), &json!("ana"), &json!("disabled"), &json!(true)));
        let renamed = put(id, json!({"name": "renamed", "userId": "u1"})).await;
        assert_eq!(renamed["userStatus"], "disabled", "a change of something else");
        let expected = if freed["userId"].is_null() { Value::Null } else { json!("active") };
        assert_eq!(put(id, freed).await["userStatus"], expected);
    }
    let made = create(&office, &token, &json!({"userId": "u3"})).await;
    assert_eq!(made["key"]["userStatus"], "active");
}
