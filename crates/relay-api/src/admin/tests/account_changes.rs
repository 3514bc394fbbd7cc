//! `/api/v2/accounts`: changing, resetting and removing, on both platforms.

use http::{Method, StatusCode};
use relay_domain::{AccountId, HealthEvent, Rest};
use serde_json::{Value, json};

use super::fixture::{NOW, Office, memory, signer};
use crate::admin::AdminConfig;

const PATHS: [&str; 2] = ["/api/v2/accounts/claude-console", "/api/v2/accounts/codex"];

async fn add(office: &Office, token: &str, path: &str) -> String {
    let body = json!({"apiUrl": "https://a.example", "apiKey": "sk-secret"}).to_string();
    let made = office.post(path, Some(token), &body).await.expect(201).json();
    format!("{path}/{}", made["account"]["id"].as_str().unwrap())
}

#[tokio::test]
async fn every_field_that_is_changed_reads_back_and_the_rest_stays() {
    let office = Office::open().await;
    let token = office.token().await;
    for path in PATHS {
        let path = add(&office, &token, path).await;
        let put = async |body: Value| {
            let answer =
                office.send_json(Method::PUT, &path, Some(&token), &body.to_string()).await;
            answer.expect(200).json()["account"].clone()
        };
        let asked = json!({
            "apiUrl": "https://b.example", "name": "n", "description": "d", "userAgent": "agent/1",
            "priority": 7, "supportedModels": {"a": "b"}, "rateLimitDuration": 60, "isActive": false,
            "accountType": "dedicated", "schedulable": false, "dailyQuota": 2.5,
            "quotaResetTime": "08:30", "maxConcurrentTasks": 3, "weeklyCostLimit": 10,
            "monthlyCostLimit": 20.25, "totalCostLimit": 100, "weeklyResetDay": 3,
            "weeklyResetHour": 4, "budgetPolicy": "hard", "rateMultiplier": 1.5,
            "onDisconnect": "drain", "subscriptionExpiresAt": "2030-01-31T12:00:00.000Z",
            "errorMessage": "noted",
        });
        let secret = office.stores.accounts.list().await.unwrap()[0].secret.clone();
        let changed = put(asked.clone()).await;
        for (field, value) in asked.as_object().unwrap() {
            assert_eq!(changed[field], *value, "{field}");
        }
        let same = put(json!({})).await;
        assert_eq!(same, changed, "nothing was asked for");
        assert_eq!(office.stores.accounts.list().await.unwrap()[0].secret, secret);

        let proxy = json!({
            "type": "socks5", "host": "p.example", "port": 1080, "username": "u", "password": "hunter2",
        });
        let changed = put(json!({"proxy": proxy})).await;
        let shown = json!({
            "protocol": "socks5", "host": "p.example", "port": 1080, "auth": {"username": "u"},
        });
        assert_eq!(changed["proxy"], shown);
        assert_eq!(put(json!({"proxy": shown})).await["proxy"], shown, "it can be sent back");
        let bare =
            put(json!({"proxy": null, "subscriptionExpiresAt": null, "dailyQuota": 0})).await;
        assert_eq!(bare["proxy"], Value::Null);
        assert_eq!(bare["subscriptionExpiresAt"], Value::Null);
        assert_eq!(bare["dailyQuota"], 0);
        put(json!({"apiKey": "sk-other"})).await;
        assert_ne!(office.stores.accounts.list().await.unwrap()[0].secret, secret);

        office.send_json(Method::DELETE, &path, Some(&token), "").await.expect(204);
        office.send_json(Method::DELETE, &path, Some(&token), "").await.expect(404);
        office.get(&path, Some(&token)).await.expect(404);
    }
    let trail = office.get("/api/v2/audit?limit=500", Some(&token)).await.expect(200).text;
    for secret in ["sk-secret", "sk-other", "hunter2"] {
        assert!(!trail.contains(secret), "{trail}");
    }
}

