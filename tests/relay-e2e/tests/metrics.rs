//! What Prometheus reads is what was sent: every number is compared with the records in the store.

use relay_e2e::{AccountSettings, Exchange, Relay, Request, Store, on_both_stores};
use relay_sandbox::Step;
use relay_testkit::eventually;
use serde_json::{Value, json};

use crate::conversation::{body, streamed, whole};
use crate::redis_client::RedisClient;
use crate::scrape::{LISTEN, address, get, scrape};
use crate::stored::settled;

on_both_stores![
    the_numbers_are_those_of_the_records,
    metrics_are_read_where_they_should_be_and_nowhere_else,
    a_store_that_is_away_is_seen,
    a_store_that_takes_no_writes_is_not_up,
];

/// A model that nobody has priced, with what would end a label's text.
const UNPRICED: &str = "claude-\"unheard\\of";

fn sum(records: &[Value], number: impl Fn(&Value) -> Option<f64>) -> f64 {
    records.iter().filter_map(number).sum()
}

#[expect(clippy::float_cmp, reason = "whole numbers, but for money")]
async fn the_numbers_are_those_of_the_records(store: Store) {
    let (name, value) = LISTEN;
    let relay = Relay::with(store).env(name, value).start().await;
    let failing = relay.account(AccountSettings::new("failing").priority(1)).await;
    let serving = relay.account(AccountSettings::new("serving").priority(2)).await;
    let key = relay.key().await;
    let poor = relay.key_with(json!({"dailyCostLimit": 1})).await;
    let untouched = scrape(&relay).await;
    assert_eq!(untouched.sum("relay_requests_total"), 0.0);

    failing.script(Step::failing(500, "api_error", "no"));
    for text in [streamed(), streamed(), whole(), body(UNPRICED, false)] {
        let answer = relay.send(&Request::messages(&key.secret, text)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let refused = relay.send(&Request::messages(&poor.secret, body(UNPRICED, false))).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(relay.send(&Request::messages("cr_nobody", whole())).await.status, 401);
    let records = settled(&relay, 4).await;

    let text = scrape(&relay).await;
    let requests = r#"relay_requests_total{dialect="anthropic",outcome="completed",status="2xx"}"#;
    assert_eq!(text.value(requests), 4.0);
    assert_eq!(text.sum("relay_requests_total"), 4.0);
    let attempts = sum(&records, |record| Some(count(record["attempts"].as_array()?.len())));
    assert_eq!((attempts, text.sum("relay_attempts_total")), (5.0, 5.0));
    let failed = r#"relay_attempts_total{platform="claude-console",outcome="server_error"}"#;
    assert_eq!(text.value(failed), 1.0);
    for kind in ["input", "output", "cache_read", "cache_write_5m", "cache_write_1h"] {
        let series = format!(r#"relay_tokens_total{{platform="claude-console",kind="{kind}"}}"#);
        let kept = sum(&records, |record| record["usage"][kind].as_f64());
        assert_eq!(text.value(&series), kept, "{kind}");
    }
    assert!(text.sum("relay_tokens_total") > 0.0);
    for (name, field) in
        [("relay_cost_dollars_total", "cost"), ("relay_charged_dollars_total", "charged")]
    {
        let nanos = sum(&records, |record| record[field].as_f64());
        assert!(nanos > 0.0 && (text.sum(name) * 1e9 - nanos).abs() < 0.5, "{name}: {nanos}");
    }
    let unpriced = r#"relay_unpriced_requests_total{model="claude-\"unheard\\of"}"#;
    assert_eq!(text.value(unpriced), 2.0, "one was served, and one refused");
    assert_eq!(text.value(r#"relay_refusals_total{code="model_unpriced"}"#), 1.0);
    assert_eq!(text.value(r#"relay_refusals_total{code="invalid_api_key"}"#), 1.0);
    assert_eq!(text.value(r#"relay_http_responses_total{route="messages",status="2xx"}"#), 4.0);
    assert_eq!(text.value(r#"relay_http_responses_total{route="messages",status="4xx"}"#), 2.0);
    assert_eq!(text.value(r#"relay_events_total{kind="model_unpriced"}"#), 1.0);
    for name in ["relay_request_duration_seconds", "relay_first_content_seconds"] {
        assert_eq!(text.value(&format!("{name}_count{{stream=\"true\"}}")), 2.0, "{name}");
        assert_eq!(text.value(&format!("{name}_count{{stream=\"false\"}}")), 2.0, "{name}");
    }
    let lasted = sum(&records, |record| record["times"]["end_us"].as_f64());
    let seconds = text.sum("relay_request_duration_seconds_sum");
    assert!((seconds * 1e6 - lasted).abs() < 1.0, "{seconds} of {lasted}");
    let added = sum(&records, |record| record["times"]["added_us"].as_f64());
    let seconds = text.sum("relay_added_latency_seconds_sum");
    assert!((seconds * 1e6 - added).abs() < 1.0, "{seconds} of {added}");
    let trips = |operation: &str| {
        text.value(&format!("relay_store_trip_seconds_count{{operation=\"{operation}\"}}"))
    };
    assert_eq!((trips("admit"), trips("settle")), (4.0, 4.0));
    assert_eq!(text.sum("relay_store_trip_failures_total"), 0.0);
    for gauge in ["in_flight", "queued"] {
        assert_eq!(text.value(&format!("relay_requests_{gauge}")), 0.0);
    }
    let healthy = r#"relay_accounts{platform="claude-console",status="active"}"#;
    assert_eq!(text.value(healthy), 2.0);
    for account in [&failing, &serving] {
        let series = format!(
            r#"relay_account_healthy{{account="{}",platform="claude-console"}}"#,
            account.id
        );
        assert_eq!(text.value(&series), 1.0);
    }
    assert!(text.value("process_resident_memory_bytes") > 1e6);
    assert!(!text.text.contains(&key.id) && !text.text.contains("a key"), "no key is named");
    documented(text.families());
}

/// Every family stands in the table of docs/metrics.md.
fn documented<'a>(families: impl Iterator<Item = &'a str>) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    let page = std::fs::read_to_string(path).unwrap();
    for family in families {
        assert!(page.contains(&format!("`{family}`")), "{family} is not in docs/metrics.md");
    }
}

#[expect(clippy::cast_precision_loss, reason = "a handful")]
fn count(number: usize) -> f64 {
    number as f64
}

async fn metrics_are_read_where_they_should_be_and_nowhere_else(store: Store) {
    let relay = Relay::start(store).await;
    assert!(!relay.printed().contains("metrics   "), "nothing listens unless it is told to");
    drop(relay);

    let (name, value) = LISTEN;
    let mut relay = Relay::with(store).env(name, value).start().await;
    assert_eq!(get(&relay, "/").await.status, 404);
    assert_eq!(get(&relay, "/metrics/").await.status, 404);
    let post = Exchange::open(address(&relay).await, &Request::post("/metrics", "{}")).await;
    assert_eq!(post.finish().await.status, 405);
    let on_the_main_address = relay.send(&Request::get("/metrics")).await;
    assert_ne!(on_the_main_address.status, 200);

    // A second one on the same address says what to do.
    let taken = address(&relay).await.to_string();
    assert!(relay.stop());
    let listener = std::net::TcpListener::bind(&taken).unwrap();
    let refused = Relay::with(store).env(name, &taken).prepare().command(&["serve"]).await;
    assert!(!refused.success && refused.stderr.contains("RELAY_METRICS_LISTEN"), "{refused:?}");
    drop(listener);
}

#[expect(clippy::float_cmp, reason = "whole numbers")]
async fn a_store_that_is_away_is_seen(store: Store) {
    if store == Store::Sqlite {
        return; // A file is not away.
    }
    let (name, value) = LISTEN;
    let mut relay = Relay::with(store).env(name, value).start().await;
    let _account = relay.account("a").await;
    let key = relay.key().await;
    assert_eq!(scrape(&relay).await.value("relay_store_up"), 1.0);
    relay.redis_mut().freeze();
    let answer = relay.send(&Request::messages(&key.secret, whole())).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    let away = scrape(&relay).await;
    assert_eq!(away.value("relay_store_up"), 0.0);
    assert!(away.value(r#"relay_refusals_total{code="store_unavailable"}"#) >= 1.0);
    assert!(away.sum("relay_store_trip_failures_total") >= 1.0, "{}", away.text);
    relay.redis_mut().thaw();
    eventually("the store is back", async || scrape(&relay).await.value("relay_store_up") == 1.0)
        .await;
}

#[expect(clippy::float_cmp, reason = "whole numbers")]
async fn a_store_that_takes_no_writes_is_not_up(store: Store) {
    let (name, value) = LISTEN;
    let relay = Relay::with(store).env(name, value).start().await;
    assert_eq!(scrape(&relay).await.value("relay_store_up"), 1.0);
    let switch = |command: &[&str]| {
        let redis = relay.redis().unwrap();
        RedisClient::connect(redis).text(command);
    };
    let file = (store == Store::Sqlite).then(|| {
        let file = rusqlite::Connection::open(relay.data_dir().join("relay.db")).unwrap();
        file.execute_batch("BEGIN IMMEDIATE").unwrap();
        file
    });
    if file.is_none() {
        switch(&["CONFIG", "SET", "maxmemory", "1"]);
    }
    assert_eq!(relay.send(&Request::get("/readyz")).await.status, 503);
    assert_eq!(scrape(&relay).await.value("relay_store_up"), 0.0);
    match file {
        Some(file) => file.execute_batch("ROLLBACK").unwrap(),
        None => switch(&["CONFIG", "SET", "maxmemory", "0"]),
    }
    eventually("it is written again", async || scrape(&relay).await.value("relay_store_up") == 1.0)
        .await;
}
