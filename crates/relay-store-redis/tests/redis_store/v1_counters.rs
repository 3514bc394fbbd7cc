//! What one request leaves for a v1 to read: names, types, fields, values and lifetimes, as v1 leaves them.

use std::collections::{BTreeMap, BTreeSet};

use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use relay_domain::{NanoUsd, Platform, RequestRecord, TokenCount, TokenUsage};
use relay_store::contract::fixture::{
    account_id, admitted, at, key, model, record, settlement, usage,
};
use relay_store::{Charge, Settlement, Stores};
use relay_store_redis::{RedisOptions, RedisStore};
use relay_testkit::RedisServer;
use serde_json::Value;

const DAY_S: i64 = 24 * 3_600;

/// Rows of a real database of v1 after one request on the Claude path (key `k`, account `a`, model
/// `mapped-sonnet`), less what it has for other reasons: type, lifetime in seconds (0: none) when it was
/// written, name, and of a hash its fields.
const V1_ROWS: &[(&str, i64, &str, &str)] = &[
    ("hash", 0, "usage:k", TOTAL),
    ("hash", 365 * DAY_S, "usage:monthly:k:{month}", PERIOD),
    ("hash", 32 * DAY_S, "usage:daily:k:{day}", PERIOD),
    ("hash", 7 * DAY_S, "usage:hourly:k:{hour}", PERIOD),
    ("hash", 365 * DAY_S, "usage:model:monthly:mapped-sonnet:{month}", MODEL),
    ("hash", 32 * DAY_S, "usage:model:daily:mapped-sonnet:{day}", MODEL),
    ("hash", 7 * DAY_S, "usage:model:hourly:mapped-sonnet:{hour}", MODEL),
    ("hash", 0, "usage:k:model:alltime:mapped-sonnet", ALL_TIME),
    ("hash", 365 * DAY_S, "usage:k:model:monthly:mapped-sonnet:{month}", KEY_MODEL),
    ("hash", 32 * DAY_S, "usage:k:model:daily:mapped-sonnet:{day}", KEY_MODEL),
    ("hash", 7 * DAY_S, "usage:k:model:hourly:mapped-sonnet:{hour}", KEY_MODEL),
    ("hash", 600, "system:metrics:minute:{minute}", MINUTE),
    ("hash", 0, "usage:global:total", MODEL),
    ("hash", 365 * DAY_S, "usage:global:monthly:{month}", MODEL),
    ("hash", 32 * DAY_S, "usage:global:daily:{day}", MODEL),
    ("set", 32 * DAY_S, "usage:daily:index:{day}", "k"),
    ("set", 7 * DAY_S, "usage:hourly:index:{hour}", "k"),
    ("set", 32 * DAY_S, "usage:model:daily:index:{day}", "mapped-sonnet"),
    ("set", 7 * DAY_S, "usage:model:hourly:index:{hour}", "mapped-sonnet"),
    ("set", 365 * DAY_S, "usage:model:monthly:index:{month}", "mapped-sonnet"),
    ("set", 0, "usage:model:monthly:months", "{month}"),
    ("set", 32 * DAY_S, "usage:keymodel:daily:index:{day}", "k:mapped-sonnet"),
    ("set", 7 * DAY_S, "usage:keymodel:hourly:index:{hour}", "k:mapped-sonnet"),
    ("string", 30 * DAY_S, "usage:cost:daily:k:{day}", "charged"),
    ("string", 90 * DAY_S, "usage:cost:monthly:k:{month}", "charged"),
    ("string", 7 * DAY_S, "usage:cost:hourly:k:{hour}", "charged"),
    ("string", 0, "usage:cost:total:k", "charged"),
    ("string", 0, "usage:cost:real:total:k", "cost"),
    ("string", 30 * DAY_S, "usage:cost:real:daily:k:{day}", "cost"),
    ("string", 14 * DAY_S, "usage:opus:weekly:k:{week}", "charged"),
    ("string", 0, "usage:opus:total:k", "charged"),
    ("string", 14 * DAY_S, "usage:opus:real:weekly:k:{week}", "cost"),
    ("string", 0, "usage:opus:real:total:k", "cost"),
    ("hash", 0, "account_usage:a", TOTAL),
    ("hash", 365 * DAY_S, "account_usage:monthly:a:{month}", PERIOD),
    ("hash", 32 * DAY_S, "account_usage:daily:a:{day}", PERIOD),
    ("hash", 7 * DAY_S, "account_usage:hourly:a:{hour}", ACCOUNT_HOUR),
    ("hash", 365 * DAY_S, "account_usage:model:monthly:a:mapped-sonnet:{month}", MODEL),
    ("hash", 32 * DAY_S, "account_usage:model:daily:a:mapped-sonnet:{day}", MODEL),
    ("hash", 7 * DAY_S, "account_usage:model:hourly:a:mapped-sonnet:{hour}", MODEL),
    ("set", 32 * DAY_S, "account_usage:daily:index:{day}", "a"),
    ("set", 7 * DAY_S, "account_usage:hourly:index:{hour}", "a"),
    ("set", 32 * DAY_S, "account_usage:model:daily:index:{day}", "a:mapped-sonnet"),
    ("set", 7 * DAY_S, "account_usage:model:hourly:index:{hour}", "a:mapped-sonnet"),
    ("list", 90 * DAY_S, "usage:records:k", ""),
    ("stream", 0, "billing:events", ""),
];
const TOTAL: &str = "totalTokens=1077 totalInputTokens=1000 totalOutputTokens=77 \
    totalCacheCreateTokens=300 totalCacheReadTokens=5000 totalEphemeral5mTokens=300 \
    totalEphemeral1hTokens=0 totalAllTokens=6377 totalRequests=1";