#[tokio::test]
async fn a_change_that_cannot_be_or_comes_late_changes_nothing() {
    let office = Office::open().await;
    let token = office.token().await;
    let path = add(&office, &token, PATHS[0]).await;
    let put = async |path: &str, body: &str| {
        office.send_json(Method::PUT, path, Some(&token), body).await
    };
    for (body, message) in [
        (r#"{"quotaResetTime":"24:00"}"#, "quotaResetTime must"),
        (r#"{"weeklyResetDay":8}"#, "weeklyResetDay must"),
        (r#"{"rateMultiplier":-1}"#, "rateMultiplier must"),
        (r#"{"subscriptionExpiresAt":"soon"}"#, "subscriptionExpiresAt must"),
        (r#"{"apiKey":""}"#, "apiKey must"),
        (r#"{"status":"blocked"}"#, "status must be `active`"),
        (r#"{"dailyUsage":0}"#, "unknown field `dailyUsage`"),
    ] {
        let answer = put(&path, body).await.expect(400);
        assert!(answer.message().contains(message), "{body}: {}", answer.text);
    }
    let id = path.rsplit('/').next().unwrap();
    put(&format!("{}/{id}", PATHS[1]), "{}").await.expect(404);
    put(&format!("{}/nobody", PATHS[0]), "{}").await.expect(404);
    let answer = office.get(&path, Some(&token)).await.expect(200);
    let (etag, before) = (answer.headers["etag"].clone(), answer.json());
    assert_eq!(before["account"]["updatedAt"], "");

    for expected in [StatusCode::OK, StatusCode::PRECONDITION_FAILED] {
        let body = format!(r#"{{"name":"{expected}"}}"#);
        let mut request = super::fixture::request(Method::PUT, &path, Some(&token), body.into());
        request.headers_mut().insert("content-type", "application/json".parse().unwrap());
        request.headers_mut().insert("if-match", etag.clone());
        assert_eq!(office.send(request).await.status, expected);
    }
}

#[tokio::test]
async fn an_account_is_reset_and_no_ghost_appears() {
    let office = Office::open().await;
    let token = office.token().await;
    let path = add(&office, &token, PATHS[0]).await;
    let id = AccountId::try_from(path.rsplit('/').next().unwrap()).unwrap();
    for (method, below, body) in
        [(Method::POST, "/reset-rate-limit", ""), (Method::PUT, "", r#"{"status":"active"}"#)]
    {
        let until = Some(NOW.plus(std::time::Duration::from_mins(5)));
        let event = HealthEvent::RateLimited { until, rest: None, model: None };
        office.stores.accounts.apply_health(&id, &event, NOW).await.unwrap();
        let shown = office.get(&path, Some(&token)).await.expect(200).json();
        assert_eq!(shown["account"]["status"], "rate_limited");
        let path = format!("{path}{below}");
        let answer = office.send_json(method, &path, Some(&token), body).await.expect(200).json();
        assert_eq!(answer["account"]["status"], "active");
        assert!(answer["account"]["rateLimitInfo"].is_null());
    }
    let toggled = office
        .post(&format!("{path}/toggle-schedulable"), Some(&token), r#"{"schedulable":false}"#)
        .await
        .expect(200)
        .json();
    assert_eq!(toggled["account"]["schedulable"], false);
    office.post(&format!("{path}/reset-limits"), Some(&token), "").await.expect(200);
    for below in ["reset-rate-limit", "reset-limits"] {
        let path = format!("{}/nobody/{below}", PATHS[0]);
        office.post(&path, Some(&token), "").await.expect(404);
    }
    assert_eq!(office.stores.accounts.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn accounts_are_listed_page_by_page() {
    let office = Office::open().await;
    let token = office.token().await;
    for _ in 0..5 {
        add(&office, &token, PATHS[1]).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("{}?limit=2&sort=name&order=desc{cursor}", PATHS[1]);
        let page = office.get(&path, Some(&token)).await.expect(200).json();
        assert_eq!(page["total"], 5);
        let accounts = page["accounts"].as_array().unwrap();
        seen.extend(accounts.iter().map(|one| one["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.is_sorted_by(|a, b| b < a), "{seen:?}");
    office.get(&format!("{}?cursor=x", PATHS[1]), Some(&token)).await.expect(400);
    let first = office.get(&format!("{}?limit=1&sort=name", PATHS[1]), Some(&token)).await;
    let next = first.expect(200).json()["nextCursor"].as_str().unwrap().to_owned();
    for (order, status) in
        [("sort=name", 200), ("sort=name&order=desc", 400), ("sort=priority", 400)]
    {
        let path = format!("{}?{order}&cursor={next}", PATHS[1]);
        office.get(&path, Some(&token)).await.expect(status);
    }
}

#[tokio::test]
async fn a_proxy_that_is_relay_itself_is_refused() {
    let stores = memory();
    let listens_on = Some(([127, 0, 0, 1], 4000).into());
    let config = AdminConfig { listens_on, ..AdminConfig::default() };
    let office = Office::set_up(stores.clone(), stores, config, (signer(), NOW)).await;
    office.operator.initialise_admin("root", Some(super::fixture::PASSWORD.into())).await.unwrap();
    let token = office.token().await;
    for (host, port, status) in
        [("127.0.0.1", 4000, 400), ("localhost", 4000, 400), ("127.0.0.1", 4001, 201)]
    {
        let proxy = json!({"protocol": "http", "host": host, "port": port});
        let body = json!({"apiUrl": "https://a.example", "apiKey": "sk-1", "proxy": proxy});
        office.post(PATHS[0], Some(&token), &body.to_string()).await.expect(status);
    }
}

#[tokio::test]
async fn null_clears_what_can_be_empty_and_is_refused_elsewhere() {
    let office = Office::open().await;
    let token = office.token().await;
    let put = async |path: &str, body: &Value| {
        office.send_json(Method::PUT, path, Some(&token), &body.to_string()).await
    };
    let path = add(&office, &token, PATHS[0]).await;
    let full = json!({
        "description": "d", "userAgent": "agent/1", "supportedModels": {"a": "b"}, "rateLimitDuration": 60,
        "maxConcurrentTasks": 3, "dailyQuota": 2.5, "weeklyCostLimit": 10, "monthlyCostLimit": 20,
        "totalCostLimit": 100, "errorMessage": "noted",
    });
    put(&path, &full).await.expect(200);
    let empty = |field: &str| match field {
        "description" | "userAgent" | "errorMessage" => json!(""),
        "supportedModels" => json!({}),
        _ => json!(0),
    };
    for (field, value) in full.as_object().unwrap() {
        let cleared = put(&path, &json!({ field: null })).await.expect(200).json();
        assert_eq!(cleared["account"][field], empty(field), "{field} was {value}");
    }
    for field in [
        "name",
        "apiUrl",
        "apiKey",
        "priority",
        "isActive",
        "accountType",
        "schedulable",
        "quotaResetTime",
        "weeklyResetDay",
        "weeklyResetHour",
        "budgetPolicy",
        "rateMultiplier",
        "onDisconnect",
        "status",
    ] {
        let refused = put(&path, &json!({ field: null })).await.expect(400);
        assert!(refused.message().starts_with(&format!("{field} must be ")), "{}", refused.text);
    }

    let id = path.rsplit('/').next().unwrap();
    let asked =
        json!({"name": "g", "platform": "claude-console", "description": "d", "accountIds": [id]});
    let made = office.post("/api/v2/account-groups", Some(&token), &asked.to_string()).await;
    let made = made.expect(201).json();
    let path = format!("/api/v2/account-groups/{}", made["group"]["id"].as_str().unwrap());
    let cleared =
        put(&path, &json!({"description": null, "accountIds": null})).await.expect(200).json();
    assert_eq!(
        (&cleared["group"]["description"], &cleared["group"]["accountIds"]),
        (&json!(""), &json!([]))
    );
    put(&path, &json!({"name": null})).await.expect(400);

    let asked = json!({"name": "g", "description": "d", "dailyCostLimit": 1, "rateLimitWindow": 5,
        "rateLimitRequests": 2, "concurrencyLimit": 3});
    let made =
        office.post("/api/v2/groups", Some(&token), &asked.to_string()).await.expect(201).json();
    let path = format!("/api/v2/groups/{}", made["group"]["id"].as_str().unwrap());
    let nulls = json!({"description": null, "dailyCostLimit": null, "rateLimitRequests": null,
        "concurrencyLimit": null});
    let cleared = put(&path, &nulls).await.expect(200).json()["group"].clone();
    for field in ["dailyCostLimit", "rateLimitRequests", "concurrencyLimit"] {
        assert_eq!(cleared[field], 0, "{field}");
    }
    assert_eq!((&cleared["description"], &cleared["rateLimitWindow"]), (&json!(""), &json!(5)));
    put(&path, &json!({"name": null})).await.expect(400);
}

#[tokio::test]
async fn the_trail_tells_that_a_secret_is_another_one_and_notes_one_reset_once() {
    let office = Office::open().await;
    let token = office.token().await;
    let path = add(&office, &token, PATHS[0]).await;
    let put = async |body: Value| {
        office.send_json(Method::PUT, &path, Some(&token), &body.to_string()).await.expect(200)
    };
    let latest = async |count: usize| {
        let path = format!("/api/v2/audit?limit={count}");
        let trail = office.get(&path, Some(&token)).await.expect(200).json();
        trail["entries"].as_array().unwrap().clone()
    };
    put(json!({"apiKey": "sk-other"})).await;
    let entry = latest(1).await.remove(0);
    let (before, after) = (&entry["before"]["apiKey"], &entry["after"]["apiKey"]);
    assert!(before != after && after.as_str().unwrap().len() == 11, "{before} {after}");
    let proxy = |password: &str| {
        json!({"proxy": {"protocol": "http", "host": "h", "port": 1,
            "auth": {"username": "u", "password": password}}})
    };
    put(proxy("one")).await;
    put(proxy("two")).await;
    let entry = latest(1).await.remove(0);
    assert_ne!(entry["before"]["proxy"]["password"], entry["after"]["proxy"]["password"]);

    put(json!({"errorMessage": "noted"})).await;
    let reset = format!("{path}/reset-rate-limit");
    office.post(&reset, Some(&token), "").await.expect(200);
    let entries = latest(2).await;
    assert_eq!(entries[0]["action"], "account.reset");
    assert_eq!(
        (&entries[0]["before"]["errorMessage"], &entries[0]["after"]["errorMessage"]),
        (&json!("noted"), &json!(""))
    );
    assert_eq!(entries[1]["after"]["errorMessage"], "noted", "the reset is one change");

    let fall_ill = async || {
        let id = AccountId::try_from(path.rsplit('/').next().unwrap()).unwrap();
        let event = HealthEvent::Overloaded(Rest::LONG);
        office.stores.accounts.apply_health(&id, &event, NOW).await.unwrap();
    };
    let first = latest(1).await.remove(0)["seq"].clone();
    let well = json!("active");
    for (body, action) in [
        (json!({"status": "active", "name": "well"}), "account.update"),
        (json!({"status": "active"}), "account.reset"),
    ] {
        fall_ill().await;
        put(body.clone()).await;
        let entry = latest(1).await.remove(0);
        assert_eq!(entry["action"], action, "{body}");
        let (before, after) = (&entry["before"], &entry["after"]);
        let told = (&before["status"], &after["status"], &after["name"]);
        assert_eq!(told, (&json!("overloaded"), &well, &json!("well")), "{body}");
    }
    let entries = latest(3).await;
    assert_eq!(entries[2]["seq"], first, "each change is one entry: {entries:?}");
}
