//! Who is let in where, and what a request that leads nowhere is told.

use relay_domain::Actor;
use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::Method;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE,
};
use relay_crypto::TokenSigner;
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::fixture::{NOW, Office, request, signer};
use crate::admin::guard::OPEN;
use crate::openapi;

const DAY: Duration = Duration::from_hours(24);

/// The operations that the document calls open, by their path.
fn open_by_the_document() -> Vec<String> {
    let document: Value = serde_json::from_str(&openapi::document()).unwrap();
    let paths = document["paths"].as_object().unwrap().iter();
    let open = paths.filter(|(_, methods)| {
        methods.as_object().unwrap().values().any(|operation| operation["security"].is_null())
    });
    open.map(|(path, _)| path.clone()).collect()
}

/// Every operation of the document, with something in place of the variable parts.
pub(super) fn operations() -> Vec<(Method, String)> {
    let document: Value = serde_json::from_str(&openapi::document()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, methods)| {
        let path = path
            .replace("{platform}", "claude-console")
            .replace("{id}", "some-id")
            .replace("{model}", "some-model");
        let methods = methods.as_object().unwrap().keys();
        methods.map(move |method| (method.to_uppercase().parse().unwrap(), path.clone()))
    });
    operations.collect()
}

#[tokio::test]
async fn only_login_and_health_are_open() {
    let office = Office::open().await;
    let issued = |name: &str, epoch, ttl| {
        signer().issue(name, epoch, NOW.as_millis(), ttl).unwrap().expose_secret().to_owned()
    };
    let stranger = TokenSigner::new(&"another secret".into());
    let forged =
        stranger.issue("root", 0, NOW.as_millis(), DAY).unwrap().expose_secret().to_owned();
    let key = office
        .operator
        .create_key(&Actor::admin("root"), relay_engine::operator::NewKey::default())
        .await
        .unwrap()
        .1;
    let good = issued("root", 0, DAY);
    let claims = good.split('.').nth(1).unwrap();
    let header = |json: &str| BASE64_URL_SAFE_NO_PAD.encode(json);
    let unsigned = format!("{}.{claims}.", header(r#"{"alg":"none","typ":"JWT"}"#));
    let confused = format!("{}.{claims}.AAAA", header(r#"{"alg":"RS256","typ":"JWT"}"#));
    let tokens = [
        ("none", None),
        ("unsigned", Some(unsigned)),
        ("of another algorithm", Some(confused)),
        ("without its signature", Some(good.rsplit_once('.').unwrap().0.to_owned())),
        ("with the start of its signature", Some(good[..good.len() - 1].to_owned())),
        ("of automation that nobody made", Some("rat_0123456789".to_owned())),
        ("of v1's", Some("0123456789abcdef".repeat(4))),
        ("empty", Some(String::new())),
        ("forged", Some(forged)),
        ("expired", Some(issued("root", 0, Duration::ZERO))),
        ("of a later epoch", Some(issued("root", 1, DAY))),
        ("of somebody else", Some(issued("nobody", 0, DAY))),
        ("an API key", Some(key.expose_secret().to_owned())),
    ];
    // What the guard lets pass and what the document calls open is the same, but for the document itself.
    let by_the_document = open_by_the_document();
    let undocumented: Vec<_> =
        OPEN.iter().filter(|path| !by_the_document.contains(&(**path).to_owned())).collect();
    let of_the_document = |path: &&&str| path.starts_with("/docs") || **path == "/openapi.json";
    assert!(undocumented.iter().all(of_the_document), "{undocumented:?}");
    assert_eq!(by_the_document.len(), OPEN.len() - undocumented.len());
    let operations = operations();
    let guarded: Vec<_> =
        operations.iter().filter(|(_, path)| !OPEN.contains(&path.as_str())).collect();
    assert!(guarded.len() > 5, "{guarded:?}");
    let mut checked = 0;
    for (method, path) in &guarded {
        for (name, token) in &tokens {
            // Bad in every other way too: who is not let in is told nothing else.
            for body in ["", "{not json", r#"{"unknown":1}"#] {
                let path = format!("{path}?unknown=1");
                let sent = request(method.clone(), &path, token.as_deref(), Body::from(body));
                let answer = office.send(sent).await;
                assert_eq!(
                    answer.status, 401,
                    "{method} {path} with token {name}: {}",
                    answer.text
                );
                assert_eq!(answer.message(), "Invalid or expired token");
                let told = token.as_ref().is_some_and(|token| {
                    !token.is_empty() && format!("{answer:?}").contains(token)
                });
                assert!(!told, "{name}: what was presented is not repeated");
                assert_eq!(answer.headers[WWW_AUTHENTICATE], "Bearer");
                checked += 1;
            }
        }
    }
    assert_eq!(checked, guarded.len() * tokens.len() * 3);
    for (method, path) in operations.iter().filter(|(_, path)| OPEN.contains(&path.as_str())) {
        let answer = office.send(request(method.clone(), path, None, Body::empty())).await;
        assert_ne!(answer.status, 401, "{method} {path}");
    }
}

#[tokio::test]
async fn a_session_ends_with_its_time_and_with_the_password() {
    let office = Office::open().await;
    let token = office.token().await;
    office.clock.advance(DAY.saturating_sub(Duration::from_secs(1)));
    office.get("/api/v2/keys", Some(&token)).await.expect(200);
    office.clock.advance(Duration::from_secs(1));
    office.get("/api/v2/keys", Some(&token)).await.expect(401);

    let token = office.token().await;
    office.get("/api/v2/keys", Some(&token)).await.expect(200);
    office.operator.reset_password().await.unwrap();
    office.get("/api/v2/keys", Some(&token)).await.expect(401);
}

#[tokio::test]
async fn what_leads_nowhere_is_said_in_one_shape() {
    let office = Office::open().await;
    let token = office.token().await;
    let token = Some(token.as_str());
    let keys = |method, kind: &'static str, body: &str| {
        let mut request = request(method, "/api/v2/keys", token, Body::from(body.to_owned()));
        request.headers_mut().insert(CONTENT_TYPE, kind.parse().unwrap());
        request
    };
    let json = "application/json";
    let long = format!(r#"{{"description":"{}"}}"#, "x".repeat(1024 * 1024));
    let cases = [
        (
            "no such path",
            request(Method::GET, "/api/v2/nothing", None, Body::empty()),
            404,
            "Route GET:/api/v2/nothing not found",
        ),
        (
            "nor outside",
            request(Method::GET, "/nothing?key=secret", None, Body::empty()),
            404,
            "Route GET:/nothing not found",
        ),
        ("no such method", keys(Method::DELETE, json, ""), 405, "DELETE is not allowed here"),
        ("no body", keys(Method::POST, json, ""), 400, "EOF"),
        ("no JSON", keys(Method::POST, json, "{"), 400, "EOF"),
        ("JSON of another kind", keys(Method::POST, json, "7"), 400, "must be an object"),
        (
            "an unknown field",
            keys(Method::POST, json, r#"{"nmae":"x"}"#),
            400,
            "unknown field `nmae`",
        ),
        ("no kind of body", keys(Method::POST, "text/plain", "{}"), 415, "Content-Type"),
        ("too long", keys(Method::POST, json, &long), 413, ""),
        (
            "an id that is none",
            request(Method::GET, "/api/v2/keys/a:b", token, Body::empty()),
            400,
            "an id holds no colon",
        ),
        (
            "an unknown filter",
            request(Method::GET, "/api/v2/keys?deleted=1", token, Body::empty()),
            400,
            "unknown field `deleted`",
        ),
        (
            "no such platform",
            request(Method::GET, "/api/v2/accounts/gemini", token, Body::empty()),
            400,
            "claude-console",
        ),
    ];
    for (name, request, status, message) in cases {
        let answer = office.send(request).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text);
        let json = answer.json();
        assert_eq!(json["statusCode"], status, "{name}");
        assert_eq!(json["error"], answer.status.canonical_reason().unwrap(), "{name}");
        assert!(answer.message().contains(message), "{name}: {}", answer.text);
        assert_eq!(json.as_object().unwrap().len(), 3, "{name}");
        assert_eq!(answer.headers[CACHE_CONTROL], "no-store", "{name}");
        if status == 405 {
            assert_eq!(answer.headers[ALLOW], "GET,HEAD,POST");
        }
    }
}

#[tokio::test]
async fn the_document_is_served_as_it_is_printed() {
    let answer = Office::open().await.get("/openapi.json", None).await.expect(200);
    assert_eq!(answer.headers[CONTENT_TYPE], "application/json");
    assert_eq!(answer.text, openapi::document());
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    // Every operation says who may call it and what a failure looks like.
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let open = path == "/api/v2/auth/admin/login" || !path.starts_with("/api");
            assert_eq!(operation["security"].is_null(), open, "{method} {path}");
            assert_eq!(
                operation["responses"]["401"].is_null(),
                !path.starts_with("/api"),
                "{method} {path}"
            );
        }
    }
    assert!(document["components"]["schemas"]["ErrorBody"].is_object());
    let operations = document["paths"].as_object().unwrap().values();
    let with_body = operations.flat_map(|methods| methods.as_object().unwrap().values());
    for operation in with_body.filter(|operation| !operation["requestBody"].is_null()) {
        for status in ["408", "413", "415"] {
            assert!(operation["responses"][status].is_object(), "{status}: {operation}");
        }
    }
}

#[tokio::test]
async fn the_documentation_is_served_from_the_binary() {
    let office = Office::open().await;
    assert_eq!(office.get("/docs/json", None).await.expect(200).text, openapi::document());
    assert_eq!(office.get("/docs", None).await.expect(308).headers[LOCATION], "/docs/");
    let page = office.get("/docs/", None).await.expect(200);
    assert_eq!(page.headers[CONTENT_TYPE], "text/html");
    assert!(page.text.contains("swagger-ui"), "{}", page.text);
    // Whatever the page asks for is there too, and is not to be had from anywhere else.
    let asked_for = page.text.split(['"', '\'']).filter_map(|text| text.strip_prefix("./"));
    let asked_for = asked_for.filter(|file| file.rsplit('.').next() != Some("png"));
    let mut found = 0;
    for file in asked_for {
        let file = office.get(&format!("/docs/{file}"), None).await.expect(200);
        assert!(file.headers.contains_key(CONTENT_SECURITY_POLICY));
        found += 1;
    }
    assert!(3 <= found, "{}", page.text);
    let start = office.get("/docs/swagger-initializer.js", None).await.expect(200);
    assert!(start.text.contains("/openapi.json"), "{}", start.text);
    office.get("/docs/nothing.js", None).await.expect(404);
}

#[tokio::test]
async fn an_array_is_no_object() {
    let office = Office::open().await;
    let token = office.token().await;
    office.stores.keys.create(&relay_store::contract::fixture::key("k", 1)).await.unwrap();
    let login = format!(r#"["root","{}"]"#, super::fixture::PASSWORD);
    office.post("/api/v2/auth/admin/login", None, &login).await.expect(400);
    let document: Value = serde_json::from_str(&openapi::document()).unwrap();
    let mut tried = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if operation["requestBody"].is_null() || path.starts_with("/api/v2/auth") {
                continue;
            }
            let method: Method = method.to_uppercase().parse().unwrap();
            let path = path.replace("{platform}", "codex").replace("{id}", "k");
            for body in [r#"["hacked","desc"]"#, "[]", "7", "null"] {
                if body == "null" && path.ends_with("/rotate") {
                    // Here it says that there is none.
                    continue;
                }
                let answer = office.send_json(method.clone(), &path, Some(&token), body).await;
                assert_eq!(answer.status, 400, "{method} {path} {body}: {}", answer.text);
                assert_eq!(answer.message(), "the body must be an object", "{method} {path}");
                tried += 1;
            }
        }
    }
    assert!(47 <= tried, "{tried}");
    for (path, body) in [
        ("/api/v2/keys", r#"{"queue":[1,2]}"#),
        ("/api/v2/keys/bulk", r#"{"count":1,"template":["x"]}"#),
        ("/api/v2/keys/bulk-edit", r#"{"ids":["k"],"changes":["hacked"]}"#),
    ] {
        let answer = office.post(path, Some(&token), body).await.expect(400);
        assert!(answer.message().ends_with("must be an object"), "{path}: {}", answer.text);
    }
    let kept = office.stores.keys.list().await.unwrap();
    assert_eq!(
        (kept.len(), kept[0].name.as_str()),
        (1, relay_store::contract::fixture::key("k", 1).name.as_str())
    );
}

#[tokio::test]
async fn what_is_not_looked_at_is_refused() {
    let office = Office::open().await;
    let token = office.token().await;
    let mut asked = 0;
    for (method, path) in operations().into_iter().filter(|(_, path)| path.starts_with("/api/")) {
        if method == Method::GET {
            let answer = office.get(&format!("{path}?unknown=1"), Some(&token)).await;
            assert_eq!(answer.status, 400, "{path}: {}", answer.text);
            asked += 1;
        } else if method == Method::POST && !path.contains("some-id") {
            // Nothing is there yet whose revision could be known.
            let condition = ("if-match", "\"1\"");
            let sent = office.send_with(condition, (method, &path), &token, &Value::Null).await;
            assert!(sent.expect(400).message().starts_with("If-Match must"), "{path}");
        }
    }
    assert!(20 < asked, "{asked}");
    let removed = "/api/v2/admin-tokens/some-id";
    let condition = ("if-match", "\"1\"");
    let sent = office.send_with(condition, (Method::DELETE, removed), &token, &Value::Null).await;
    assert!(sent.expect(400).message().starts_with("If-Match must"));
}

#[tokio::test]
async fn short_lists_come_in_pages_and_in_every_order() {
    let office = Office::open().await;
    let token = office.token().await;
    // Made in this order: a later one has no smaller number.
    let names = ["beta", "Ab", "c", "beta", "aa"];
    let by_name = ["aa", "Ab", "beta", "beta", "c"];
    for (path, list, body, by_default) in [
        ("/api/v2/groups", "groups", r#"{"name":"NAME"}"#, "sort=name&order=asc"),
        (
            "/api/v2/account-groups",
            "groups",
            r#"{"name":"NAME","platform":"codex"}"#,
            "sort=name&order=asc",
        ),
        (
            "/api/v2/admin-tokens",
            "tokens",
            r#"{"name":"NAME","scopes":["read"]}"#,
            "sort=createdAt&order=desc",
        ),
    ] {
        for name in names {
            office.clock.advance(Duration::from_secs(1));
            office.post(path, Some(&token), &body.replace("NAME", name)).await.expect(201);
        }
        let get = async |query: &str| {
            office.get(&format!("{path}?{query}"), Some(&token)).await.expect(200).json()
        };
        let items = |page: &Value| page[list].as_array().unwrap().clone();
        let reversed = |names: [&'static str; 5]| {
            let mut names = names;
            names.reverse();
            names
        };
        for (query, expected) in [
            ("sort=name&order=asc", by_name),
            ("sort=name&order=desc", reversed(by_name)),
            ("sort=createdAt&order=asc", names),
            ("sort=createdAt&order=desc", reversed(names)),
        ] {
            let all = get(query).await;
            assert_eq!((&all["total"], &all["nextCursor"]), (&5.into(), &Value::Null), "{path}");
            let found: Vec<_> =
                items(&all).iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect();
            assert_eq!(found, expected, "{path} {query}");
            let (mut seen, mut next) = (Vec::new(), String::new());
            loop {
                let page = get(&format!("{query}&limit=1{next}")).await;
                assert_eq!(page["total"], 5, "{path} {query}");
                seen.extend(items(&page));
                let Some(cursor) = page["nextCursor"].as_str() else { break };
                next = format!("&cursor={cursor}");
            }
            assert_eq!(seen, items(&all), "{path} {query}");
        }
        assert_eq!(get("").await, get(by_default).await, "{path}");
        assert_eq!(get("search=BETA").await["total"], 2, "{path}");
        let page = get("limit=1&sort=name&order=asc").await;
        let cursor = format!("cursor={}", page["nextCursor"].as_str().unwrap());
        for query in [
            "limit=0",
            "limit=201",
            "cursor=x",
            "page=2",
            "sort=colour",
            "order=up",
            &format!("{cursor}&sort=name&order=desc"),
            &format!("{cursor}&sort=createdAt&order=asc"),
        ] {
            office.get(&format!("{path}?{query}"), Some(&token)).await.expect(400);
        }
    }
}

#[tokio::test]
async fn tokens_are_sorted_by_their_use_and_groups_have_none() {
    let office = Office::open().await;
    let token = office.token().await;
    let path = "/api/v2/admin-tokens";
    let mut made = Vec::new();
    for name in ["a", "b", "c"] {
        let body = format!(r#"{{"name":"{name}","scopes":["read"]}}"#);
        let answer = office.post(path, Some(&token), &body).await.expect(201).json();
        made.push(answer["secret"].as_str().unwrap().to_owned());
    }
    for secret in [&made[2], &made[0]] {
        office.clock.advance(Duration::from_mins(5));
        office.get("/api/v2/groups", Some(secret)).await.expect(200);
    }
    let list = office.get(&format!("{path}?sort=lastUsedAt"), Some(&token)).await.expect(200);
    let names: Vec<_> = list.json()["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| token["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["a", "c", "b"]);
    for path in ["/api/v2/groups", "/api/v2/account-groups"] {
        office.get(&format!("{path}?sort=lastUsedAt"), Some(&token)).await.expect(400);
    }
}
