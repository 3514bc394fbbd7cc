//! `/api/v2/stats` and what else shows usage: sums, as JSON and as CSV.

use std::time::Duration;

use axum::body::Body;
use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE};
use relay_domain::{NanoUsd, RequestId, RequestRecord, Timestamp};
use relay_store::AdmitRequest;
use relay_store::contract::fixture::{
    account, account_id, admit_request, group_id, key, model, record, settlement,
};
use serde_json::{Value, json};

use super::fixture::{NOW, Office, request};

/// So many hours before the office's now, which is midnight of the new year 2026 in UTC.
fn ago(hours: u64) -> Timestamp {
    Timestamp::from_millis(NOW.as_millis() - hours * 3_600_000)
}

async fn settle(office: &Office, number: u8, ended: Timestamp, record: RequestRecord) {
    let id = RequestId::new(ended, u128::from(number));
    let asked = AdmitRequest { request: id, ..admit_request(number, record.key.as_str(), ended) };
    assert!(office.stores.ledger.admit(&asked).await.unwrap().decision.is_ok());
    let ended = settlement(RequestRecord { id, started_at: ended, ..record }, ended);
    assert!(office.stores.ledger.settle(&ended).await.unwrap().is_first());
}

/// Two keys, one of them in a group, on two accounts, yesterday and a month ago.
async fn used_office() -> (Office, String) {
    let office = Office::open().await;
    let token = office.token().await;
    for (id, digest) in [("k1", 1), ("k2", 2)] {
        office.stores.keys.create(&key(id, digest)).await.unwrap();
    }
    office.stores.accounts.create(&account("account-one")).await.unwrap();
    let used = |number, key, account, cost: i64| RequestRecord {
        account: Some(account_id(account)),
        group: (key == "k2").then(|| group_id("team")),
        cost: Some(NanoUsd::from_nanos(cost)),
        charged: Some(NanoUsd::from_nanos(cost * 2)),
        ..record(number, key)
    };
    settle(&office, 1, ago(31 * 24), used(1, "k1", "account-one", 1_000_000_000)).await;
    settle(&office, 2, ago(3), used(2, "k1", "account-one", 250_000_000)).await;
    settle(&office, 3, ago(2), used(3, "k2", "account-two", 1)).await;
    let unpriced = RequestRecord { cost: None, charged: None, ..used(4, "k2", "account-two", 0) };
    settle(&office, 4, ago(1), RequestRecord { served_model: Some(model("new")), ..unpriced })
        .await;
    (office, token)
}

async fn get(office: &Office, token: &str, path: &str) -> Value {
    office.get(path, Some(token)).await.expect(200).json()
}