const PERIOD: &str = "tokens=1077 inputTokens=1000 outputTokens=77 cacheCreateTokens=300 \
    cacheReadTokens=5000 ephemeral5mTokens=300 ephemeral1hTokens=0 allTokens=6377 requests=1";
const MODEL: &str = "inputTokens=1000 outputTokens=77 cacheCreateTokens=300 cacheReadTokens=5000 \
    allTokens=6377 requests=1 ephemeral5mTokens=300 ephemeral1hTokens=0";
const KEY_MODEL: &str = "inputTokens=1000 outputTokens=77 cacheCreateTokens=300 cacheReadTokens=5000 \
    allTokens=6377 requests=1 ephemeral5mTokens=300 ephemeral1hTokens=0 realCostMicro=6780 \
    ratedCostMicro=8137";
const ALL_TIME: &str = "inputTokens=1000 outputTokens=77 cacheCreateTokens=300 cacheReadTokens=5000 \
    requests=1 ephemeral5mTokens=300 ephemeral1hTokens=0 realCostMicro=6780 ratedCostMicro=8137";
const MINUTE: &str = "requests=1 totalTokens=6377 inputTokens=1000 outputTokens=77 \
    cacheCreateTokens=300 cacheReadTokens=5000";
const ACCOUNT_HOUR: &str = "tokens=1077 inputTokens=1000 outputTokens=77 cacheCreateTokens=300 \
    cacheReadTokens=5000 ephemeral5mTokens=300 ephemeral1hTokens=0 allTokens=6377 requests=1 \
    model:mapped-sonnet:inputTokens=1000 model:mapped-sonnet:outputTokens=77 \
    model:mapped-sonnet:cacheCreateTokens=300 model:mapped-sonnet:cacheReadTokens=5000 \
    model:mapped-sonnet:ephemeral5mTokens=300 model:mapped-sonnet:ephemeral1hTokens=0 \
    model:mapped-sonnet:allTokens=6377 model:mapped-sonnet:requests=1";
/// What Relay adds to v1's hashes: exact amounts. A v1 passes over them.
const OWN_FIELDS: [&str; 4] = ["costNano", "chargedNano", "claudeNano", "unpricedRequests"];

/// The periods of the fixture's now: half past midnight of the first day of 2040.
fn named(text: &str) -> String {
    text.replace("{month}", "2040-01")
        .replace("{day}", "2040-01-01")
        .replace("{hour}", "2040-01-01:00")
        .replace("{week}", "2039-12-26T00")
        .replace("{minute}", &(at(0).as_millis() / 60_000).to_string())
}

