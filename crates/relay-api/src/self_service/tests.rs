use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use relay_crypto::{KeyHasher, Keyring, SealFormat};
use relay_domain::{ApiKey, Calendar, KeyDigest, Timestamp};
use relay_engine::{Clock, Engine, EngineConfig, EngineParts, Relay};
use relay_pricing::PriceBook;
use relay_store::Stores;
use relay_store::contract::fixture::{NOW, admitted, at, key, record, request_id, settlement};
use relay_store_sqlite::{Access, SqliteOptions, SqliteStore};
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use crate::{Edge, EdgeConfig};

const SECRET: &str = "cr_0123456789abcdef0123456789abcdef";
const OTHER: &str = "cr_fedcba9876543210fedcba9876543210";
const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

#[derive(Debug)]
struct At(Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// An edge on a store with two keys, of which `k` was used three times and `other` once.
async fn edge() -> (Edge, Stores) {
    let options = SqliteOptions {
        calendar: Calendar::UTC,
        record_capacity: 100,
        record_lifetime: Duration::from_hours(24),
        access: Access::Serve,
    };
    let stores = SqliteStore::in_memory(options).unwrap().stores();
    let hasher = KeyHasher::new(&"a key of the tests' own".into());
    for (id, secret) in [("k", SECRET), ("other", OTHER)] {
        let digest = KeyDigest::new(hasher.digest(secret));
        stores.keys.create(&ApiKey { digest, ..key(id, 0) }).await.unwrap();
    }
    for (number, owner) in [(1, "k"), (2, "other"), (3, "k"), (4, "k")] {
        admitted(&stores, number, owner, NOW).await;
        let ended = settlement(record(number, owner), at(u64::from(number)));
        assert!(stores.ledger.settle(&ended).await.unwrap().is_first());
    }
    let engine = Engine::start(EngineParts {
        config: EngineConfig::default(),
        clock: Arc::new(At(at(10_000))),
        stores: stores.clone(),
        hasher,
        keyring: Keyring::new(&"a key of the tests' own".into(), SealFormat::Aead),
        prices: Arc::new(relay_engine::prices::Prices::of(PriceBook::builtin().unwrap())),
        journal: None,
        events: Arc::new(relay_engine::Unheard),
        tasks: TaskTracker::new(),
    });
    let relay = Relay::new(&engine.await.unwrap());
    (Edge::new(relay, Router::new(), EdgeConfig::default()), stores)
}

async fn ask(
    edge: &Edge,
    method: Method,
    path: &str,
    key: Option<&str>,
    body: &str,
) -> (u16, Value) {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(key) = key {
        request = request.header("x-api-key", key);
    }
    let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
    let response = edge.serve(request, LOCAL).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

async fn get(edge: &Edge, path: &str) -> Value {
    let (status, body) = ask(edge, Method::GET, path, Some(SECRET), "").await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

#[tokio::test]
async fn an_owner_sees_the_keys_usage_below_every_mount() {
    let (edge, _) = edge().await;
    for mount in ["/v1", "/api/v1", "/claude/v1"] {
        let info = get(&edge, &format!("{mount}/key-info")).await;
        assert_eq!(info["keyInfo"]["id"], "k");
        assert_eq!(info["timestamp"], at(10_000).to_string());
        let usage = get(&edge, &format!("{mount}/usage")).await;
        assert_eq!(usage["usage"], info["keyInfo"]["usage"]);
        assert_eq!(usage["limits"], json!({"tokens": 0, "requests": 0}));
        let expected = json!({
            "requests": 3, "tokens": 162_963, "allTokens": 162_963, "inputTokens": 3,
            "outputTokens": 60, "cacheCreateTokens": 162_000, "cacheReadTokens": 900,
        });
        for period in ["total", "daily", "monthly"] {
            assert_eq!(usage["usage"][period], expected, "{period}");
        }
        let averages = json!({
            "rpm": 0.0, "tpm": 113.17, "dailyRequests": 3.0, "dailyTokens": 162_963.0,
        });
        assert_eq!(usage["usage"]["averages"], averages);
        let recent = usage["usage"]["recentRecords"].as_array().unwrap();
        assert_eq!(recent.len(), 3);
        assert_eq!(recent[0]["requestId"], request_id(4).to_string());
        assert_eq!(recent[0]["cost"], json!(0.012_600_001));
        let me = get(&edge, &format!("{mount}/me")).await;
        assert_eq!((&me["id"], &me["display_name"]), (&json!("user_k"), &json!("k")));
        let balance = get(&edge, &format!("{mount}/organizations/any/usage")).await;
        assert_eq!(balance["data"][0]["type"], "credit_balance");
    }
}

#[tokio::test]
async fn an_owner_sees_own_requests_alone_and_no_account() {
    let (edge, _) = edge().await;
    let first = get(&edge, "/api/v1/requests?limit=2").await;
    let ids = |page: &Value| {
        let requests = page["requests"].as_array().unwrap();
        requests.iter().map(|request| request["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&first), [request_id(4).to_string(), request_id(3).to_string()]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = get(&edge, &format!("/v1/requests?cursor={cursor}")).await;
    assert_eq!(ids(&rest), [request_id(1).to_string()], "the other key's request is not shown");
    assert_eq!(rest["next_cursor"], Value::Null);
    assert!(!first.to_string().contains("account"), "{first}");
    for query in ["?limit=0", "?limit=many", "?key=other", "?cursor=7"] {
        let path = format!("/v1/requests{query}");
        let (status, body) = ask(&edge, Method::GET, &path, Some(SECRET), "").await;
        assert_eq!(
            (status, &body["error"]["type"]),
            (400, &json!("invalid_request_error")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn nothing_is_told_without_a_key_that_may_be_used() {
    let (edge, stores) = edge().await;
    let off = stores.keys.list().await.unwrap().into_iter().find(|key| key.id.as_str() == "other");
    stores.keys.update(&ApiKey { is_active: false, ..off.unwrap() }).await.unwrap();
    let paths = ["key-info", "usage", "me", "requests", "organizations/o/usage"];
    for path in paths.map(|path| format!("/api/v1/{path}")) {
        for key in [None, Some("cr_00000000000000000000000000000000"), Some(OTHER)] {
            let (status, body) = ask(&edge, Method::GET, &path, key, "").await;
            assert_eq!((status, &body["error"]["type"]), (401, &json!("authentication_error")));
        }
    }
    let cases = [
        ("{}", 400),
        ("no JSON", 400),
        (r#"{"apiId":"k"}"#, 400),
        (r#"{"apiKey":"cr_00000000000000000000000000000000"}"#, 401),
        (&format!(r#"{{"apiKey":"{OTHER}"}}"#), 403),
    ];
    for path in ["/apiStats/api/get-key-id", "/apiStats/api/user-stats"] {
        for (body, expected) in cases {
            let (status, answer) = ask(&edge, Method::POST, path, None, body).await;
            assert_eq!(status, expected, "{path} {body}: {answer}");
            assert!(answer["message"].is_string() && answer.get("data").is_none(), "{answer}");
        }
    }
}

#[tokio::test]
async fn v1s_page_of_statistics_is_served_by_the_key_itself() {
    let (edge, _) = edge().await;
    let body = format!(r#"{{"apiKey":"{SECRET}"}}"#);
    let (status, id) = ask(&edge, Method::POST, "/apiStats/api/get-key-id", None, &body).await;
    assert_eq!((status, id), (200, json!({"success": true, "data": {"id": "k"}})));
    let (status, stats) = ask(&edge, Method::POST, "/apiStats/api/user-stats", None, &body).await;
    assert_eq!((status, &stats["success"]), (200, &json!(true)));
    let data = &stats["data"];
    assert_eq!(data["usage"]["total"]["requests"], 3);
    assert_eq!(data["usage"]["total"]["cost"], json!(0.037_800_003));
    assert_eq!(data["usage"]["total"]["formattedCost"], "$0.037800003");
    assert_eq!(data["limits"]["currentDailyCost"], json!(0.037_800_003));
    assert_eq!(data["restrictions"]["enableModelRestriction"], false);
    assert!(!stats.to_string().contains("account"), "{stats}");
}
