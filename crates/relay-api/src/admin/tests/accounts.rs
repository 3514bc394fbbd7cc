//! `/api/v2/accounts`: what goes in comes out, but for the secrets.

use std::time::Duration;

use relay_domain::{HealthEvent, ModelName};
use serde_json::{Value, json};

use super::fixture::{NOW, Office};

const CLAUDE: &str = "/api/v2/accounts/claude-console";
const CODEX: &str = "/api/v2/accounts/codex";

async fn create(office: &Office, token: &str, path: &str, body: &Value) -> Value {
    office.post(path, Some(token), &body.to_string()).await.expect(201).json()["account"].clone()
}

#[tokio::test]
async fn an_added_account_is_shown_without_its_secret() {
    let office = Office::open().await;
    let token = office.token().await;
    let asked = json!({"apiUrl": "https://api.anthropic.com/v1/", "apiKey": "sk-ant-secret"});
    let account = create(&office, &token, CLAUDE, &asked).await;
    let id = account["id"].as_str().unwrap();
    assert_eq!(
        account,
        json!({
            "id": id, "platform": "claude-console", "name": format!("claude-console Account {}", &id[..8]),
            "description": "", "createdAt": NOW.to_string(), "updatedAt": "", "lastUsedAt": "",
            "apiUrl": "https://api.anthropic.com", "hasApiKey": true, "userAgent": "", "supportedModels": {},
            "priority": 50, "schedulable": true, "isActive": true, "status": "active", "errorMessage": "",
            "restingModels": {}, "rateLimitDuration": 0, "rateLimitStatus": "", "dailyQuota": 0,
            "dailyUsage": 0, "lastResetDate": "2026-01-01", "quotaResetTime": "00:00",
            "weeklyCostLimit": 0, "monthlyCostLimit": 0, "totalCostLimit": 0, "weeklyResetDay": 1,
            "weeklyResetHour": 0, "budgetPolicy": "soft", "rateMultiplier": account["rateMultiplier"],
            "onDisconnect": "abort", "subscriptionExpiresAt": null, "revision": 0,
            "maxConcurrentTasks": 0, "accountType": "shared", "proxy": null,
        })
    );
    let read = office.get(&format!("{CLAUDE}/{id}"), Some(&token)).await.expect(200).json();
    assert_eq!(read, json!({"account": account}));
    let answer = office.get(&format!("{CODEX}/{id}"), Some(&token)).await.expect(404);
    assert_eq!(answer.message(), "Account not found", "it is of another platform");
}

