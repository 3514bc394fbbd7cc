//! `/api/v2/prices`: what models cost, and what an operator says instead.

use std::time::Duration;

use axum::body::Body;
use http::Method;
use relay_engine::prices::PriceSource;
use relay_store_sqlite::{Access, SqliteOptions, SqliteStore};
use serde_json::{Value, json};

use super::fixture::{Answer, NOW, Office, PASSWORD, request, signer};
use crate::admin::AdminConfig;

const PRICES: &str = "/api/v2/prices";

async fn put(office: &Office, token: &str, model: &str, body: &Value) -> Answer {
    let path = format!("{PRICES}/{model}");
    office.send_json(Method::PUT, &path, Some(token), &body.to_string()).await
}

async fn delete(office: &Office, token: &str, model: &str) -> Answer {
    let path = format!("{PRICES}/{model}");
    office.send(request(Method::DELETE, &path, Some(token), Body::empty())).await
}

fn names(list: &Value) -> Vec<String> {
    let prices = list["prices"].as_array().unwrap();
    prices.iter().map(|price| price["model"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn prices_are_listed_with_where_they_come_from() {
    let office = Office::open().await;
    let token = office.token().await;
    let list = office.get(PRICES, Some(&token)).await.expect(200).json();
    assert_eq!((&list["total"], names(&list).len()), (&json!(189), 100));
    assert!(names(&list).is_sorted());
    let status = &list["status"];
    assert_eq!(
        (&status["source"], &status["models"], &status["overrides"], &status["error"]),
        (&json!("builtin"), &json!(189), &json!(0), &Value::Null)
    );
    let layer = &status["layers"][0];
    assert_eq!((&layer["origin"], &layer["asOf"]), (&json!("builtin"), &json!("2026-07-24")));
    assert_eq!(layer["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(list["fallback"]["standard"]["input"], 3);

    let after = names(&list).pop().unwrap();
    let rest =
        office.get(&format!("{PRICES}?after={after}"), Some(&token)).await.expect(200).json();
    assert_eq!((names(&rest).len(), &rest["total"]), (89, &json!(189)));
    let found = office.get(&format!("{PRICES}?search=OPUS-4-6&limit=1"), Some(&token)).await;
    let found = found.expect(200).json();
    assert_eq!(names(&found), ["claude-opus-4-6"]);
    let none = office.get(&format!("{PRICES}?origin=override"), Some(&token)).await.expect(200);
    assert_eq!(none.json()["total"], 0);
    for query in ["?limit=0", "?limit=1001", "?page=1", "?origin=guess"] {
        office.get(&format!("{PRICES}{query}"), Some(&token)).await.expect(400);
    }
}

#[tokio::test]
async fn a_price_is_found_under_the_name_that_requests_are_priced_by() {
    let office = Office::open().await;
    let token = office.token().await;
    let path = format!("{PRICES}/us.anthropic.claude-sonnet-4-5-20250929-v1:0");
    let found = office.get(&path, Some(&token)).await.expect(200).json();
    let long = json!({"above": 200_000, "priority": null, "flex": null, "batch": null,
        "standard": {"input": 6, "output": 22.5, "cacheRead": 0.6, "cacheWrite5m": 7.5, "cacheWrite1h": 12}});
    assert_eq!(
        found,
        json!({"model": "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "price": {
            "model": "claude-sonnet-4-5-20250929", "origin": "builtin", "provider": "anthropic",
            "standard": {"input": 3, "output": 15, "cacheRead": 0.3, "cacheWrite5m": 3.75, "cacheWrite1h": 6},
            "long": [long], "priority": null, "flex": null, "batch": null,
            "fastMultiplier": null, "usResidencyMultiplier": null, "webSearch": 0.01,
            "maxInputTokens": 200_000, "maxOutputTokens": 64_000, "setAt": null, "setBy": null,
        }})
    );
    let gpt = office.get(&format!("{PRICES}/gpt-5.4"), Some(&token)).await.expect(200).json();
    assert_eq!(gpt["price"]["priority"]["output"], 30);
    assert_eq!(gpt["price"]["long"][0]["priority"]["output"], 45);
    let missing = office.get(&format!("{PRICES}/unheard-of"), Some(&token)).await.expect(404);
    assert_eq!(missing.message(), "Price not found");
    let fallback = office.get(&format!("{PRICES}/fallback"), Some(&token)).await.expect(200);
    assert_eq!(fallback.json()["price"]["fastMultiplier"], 6);
}

#[tokio::test]
async fn an_override_takes_the_place_of_a_price_until_it_is_removed() {
    let office = Office::open().await;
    let token = office.token().await;
    let body = json!({
        "standard": {"input": 1.5, "output": 7, "cacheRead": 0.000_001},
        "long": [{"above": 100_000, "standard": {"input": 3, "output": 14}}],
        "batch": {"input": 0, "output": 3.5},
        "fastMultiplier": 2.5, "usResidencyMultiplier": 1.1, "webSearch": 0,
    });
    let set = put(&office, &token, "claude-opus-5", &body).await.expect(200).json();
    let price = &set["price"];
    assert_eq!(
        (&price["origin"], &price["provider"], &price["setBy"], &price["setAt"]),
        (&json!("override"), &json!("anthropic"), &json!("root"), &json!(NOW.to_string()))
    );
    assert_eq!(
        price["standard"],
        json!({"input": 1.5, "output": 7, "cacheRead": 0.000_001, "cacheWrite5m": 1.875, "cacheWrite1h": 3})
    );
    assert_eq!(price["long"][0]["standard"]["cacheRead"], json!(0.000_002));
    assert_eq!(price["batch"]["input"], 0);
    assert_eq!(
        (&price["fastMultiplier"], &price["usResidencyMultiplier"], &price["webSearch"]),
        (&json!(2.5), &json!(1.1), &json!(0))
    );
    let dated = office.get(&format!("{PRICES}/claude-opus-5-20260601"), Some(&token)).await;
    assert_eq!(dated.expect(200).json()["price"], *price);
    put(&office, &token, "house%2Fmodel", &json!({"standard": {"input": 1, "output": 1}}))
        .await
        .expect(200);
    let list =
        office.get(&format!("{PRICES}?origin=override"), Some(&token)).await.expect(200).json();
    assert_eq!(names(&list), ["claude-opus-5", "house/model"]);
    assert_eq!(list["status"]["overrides"], 2);

    assert_eq!(delete(&office, &token, "claude-opus-5").await.expect(204).text, "");
    let answer = delete(&office, &token, "claude-opus-5").await.expect(404);
    assert_eq!(answer.message(), "Price override not found");
    let back =
        office.get(&format!("{PRICES}/claude-opus-5"), Some(&token)).await.expect(200).json();
    assert_eq!(
        (&back["price"]["origin"], &back["price"]["setBy"]),
        (&json!("builtin"), &Value::Null)
    );

    let fallback = json!({"standard": {"input": 30, "output": 150}});
    let set = put(&office, &token, "fallback", &fallback).await.expect(200).json();
    assert_eq!(
        (&set["price"]["origin"], &set["price"]["standard"]["input"]),
        (&json!("override"), &json!(30))
    );
    delete(&office, &token, "fallback").await.expect(204);
}

#[tokio::test]
async fn a_price_that_cannot_be_is_refused_by_name() {
    let office = Office::open().await;
    let token = office.token().await;
    let with = |field: &str, value: Value| {
        let mut body = json!({"standard": {"input": 1, "output": 2}});
        body[field] = value;
        body
    };
    let cases = [
        (json!({}), "missing field `standard`"),
        (json!({"standard": {"input": 1}}), "standard: missing field `output`"),
        (
            json!({"standard": {"input": -1, "output": 2}}),
            "input must be dollars per million tokens",
        ),
        (
            json!({"standard": {"input": 1, "output": 0.000_000_1}}),
            "output must be dollars per million tokens",
        ),
        (
            json!({"standard": {"input": 10_001, "output": 2}}),
            "a price is above 10,000 dollars per million tokens",
        ),
        (json!({"standard": {"input": "1", "output": 2}}), "standard.input must be a JSON number"),
        (
            json!({"standard": {"input": 1, "output": 2, "cache": 1}}),
            "standard: unknown field `cache`",
        ),
        (with("inputPrice", json!(1)), "unknown field `inputPrice`"),
        (
            with("fastMultiplier", json!(1.0001)),
            "fastMultiplier must be a number with up to three decimals",
        ),
        (with("fastMultiplier", json!(0)), "a price multiplies by zero"),
        (with("webSearch", json!(-1)), "webSearch must be an amount of dollars"),
        (with("webSearch", json!(11)), "a price is above 10 dollars for a web search"),
        (with("provider", json!("x".repeat(101))), "provider must have at most 100 characters"),
        (
            with(
                "long",
                json!([{"above": 2, "standard": {"input": 1, "output": 2}}, {"above": 1, "standard": {"input": 1, "output": 2}}]),
            ),
            "long must have thresholds that rise",
        ),
    ];
    for (body, message) in cases {
        let answer = put(&office, &token, "m", &body).await.expect(400);
        assert!(answer.message().contains(message), "{body}: {}", answer.message());
    }
    for (method, path) in [
        (Method::GET, PRICES),
        (Method::PUT, "/api/v2/prices/m"),
        (Method::POST, "/api/v2/prices/reload"),
    ] {
        office.send_json(method, path, None, "{}").await.expect(401);
    }
}

#[tokio::test]
async fn reloading_says_what_is_wrong_and_keeps_the_prices() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.json");
    let options = SqliteOptions {
        calendar: relay_domain::Calendar::UTC,
        record_capacity: 10,
        record_lifetime: Duration::from_hours(24),
        access: Access::Serve,
    };
    let stores = SqliteStore::in_memory(options).unwrap().stores();
    let source = PriceSource::File(path.clone());
    let (config, moment) = (AdminConfig::default(), (signer(), NOW));
    let office = Office::with_prices(stores.clone(), stores, config, moment, source).await;
    office.operator.initialise_admin("root", Some(PASSWORD.into())).await.unwrap();
    let token = office.token().await;
    let reload = async || office.post(&format!("{PRICES}/reload"), Some(&token), "").await;

    let missing = reload().await.expect(422);
    assert!(
        missing.message().starts_with("The prices in force stay: the file cannot be read"),
        "{}",
        missing.text
    );
    let table = r#"{"house-model": {"mode": "chat", "input_cost_per_token": 3e-06, "output_cost_per_token": 1e-05},
        "image": {"mode": "image_generation", "output_cost_per_image": 0.04}}"#;
    std::fs::write(&path, table).unwrap();
    let status = reload().await.expect(200).json();
    let layer = &status["status"]["layers"][1];
    assert_eq!(
        (&layer["origin"], &layer["models"], &layer["otherModes"], &status["status"]["error"]),
        (&json!("file"), &json!(1), &json!(1), &Value::Null)
    );
    std::fs::write(&path, &table[..60]).unwrap();
    let cut = reload().await.expect(422);
    assert!(cut.message().contains("the price table cannot be read"), "{}", cut.text);
    let price = office.get(&format!("{PRICES}/house-model"), Some(&token)).await.expect(200).json();
    assert_eq!(
        (&price["price"]["origin"], &price["price"]["standard"]["input"]),
        (&json!("file"), &json!(3))
    );
    let list = office.get(PRICES, Some(&token)).await.expect(200).json();
    assert!(list["status"]["error"].as_str().unwrap().contains("cannot be read"), "{list}");
    assert_eq!(list["status"]["errorSince"], NOW.to_string());
}