/// The request of the rows.
fn one_request(number: u8) -> RequestRecord {
    RequestRecord {
        served_model: Some(model("mapped-sonnet")),
        account: Some(account_id("a")),
        usage: TokenUsage {
            input: TokenCount::new(1_000),
            output: TokenCount::new(77),
            cache_read: TokenCount::new(5_000),
            cache_write_5m: TokenCount::new(300),
            cache_write_1h: TokenCount::ZERO,
        },
        cost: Some(NanoUsd::from_nanos(6_780_000)),
        charged: Some(NanoUsd::from_nanos(8_136_500)),
        ..record(number, "k")
    }
}

async fn settled(stores: &Stores, number: u8, record: RequestRecord) {
    admitted(stores, number, "k", at(0)).await;
    assert!(stores.ledger.settle(&settlement(record, at(0))).await.unwrap().is_first());
}

async fn opened() -> (RedisServer, Stores, MultiplexedConnection) {
    let server = RedisServer::start();
    let stores = crate::store(&server).await.stores();
    let raw = crate::raw(&server).await;
    (server, stores, raw)
}

async fn fields(raw: &mut MultiplexedConnection, name: &str) -> BTreeMap<String, String> {
    raw.hgetall(name).await.unwrap()
}

async fn names(raw: &mut MultiplexedConnection) -> BTreeSet<String> {
    redis::cmd("KEYS").arg("*").query_async(raw).await.unwrap()
}

#[tokio::test]
async fn one_request_leaves_what_it_leaves_in_a_v1() {
    let (_server, stores, mut raw) = opened().await;
    settled(&stores, 0, one_request(0)).await;
    for (kind, lifetime, name, content) in V1_ROWS {
        let name = named(name);
        let written_as: String = redis::cmd("TYPE").arg(&name).query_async(&mut raw).await.unwrap();
        assert_eq!(written_as, *kind, "{name}");
        let left: i64 = raw.ttl(&name).await.unwrap();
        let expected = if *lifetime == 0 { -1..=-1 } else { lifetime - 60..=*lifetime };
        assert!(expected.contains(&left), "{name} lives for {left} s");
        match *kind {
            "hash" => {
                let mut written = fields(&mut raw, &name).await;
                written.retain(|field, _| !OWN_FIELDS.contains(&field.as_str()));
                let pairs = content.split_whitespace().map(|pair| pair.split_once('=').unwrap());
                let expected: BTreeMap<_, _> =
                    pairs.map(|(field, value)| (field.to_owned(), value.to_owned())).collect();
                assert_eq!(written, expected, "{name}");
            }
            "set" => {
                let members: Vec<String> = raw.smembers(&name).await.unwrap();
                assert_eq!(members, [named(content)], "{name}");
            }
            "string" => {
                let expected = if *content == "cost" { "0.00678" } else { "0.0081365" };
                let sum: String = raw.get(&name).await.unwrap();
                assert_eq!(sum, expected, "{name}");
            }
            _ => {}
        }
    }
    let expected: BTreeSet<_> = V1_ROWS.iter().map(|(_, _, name, _)| named(name)).collect();
    let others: Vec<_> = names(&mut raw).await.difference(&expected).cloned().collect();
    assert!(others.iter().all(|name| name.starts_with("relay:")), "{others:?}");
}

#[tokio::test]
async fn a_second_request_is_added_in_every_place() {
    let (_server, stores, mut raw) = opened().await;
    settled(&stores, 0, one_request(0)).await;
    let names = names(&mut raw).await;
    settled(&stores, 1, one_request(1)).await;
    assert_eq!(crate::v1_counters::names(&mut raw).await, names);
    for (kind, _, name, content) in V1_ROWS {
        let name = named(name);
        match *kind {
            "hash" => {
                let written = fields(&mut raw, &name).await;
                for pair in content.split_whitespace() {
                    let (field, value) = pair.split_once('=').unwrap();
                    let twice = (2 * value.parse::<u64>().unwrap()).to_string();
                    assert_eq!(written.get(field), Some(&twice), "{name} {field}");
                }
            }
            "string" => {
                let expected = if *content == "cost" { "0.01356" } else { "0.016273" };
                let sum: String = raw.get(&name).await.unwrap();
                assert_eq!(sum, expected, "{name}");
            }
            "list" => assert_eq!(raw.llen::<_, u64>(&name).await.unwrap(), 2),
            "stream" => assert_eq!(raw.xlen::<_, u64>(&name).await.unwrap(), 2),
            _ => {}
        }
    }
}