#[tokio::test]
async fn an_account_is_added_as_it_was_asked_for() {
    let office = Office::open().await;
    let token = office.token().await;
    let asked = json!({
        "apiUrl": "http://10.0.0.1:8080/base", "apiKey": "sk-secret", "name": "账户", "description": "d",
        "userAgent": "agent/1", "priority": 7, "supportedModels": {"a": "b"}, "rateLimitDuration": 60,
        "proxy": {
            "protocol": "socks5", "host": "proxy.example", "port": 1080,
            "auth": {"username": "user", "password": "hunter2"},
        },
        "isActive": false, "accountType": "dedicated", "schedulable": false, "dailyQuota": 0,
        "maxConcurrentTasks": 3,
    });
    let account = create(&office, &token, CODEX, &asked).await;
    for field in [
        "apiUrl",
        "name",
        "description",
        "userAgent",
        "priority",
        "supportedModels",
        "rateLimitDuration",
        "isActive",
        "accountType",
        "schedulable",
        "maxConcurrentTasks",
    ] {
        assert_eq!(account[field], asked[field], "{field}");
    }
    let proxy = json!({
        "protocol": "socks5", "host": "proxy.example", "port": 1080, "auth": {"username": "user"},
    });
    assert_eq!(account["proxy"], proxy);

    let list = json!({"apiUrl": "https://a.example", "apiKey": "sk-secret", "supportedModels": ["a", "b"]});
    let account = create(&office, &token, CODEX, &list).await;
    assert_eq!(account["supportedModels"], json!({"a": "a", "b": "b"}));

    let shown = office.get(CODEX, Some(&token)).await.expect(200).text;
    let stored = office.stores.accounts.list().await.unwrap();
    for secret in ["sk-secret", "hunter2", stored[0].secret.as_stored()] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn an_account_that_cannot_be_is_refused_by_name() {
    let office = Office::open().await;
    let token = office.token().await;
    let with = |field: &str, value: Value| {
        let mut body = json!({"apiUrl": "https://a.example", "apiKey": "sk-1"});
        body[field] = value;
        body
    };
    let proxy = |port: Value| json!({"protocol": "http", "host": "h", "port": port});
    let cases = [
        (json!({"apiKey": "sk-1"}), "missing field `apiUrl`"),
        (json!({"apiUrl": "https://a.example"}), "missing field `apiKey`"),
        (with("apiUrl", json!("a.example")), "apiUrl must"),
        (with("apiKey", json!("")), "apiKey must"),
        (with("apiKey", json!(5)), "apiKey must be a string"),
        (with("priority", json!(0)), "priority: a priority is a number from 1 to 100"),
        (with("priority", json!(101)), "priority: a priority is a number from 1 to 100"),
        (with("supportedModels", json!("m")), "supportedModels must be an object"),
        (with("supportedModels", json!([""])), "supportedModels must"),
        (
            with("proxy", json!({"protocol": "ftp", "host": "h", "port": 1})),
            "proxy.protocol must be one of",
        ),
        (with("proxy", json!({"protocol": "http", "port": 1})), "missing field `host`"),
        (with("proxy", proxy(json!(0))), "proxy must"),
        (with("proxy", proxy(json!(65_536))), "proxy.port must be a whole number"),
        (with("accountType", json!("private")), "accountType must be one of"),
        (with("status", json!("active")), "unknown field `status`"),
    ];
    for (body, message) in cases {
        let answer = office.post(CLAUDE, Some(&token), &body.to_string()).await.expect(400);
        assert!(answer.message().contains(message), "{body}: {}", answer.text);
    }
    let body = with("name", json!("n")).to_string();
    office.post("/api/v2/accounts/gemini", Some(&token), &body).await.expect(400);
    assert!(office.stores.accounts.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn accounts_are_listed_by_what_they_are() {
    let office = Office::open().await;
    let token = office.token().await;
    let base = json!({"apiUrl": "https://a.example", "apiKey": "sk-1"});
    for (path, name, field, value) in [
        (CLAUDE, "last", "priority", json!(90)),
        (CLAUDE, "first", "priority", json!(1)),
        (CLAUDE, "off", "isActive", json!(false)),
        (CLAUDE, "paused", "schedulable", json!(false)),
        (CLAUDE, "bound", "accountType", json!("dedicated")),
        (CODEX, "other", "priority", json!(1)),
    ] {
        let mut body = base.clone();
        body["name"] = name.into();
        body[field] = value;
        create(&office, &token, path, &body).await;
    }
    let names = async |path: String| {
        let list = office.get(&path, Some(&token)).await.expect(200).json();
        let accounts = list["accounts"].as_array().unwrap();
        assert_eq!(list["total"], accounts.len());
        accounts
            .iter()
            .map(|account| account["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(CODEX.to_owned()).await, ["other"]);
    assert_eq!(names(format!("{CLAUDE}?isActive=false")).await, ["off"]);
    assert_eq!(names(format!("{CLAUDE}?schedulable=false")).await, ["paused"]);
    assert_eq!(names(format!("{CLAUDE}?accountType=dedicated")).await, ["bound"]);
    let all = names(CLAUDE.to_owned()).await;
    assert_eq!((all.len(), all[0].as_str(), all[4].as_str()), (5, "first", "last"));
}

#[tokio::test]
async fn a_rest_is_shown_until_it_ends() {
    let office = Office::open().await;
    let token = office.token().await;
    let asked = json!({"apiUrl": "https://a.example", "apiKey": "sk-1"});
    let id = create(&office, &token, CLAUDE, &asked).await["id"].as_str().unwrap().to_owned();
    let account_id = id.as_str().try_into().unwrap();
    let until = NOW.plus(Duration::from_secs(150));
    let model = ModelName::try_from("m").unwrap();
    for event in [
        HealthEvent::RateLimited { until: Some(until), rest: None, model: None },
        HealthEvent::ModelUnknown(model),
    ] {
        office.stores.accounts.apply_health(&account_id, &event, NOW).await.unwrap();
    }
    let path = format!("{CLAUDE}/{id}");
    let show = async || office.get(&path, Some(&token)).await.expect(200).json()["account"].clone();

    office.clock.advance(Duration::from_secs(61));
    let account = show().await;
    assert_eq!(account["status"], "rate_limited");
    assert_eq!(account["rateLimitStatus"], "limited");
    assert_eq!(
        account["rateLimitInfo"],
        json!({
            "isRateLimited": true, "rateLimitedAt": NOW.to_string(),
            "minutesSinceRateLimit": 1, "minutesRemaining": 2,
        })
    );
    assert_eq!(account["penalty"]["until"], until.to_string());
    assert_eq!(account["restingModels"]["m"]["reason"], "the provider does not know the model");

    office.clock.advance(Duration::from_mins(10));
    let account = show().await;
    assert_eq!((&account["status"], &account["errorMessage"]), (&json!("active"), &json!("")));
    assert!(account["penalty"].is_null() && account["rateLimitInfo"].is_null());
    assert_eq!(account["restingModels"], json!({}));
}
