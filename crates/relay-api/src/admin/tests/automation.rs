//! Tokens of automation: what they may do, and what is noted of it.

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};

use super::doors::operations;
use super::fixture::{Office, request};
use crate::admin::guard::OPEN;

const TOKENS: &str = "/api/v2/admin-tokens";

async fn mint(office: &Office, session: &str, scopes: &[&str]) -> (String, String) {
    let body = json!({"name": "ci", "scopes": scopes}).to_string();
    let made = office.post(TOKENS, Some(session), &body).await.expect(201).json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&made["token"]["id"]), text(&made["secret"]))
}

#[tokio::test]
async fn who_may_only_read_changes_nothing_anywhere() {
    let office = Office::open().await;
    let session = office.token().await;
    let (_, reader) = mint(&office, &session, &["read"]).await;
    let mut changes = 0;
    for (method, path) in operations() {
        if OPEN.contains(&path.as_str()) {
            continue;
        }
        let sent = request(method.clone(), &path, Some(&reader), Body::empty());
        let answer = office.send(sent).await;
        if method == Method::GET {
            assert!(![401, 403].contains(&answer.status.as_u16()), "{method} {path}");
        } else {
            assert_eq!(answer.status, 403, "{method} {path}: {}", answer.text);
            changes += 1;
        }
    }
    assert!(changes > 15, "{changes}");
}

#[tokio::test]
async fn a_token_does_what_its_scopes_say_until_it_is_revoked() {
    let office = Office::open().await;
    let session = office.token().await;
    let (id, bot) = mint(&office, &session, &["keys:write"]).await;
    let made = office.post("/api/v2/keys", Some(&bot), r#"{"name":"k"}"#).await.expect(201).json();
    office.post("/api/v2/groups", Some(&bot), r#"{"name":"g"}"#).await.expect(201);
    let refused = office.post(TOKENS, Some(&bot), "{}").await.expect(403);
    assert_eq!(refused.message(), "This token lacks the scope admin");
    let path = "/api/v2/auth/change-password";
    office.post(path, Some(&bot), "{}").await.expect(403);
    let me = office.get("/api/v2/auth/me", Some(&bot)).await.expect(200).json();
    assert_eq!(me, json!({"username": "ci", "role": "token", "scopes": ["keys:write"]}));

    let (_, admin) = mint(&office, &session, &["admin"]).await;
    let list = office.get(TOKENS, Some(&admin)).await.expect(200);
    assert_eq!(list.json()["total"], 2);
    for secret in [&bot, &admin] {
        assert!(!list.text.contains(secret.as_str()));
    }
    let path = format!("{TOKENS}/{id}");
    for _ in 0..2 {
        office.send_json(Method::DELETE, &path, Some(&admin), "").await.expect(204);
    }
    let nobody = format!("{TOKENS}/nobody");
    office.send_json(Method::DELETE, &nobody, Some(&admin), "").await.expect(404);
    office.get("/api/v2/keys", Some(&bot)).await.expect(401);
    for body in [
        json!({"name": "x", "scopes": []}),
        json!({"name": "x", "scopes": ["all"]}),
        json!({"name": "x", "scopes": ["read"], "expiresAt": "2001-01-01T00:00:00Z"}),
    ] {
        office.post(TOKENS, Some(&session), &body.to_string()).await.expect(400);
    }

    let path = format!("/api/v2/audit?actor={id}&action=key.");
    let trail = office.get(&path, Some(&session)).await.expect(200).json();
    let entries = trail["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{trail}");
    assert_eq!(entries[0]["actor"]["kind"], "token");
    assert_eq!(entries[0]["target"], json!({"kind": "key", "id": made["key"]["id"]}));
    assert_eq!(entries[0]["after"]["name"], "k");
}

#[tokio::test]
async fn every_change_is_noted_and_the_trail_is_read_in_parts() {
    let office = Office::open().await;
    let token = office.token().await;
    let price = json!({"standard": {"input": 1, "output": 2}}).to_string();
    let model = "/api/v2/prices/m";
    office.send_json(Method::PUT, model, Some(&token), &price).await.expect(200);
    office.send_json(Method::DELETE, model, Some(&token), "").await.expect(204);
    office.post("/api/v2/prices/reload", Some(&token), "").await.expect(200);
    let rates = r#"{"rates":{"claude":2}}"#;
    office.send_json(Method::PUT, "/api/v2/service-rates", Some(&token), rates).await.expect(200);

    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v2/audit?limit=2{cursor}");
        let page = office.get(&path, Some(&token)).await.expect(200).json();
        for entry in page["entries"].as_array().unwrap() {
            assert_eq!(entry["actor"]["name"], "root");
            seen.push(entry["action"].as_str().unwrap().to_owned());
        }
        let Some(next) = page["nextCursor"].as_u64() else { break };
        cursor = format!("&cursor={next}");
    }
    let expected =
        ["service-rates.update", "price.reload", "price.restore", "price.override", "login.begin"];
    assert_eq!(seen, expected);
    for (query, count) in [
        ("target=price", 4),
        ("target=price:m", 2),
        ("to=2025-12-31", 0),
        ("from=2026-01-01", 5),
        ("actor=nobody", 0),
    ] {
        let path = format!("/api/v2/audit?{query}");
        let page = office.get(&path, Some(&token)).await.expect(200).json();
        assert_eq!(page["entries"].as_array().unwrap().len(), count, "{query}");
    }
    for query in ["limit=0", "from=soon", "who=root"] {
        office.get(&format!("/api/v2/audit?{query}"), Some(&token)).await.expect(400);
    }
}