#[tokio::test]
async fn exact_amounts_stand_beside_those_of_v1() {
    let (_server, stores, mut raw) = opened().await;
    settled(&stores, 0, one_request(0)).await;
    let exact = |claude: Option<&str>| {
        let own = [("costNano", "6780000"), ("chargedNano", "8136500")];
        let claude = claude.map(|amount| ("claudeNano", amount));
        let own = own.into_iter().chain(claude);
        own.map(|(field, value)| (field.to_owned(), value.to_owned())).collect::<BTreeMap<_, _>>()
    };
    for (name, expected) in [
        ("usage:k", exact(None)),
        ("usage:hourly:k:{hour}", exact(None)),
        ("usage:model:daily:mapped-sonnet:{day}", exact(None)),
        ("account_usage:a", exact(Some("6780000"))),
        ("account_usage:hourly:a:{hour}", exact(Some("6780000"))),
        ("usage:k:model:daily:mapped-sonnet:{day}", BTreeMap::new()),
    ] {
        let mut written = fields(&mut raw, &named(name)).await;
        written.retain(|field, _| OWN_FIELDS.contains(&field.as_str()));
        assert_eq!(written, expected, "{name}");
    }
}

#[tokio::test]
async fn what_is_not_of_claude_counts_on_no_weekly_budget() {
    let (_server, stores, mut raw) = opened().await;
    let other = RequestRecord {
        platform: Platform::Codex,
        model: model("gpt-5"),
        served_model: None,
        ..one_request(0)
    };
    settled(&stores, 0, other).await;
    let names = names(&mut raw).await;
    assert!(names.contains("usage:cost:total:k"), "{names:?}");
    assert!(names.iter().all(|name| !name.contains("opus")), "{names:?}");
    assert!(!names.contains("billing:events"), "v1 tells of its Claude path only");
    assert!(!fields(&mut raw, "account_usage:a").await.contains_key("claudeNano"));
}

#[tokio::test]
async fn what_cost_nothing_begins_no_sum() {
    let (_server, stores, mut raw) = opened().await;
    let free =
        RequestRecord { cost: Some(NanoUsd::ZERO), charged: Some(NanoUsd::ZERO), ..one_request(0) };
    settled(&stores, 0, free).await;
    admitted(&stores, 1, "k", at(0)).await;
    let release = Settlement { charge: Charge::Release, ..settlement(one_request(1), at(0)) };
    assert!(stores.ledger.settle(&release).await.unwrap().is_first());
    let names = names(&mut raw).await;
    assert!(names.iter().all(|name| !name.contains("cost") && !name.contains("opus")), "{names:?}");
    let model = fields(&mut raw, &named("usage:k:model:daily:mapped-sonnet:{day}")).await;
    assert_eq!(model.get("requests").map(String::as_str), Some("1"));
    assert!(!model.contains_key("realCostMicro"), "{model:?}");
    let records: u64 = raw.llen("usage:records:k").await.unwrap();
    assert_eq!(records, 1, "what counted nothing is in no list");
}

#[tokio::test]
async fn a_models_names_are_one_model() {
    let (_server, stores, mut raw) = opened().await;
    let names = ["us.anthropic.claude-opus-4-1-v1:0", "claude-opus-4-1"];
    for (number, name) in (0..).zip(names) {
        let served = RequestRecord { served_model: Some(model(name)), ..one_request(number) };
        settled(&stores, number, served).await;
    }
    let daily = fields(&mut raw, &named("usage:model:daily:claude-opus-4-1:{day}")).await;
    assert_eq!(daily.get("requests").map(String::as_str), Some("2"));
    for name in names {
        let scope = relay_store::UsageScope::Model(model(name));
        let totals = stores.usage.totals(&scope, relay_domain::Period::Total).await.unwrap();
        assert_eq!(totals.requests, 2, "{name}");
    }
}