#[tokio::test]
async fn usage_is_told_apart_as_asked() {
    let (office, token) = used_office().await;
    let all = get(&office, &token, "/api/v2/stats/usage?from=2025-11-01&by=month,key").await;
    assert_eq!(all["from"], "2025-11-01T00:00:00.000Z");
    assert_eq!(all["total"]["requests"], 4);
    assert_eq!(all["total"]["unpricedRequests"], 1);
    assert_eq!(all["total"]["totalTokens"], 4 * 54_321);
    assert_eq!(all["total"]["cost"], json!(1.250_000_001));
    assert_eq!(all["total"]["charged"], json!(2.500_000_002));
    let names: Vec<_> = all["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["period"].as_str().unwrap(), row["keyId"].as_str().unwrap()))
        .collect();
    assert_eq!(names, [("2025-12", "k1"), ("2025-12", "k2")]);
    assert!(all["rows"][0].get("model").is_none());

    let cases = [
        // Without a range, thirty days: the first request is one too old.
        ("", 3),
        ("?key=k1", 1),
        ("?key=k1&from=2025-11-30", 2),
        ("?group=team&model=new", 1),
        ("?account=account-two&key=k1", 0),
        ("?from=2025-12-31T22:00:00Z&to=2025-12-31T23:00:00Z", 1),
        ("?from=2025-12-31&to=2025-12-31", 3),
    ];
    for (query, requests) in cases {
        let path = format!("/api/v2/stats/usage{query}");
        assert_eq!(get(&office, &token, &path).await["total"]["requests"], requests, "{query}");
    }
    let limited = get(&office, &token, "/api/v2/stats/usage?by=key&limit=1").await;
    assert_eq!((&limited["hasMore"], limited["rows"].as_array().unwrap().len()), (&json!(true), 1));
    assert_eq!(limited["rows"][0]["keyId"], "k1", "what cost most comes first");
}

#[tokio::test]
async fn what_cannot_be_answered_is_said_by_name() {
    let (office, token) = used_office().await;
    let cases = [
        ("usage?from=yesterday", "from must be a day"),
        ("usage?to=2025-99-99", "to must be a day"),
        ("usage?by=week", "by must be a list"),
        ("usage?by=day,month", "by must be a list"),
        ("usage?limit=0", "limit must be from 1"),
        ("usage?format=xml", "format"),
        ("usage?keys=k1", "unknown field `keys`"),
        ("usage?from=2025-12-31&to=2025-12-30", "must end after it begins"),
        ("usage?from=2025-11-01&by=hour", "single hours are kept for 35 days"),
        ("usage?from=2020-01-01&by=day", "single days"),
        ("cost?by=nothing", "by must be a list"),
        ("overview?by=key", "unknown field `by`"),
    ];
    for (path, message) in cases {
        let answer = office.get(&format!("/api/v2/stats/{path}"), Some(&token)).await.expect(400);
        assert!(answer.message().contains(message), "{path}: {}", answer.message());
    }
}

#[tokio::test]
async fn costs_and_the_overview_add_up() {
    let (office, token) = used_office().await;
    let cost = get(&office, &token, "/api/v2/stats/cost?by=group").await;
    assert_eq!(
        cost["rows"],
        json!([
            {"requests": 1, "unpricedRequests": 0, "cost": 0.25, "charged": 0.5},
            {"groupId": "team", "requests": 2, "unpricedRequests": 1, "cost": 1e-9, "charged": 2e-9},
        ])
    );
    let overview = get(&office, &token, "/api/v2/stats/overview").await;
    assert_eq!(overview["today"]["requests"], 0);
    assert_eq!(overview["days"]["rows"].as_array().unwrap().len(), 1);
    assert_eq!(overview["keys"]["rows"][0]["keyId"], "k1");
    assert_eq!(overview["models"]["rows"].as_array().unwrap().len(), 2);
    assert_eq!(overview["accounts"]["total"], overview["groups"]["total"]);
    office.clock.advance(Duration::from_hours(5));
    settle(&office, 5, Timestamp::from_millis(NOW.as_millis() + 60_000), record(5, "k1")).await;
    let overview = get(&office, &token, "/api/v2/stats/overview").await;
    assert_eq!(overview["today"]["requests"], 1);
}

#[tokio::test]
async fn the_usage_of_a_key_and_of_an_account_is_shown() {
    let (office, token) = used_office().await;
    let stats = get(&office, &token, "/api/v2/keys/k1/stats").await;
    assert_eq!(
        stats["stats"]["total"],
        json!({
            "requests": 2, "tokens": 42, "allTokens": 108_642, "inputTokens": 2,
            "outputTokens": 40, "cacheCreateTokens": 108_000, "cacheReadTokens": 600,
            "ephemeral5mTokens": 8_000, "ephemeral1hTokens": 100_000, "cost": 1.25, "charged": 2.5,
        })
    );
    assert_eq!(stats["stats"]["daily"]["requests"], 0);
    assert_eq!(stats["stats"]["monthly"]["requests"], 0, "a new month has begun");
    office.get("/api/v2/keys/nobody/stats", Some(&token)).await.expect(404);

    let key = get(&office, &token, "/api/v2/stats/keys/k1?by=account").await;
    assert_eq!((&key["id"], &key["name"]), (&json!("k1"), &json!("k1")));
    assert_eq!(key["stats"], stats["stats"]);
    assert_eq!(key["usage"]["rows"][0]["accountId"], "account-one");
    office.get("/api/v2/stats/keys/nobody", Some(&token)).await.expect(404);

    let path = "/api/v2/accounts/claude-console/account-one/stats";
    let account = get(&office, &token, path).await;
    assert_eq!(account["stats"]["total"]["requests"], 2);
    assert_eq!(account["usage"]["rows"][0]["period"], "2025-12-31");
    let other = path.replace("claude-console", "codex");
    office.get(&other, Some(&token)).await.expect(404);
}

#[tokio::test]
async fn tables_are_given_to_who_asks_for_them() {
    let (office, token) = used_office().await;
    let usage = office.get("/api/v2/stats/usage?by=day,key&format=csv", Some(&token)).await;
    let usage = usage.expect(200);
    assert!(usage.headers[CONTENT_TYPE].to_str().unwrap().starts_with("text/csv"));
    let lines: Vec<_> = usage.text.lines().collect();
    assert_eq!(
        lines,
        [
            "period,keyId,groupId,accountId,model,requests,unpricedRequests,inputTokens,outputTokens,\
             cacheReadTokens,cacheWrite5mTokens,cacheWrite1hTokens,totalTokens,cost,charged",
            "2025-12-31,k1,,,,1,0,1,20,300,4000,50000,54321,0.25,0.5",
            "2025-12-31,k2,,,,2,1,2,40,600,8000,100000,108642,0.000000001,0.000000002",
        ]
    );
    let mut asked = request(Method::GET, "/api/v2/requests?limit=2", Some(&token), Body::empty());
    asked.headers_mut().insert(ACCEPT, "text/csv".parse().unwrap());
    let table = office.send(asked).await.expect(200);
    assert_eq!(table.text.lines().count(), 3);
    assert!(table.text.contains(",k2,team,claude-console,"), "{}", table.text);
    let cursor = table.headers["x-next-cursor"].to_str().unwrap();
    let rest = get(&office, &token, &format!("/api/v2/requests?cursor={cursor}")).await;
    assert_eq!(rest["requests"].as_array().unwrap().len(), 2);
    assert_eq!(rest["next"], Value::Null);
    for path in ["stats/cost", "stats/keys/k1", "accounts/claude-console/account-one/stats"] {
        let path = format!("/api/v2/{path}?format=csv");
        let table = office.get(&path, Some(&token)).await.expect(200);
        assert!(table.text.starts_with("period,keyId"), "{path}: {}", table.text);
    }
}

#[tokio::test]
async fn requests_are_searched() {
    let (office, token) = used_office().await;
    let id = RequestId::new(ago(3), 2).to_string();
    let cases = [
        ("", 4),
        ("?key=k1", 2),
        ("?account=account-two&model=new", 1),
        ("?status=200&outcome=completed", 4),
        ("?outcome=rejected", 0),
        ("?from=2025-12-02", 3),
        ("?to=2025-12-01", 1),
        ("?minCost=0.25", 2),
        (&format!("?id={}", id.to_uppercase()), 1),
    ];
    for (query, count) in cases {
        let found = get(&office, &token, &format!("/api/v2/requests{query}")).await;
        assert_eq!(found["requests"].as_array().unwrap().len(), count, "{query}");
    }
    for (query, message) in [
        ("?minCost=much", "minCost must be an amount"),
        ("?from=then", "from must be a day"),
        ("?status=many", "status"),
        ("?outcome=fine", "outcome"),
        ("?cursor=7", "cursor"),
        ("?page=2", "unknown field `page`"),
    ] {
        let path = format!("/api/v2/requests{query}");
        let answer = office.get(&path, Some(&token)).await.expect(400);
        assert!(answer.message().contains(message), "{query}: {}", answer.message());
    }
}
