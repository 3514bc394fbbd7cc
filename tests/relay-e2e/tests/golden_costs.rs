//! Usages as providers report them, whole and in streams, and what they cost to the digit: in the record, in
//! the REST, and in what was counted for the key.

use relay_domain::NanoUsd;
use relay_e2e::{Relay, Request, Store, on_both_stores};
use relay_sandbox::Step;
use relay_testkit::eventually;
use serde_json::{Value, json};

use crate::conversation::{MODEL, body};
use crate::stored::{Scope, settled, totals};

on_both_stores![what_is_reported_costs_what_it_says, what_has_no_price_is_unknown_and_never_free];

const OPUS: &str = "claude-opus-4-6";

/// What the provider reports, the model that serves it, and what that costs in dollars.
fn cases() -> Vec<(&'static str, &'static str, Value, &'static str)> {
    let sonnet = |input: u64, writes: [u64; 2], read: u64, output: u64| {
        let [five_minutes, hour] = writes;
        json!({
            "input_tokens": input, "cache_creation_input_tokens": five_minutes + hour,
            "cache_creation": {
                "ephemeral_5m_input_tokens": five_minutes, "ephemeral_1h_input_tokens": hour,
            },
            "cache_read_input_tokens": read, "output_tokens": output,
        })
    };
    let opus = |served: Value| {
        let mut usage = sonnet(1_000, [100, 200], 5_000, 500);
        for (name, value) in served.as_object().unwrap() {
            usage[name] = value.clone();
        }
        usage
    };
    let legacy = json!({
        "input_tokens": 1_000, "cache_creation_input_tokens": 2_000,
        "cache_read_input_tokens": 30_000, "output_tokens": 500,
    });
    let searches = json!({
        "input_tokens": 1_000, "output_tokens": 500,
        "server_tool_use": {"web_search_requests": 3},
    });
    vec![
        ("5m writes", MODEL, sonnet(1_000, [2_000, 0], 30_000, 500), "0.027"),
        ("1h writes", MODEL, sonnet(1_000, [0, 2_000], 30_000, 500), "0.0315"),
        ("both", MODEL, sonnet(1_000, [1_000, 2_000], 30_000, 500), "0.03525"),
        ("writes as one number", MODEL, legacy, "0.027"),
        ("at 200k", MODEL, sonnet(100_000, [30_000, 20_000], 50_000, 1_000), "0.5625"),
        ("beyond 200k", MODEL, sonnet(100_001, [30_000, 20_000], 50_000, 1_000), "1.117506"),
        ("fast, served so", OPUS, opus(json!({"speed": "fast"})), "0.13575"),
        ("fast, served as usual", OPUS, opus(json!({"speed": "standard"})), "0.022625"),
        ("in the United States", OPUS, opus(json!({"inference_geo": "us"})), "0.0248875"),
        ("web searches", OPUS, searches, "0.0475"),
    ]
}

/// The whole answer that reports `usage`.
fn whole_answer(model: &str, usage: &Value) -> Step {
    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": "end_turn", "usage": usage,
    });
    Step::new().raw_body(&answer.to_string())
}

/// The same as a stream: all but the output at its start, and everything again at its end.
fn streamed_answer(model: &str, usage: &Value) -> Step {
    let mut start = usage.clone();
    start["output_tokens"] = json!(1);
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": model,
        "content": [], "usage": start});
    let delta = json!({"type": "text_delta", "text": "Hello."});
    let events = [
        ("message_start", json!({"type": "message_start", "message": message})),
        ("content_block_delta", json!({"type": "content_block_delta", "index": 0, "delta": delta})),
        (
            "message_delta",
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}),
        ),
        ("message_stop", json!({"type": "message_stop"})),
    ];
    let frames = events.iter().map(|(name, data)| format!("event: {name}\ndata: {data}\n\n"));
    Step::new().header("content-type", "text/event-stream").raw_body(&frames.collect::<String>())
}

async fn what_is_reported_costs_what_it_says(store: Store) {
    let relay = Relay::start(store).await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let (mut count, mut sum) = (0, 0);
    for (name, model, usage, cost) in cases() {
        let answers = [whole_answer(model, &usage), streamed_answer(model, &usage)];
        for (stream, step) in [false, true].into_iter().zip(answers) {
            account.script(step);
            let answer = relay.send(&Request::messages(&key.secret, body(model, stream))).await;
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
            count += 1;
            let record = settled(&relay, count).await.remove(count - 1);
            let nanos = NanoUsd::parse_dollars(cost).unwrap().as_nanos();
            assert_eq!(record["cost"], nanos, "{name}, streamed: {stream}: {record}");
            assert_eq!(record["usage_source"], "final", "{name}, streamed: {stream}");
            assert_eq!(record["usage"]["output"], usage["output_tokens"], "{name}: not summed");
            let path = format!("/api/v2/requests/{}", record["id"].as_str().unwrap());
            let shown = relay.admin("GET", &path, &Value::Null).await.json();
            assert_eq!(shown["request"]["cost"], cost, "{name}, streamed: {stream}");
            sum += nanos;
        }
    }
    assert_eq!(totals(&relay, Scope::Key(&key.id)).cost_nano, sum);
}

async fn what_has_no_price_is_unknown_and_never_free(store: Store) {
    const UNHEARD_OF: &str = "claude-unheard-of";
    let relay = Relay::start(store).await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let budgeted = relay.key_with(json!({"dailyCostLimit": 5})).await;
    let at_fallback = relay.key_with(json!({"dailyCostLimit": 5, "unpriced": "fallback"})).await;
    let usage = json!({"input_tokens": 1_000, "output_tokens": 500});
    account.script(whole_answer(UNHEARD_OF, &usage));
    let asked = |secret: &str| Request::messages(secret, body(UNHEARD_OF, false));
    assert_eq!(relay.send(&asked(&key.secret)).await.status, 200);
    let record = settled(&relay, 1).await.remove(0);
    assert_eq!((&record["cost"], &record["usage"]["input"]), (&Value::Null, &json!(1_000)));
    let path = format!("/api/v2/requests/{}", record["id"].as_str().unwrap());
    let shown = relay.admin("GET", &path, &Value::Null).await.json();
    assert_eq!(shown["request"]["cost"], Value::Null);
    eventually("an operator hears of it", async || {
        let events = relay.admin("GET", "/api/v2/events?type=model_unpriced", &Value::Null).await;
        events.text().contains(UNHEARD_OF)
    })
    .await;

    let refused = relay.send(&asked(&budgeted.secret)).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(refused.json()["error"]["code"], "model_unpriced");
    assert_eq!(relay.send(&asked(&at_fallback.secret)).await.status, 200);
    let record = settled(&relay, 2).await.remove(1);
    assert_eq!(record["cost"], Value::Null, "{record}");
    assert!(record["charged"].as_i64() > Some(0), "its budget is charged: {record}");
}