#[tokio::test]
async fn a_new_member_takes_v1s_note_of_emptiness_away() {
    let (_server, stores, mut raw) = opened().await;
    let indexes: Vec<_> = V1_ROWS.iter().filter(|(kind, ..)| *kind == "set").collect();
    for (_, _, name, _) in &indexes {
        raw.set::<_, _, ()>(format!("{}:empty", named(name)), "1").await.unwrap();
    }
    settled(&stores, 0, one_request(0)).await;
    for (_, _, name, _) in indexes {
        let note = format!("{}:empty", named(name));
        assert!(!raw.exists::<_, bool>(&note).await.unwrap(), "{note}");
    }
}

#[tokio::test]
async fn a_keys_last_records_and_billing_events_are_those_of_v1() {
    let (_server, stores, mut raw) = opened().await;
    let named = relay_domain::ApiKey { name: "the \"first\"".to_owned(), ..key("k", 1) };
    stores.keys.create(&named).await.unwrap();
    for number in 0..205 {
        settled(&stores, number, one_request(number)).await;
    }
    let records: Vec<String> = raw.lrange("usage:records:k", 0, -1).await.unwrap();
    assert_eq!(records.len(), 200);
    let newest: Value = serde_json::from_str(&records[0]).unwrap();
    assert_eq!(newest["requestId"], one_request(204).id.to_string());
    assert_eq!(newest["cost"].to_string(), "0.008137");

    let events: redis::streams::StreamRangeReply = raw.xrange_all("billing:events").await.unwrap();
    assert_eq!(events.ids.len(), 205);
    let event: String = events.ids[0].get("data").unwrap();
    let event: Value = serde_json::from_str(&event).unwrap();
    let keys: Vec<_> = event.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = [
        "eventId",
        "eventType",
        "timestamp",
        "version",
        "apiKey",
        "usage",
        "cost",
        "account",
        "context",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(event["apiKey"]["id"], "k");
    assert_eq!(event["apiKey"]["name"], "the \"first\"");
    assert_eq!(event["apiKey"]["userId"], Value::Null);
    assert_eq!(event["usage"]["totalTokens"], 6_377);
    assert_eq!(event["cost"]["total"].to_string(), "0.00678");
    assert_eq!(event["account"]["type"], "claude-console");
}

#[tokio::test]
async fn billing_events_can_be_switched_off() {
    let server = RedisServer::start();
    let options = RedisOptions { billing_events: false, ..crate::options(&server) };
    let stores = RedisStore::connect(&options).await.unwrap().stores();
    settled(&stores, 0, one_request(0)).await;
    let mut raw = crate::raw(&server).await;
    assert!(!raw.exists::<_, bool>("billing:events").await.unwrap());
}

#[tokio::test]
async fn small_amounts_add_up_to_the_nano() {
    let (_server, stores, mut raw) = opened().await;
    raw.set::<_, _, ()>("usage:cost:total:k", "8123456.789012345").await.unwrap();
    for number in 0..200 {
        let small = RequestRecord {
            cost: Some(NanoUsd::from_nanos(1)),
            charged: Some(NanoUsd::from_nanos(1)),
            usage: usage(1),
            ..one_request(number)
        };
        settled(&stores, number, small).await;
    }
    let limits = relay_domain::Limits {
        total_cost: Some(NanoUsd::from_nanos(i64::MAX)),
        daily_cost: Some(NanoUsd::from_nanos(1_000)),
        ..relay_domain::Limits::default()
    };
    let scope = relay_domain::LimitScope::Key(relay_store::contract::fixture::key_id("k"));
    let standing = stores.ledger.standing(&scope, &limits, at(1)).await.unwrap();
    let used: Vec<_> = standing.iter().map(|state| state.used).collect();
    assert_eq!(used, [200, 8_123_456_789_012_545]);
}
