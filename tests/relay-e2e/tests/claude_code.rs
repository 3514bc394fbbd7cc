//! Claude Code's own requests, as captured, and the rules of the protocol that it relies on.

use std::time::Duration;

use relay_e2e::{ApiKey, End, Relay, Request, Store, Upstream, on_both_stores, sha256};
use relay_sandbox::{Step, Usage};
use relay_testkit::Deadline;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::conversation::{MODEL, body, streamed, whole};
use crate::stored::{Scope, settled, the_record, totals};

on_both_stores![
    captured_requests_are_answered_on_every_mount,
    the_key_is_found_in_either_header,
    the_body_decides_about_streaming,
    both_versions_of_the_api_pass,
    pings_comments_and_unknown_events_pass,
    usage_is_the_last_value_of_each_field,
    encodings_are_never_passed_by_half,
    probes_need_no_key,
    models_are_listed_at_once,
    counting_tokens_is_free,
    bodies_of_thirty_two_megabytes_pass,
];

const CAPTURES: &str = include_str!("../fixtures/captures/claude_code.json");
const MOUNTS: [&str; 3] = ["", "/api", "/claude"];

async fn captured_requests_are_answered_on_every_mount(store: Store) {
    let relay = Relay::start(store).await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let captures: Value = serde_json::from_str(CAPTURES).unwrap();
    let mut relayed = 0;
    for mount in MOUNTS {
        for capture in captures["requests"].as_array().unwrap() {
            let (url, name) = (capture["url"].as_str().unwrap(), &capture["run"]);
            let name = format!("{name} at {mount}{url}");
            let is_probe = capture["method"] == "HEAD";
            let target = if is_probe { url.to_owned() } else { format!("{mount}{url}") };
            let answer = relay.send(&replay(capture, &target, &key)).await;
            assert!(
                (200..300).contains(&answer.status),
                "{name}: {} {}",
                answer.status,
                answer.text()
            );
            assert_eq!(answer.end, End::Clean, "{name}");
            let Some(body) = capture["body"].as_str() else { continue };
            relayed += 1;
            let received = account.received().pop().unwrap();
            assert_eq!(account.received().len(), relayed, "{name}");
            assert_eq!(received.body_sha256, sha256(body.as_bytes()), "{name}");
            assert_eq!(
                received.path, url,
                "{name}: the mount is Relay's, path and query the API's"
            );
            assert_headers_arrived(&name, capture, &received.headers);
            if body.contains("\"stream\":true") {
                assert_eq!(answer.events().last().unwrap().name, "message_stop", "{name}");
            } else {
                assert!(answer.json()["input_tokens"].is_u64(), "{name}: {}", answer.text());
            }
            if body.contains("[[tool:Bash") {
                assert!(answer.text().contains("\"type\":\"tool_use\""), "{name}");
            }
        }
    }
    assert_eq!(relayed, 18);
}

/// A captured request as Claude Code would send it with `key`.
fn replay(capture: &Value, target: &str, key: &ApiKey) -> Request {
    let mut request = Request::new(capture["method"].as_str().unwrap(), target);
    for header in capture["headers"].as_array().unwrap() {
        let (name, value) = header.as_str().unwrap().split_once(": ").unwrap();
        request = request.header(name, &value.replace("<KEY>", &key.secret));
    }
    request.body(capture["body"].as_str().unwrap_or_default())
}

/// Everything that Claude Code says in headers, but for what ends at Relay.
fn assert_headers_arrived(name: &str, capture: &Value, received: &[(String, String)]) {
    let ends_here = ["authorization", "x-api-key", "connection", "accept-encoding"];
    for header in capture["headers"].as_array().unwrap() {
        let (header, value) = header.as_str().unwrap().split_once(": ").unwrap();
        let header = header.to_ascii_lowercase();
        let arrived: Vec<_> =
            received.iter().filter(|(key, _)| *key == header).map(|(_, v)| v).collect();
        if ends_here.contains(&header.as_str()) {
            assert!(!arrived.contains(&&value.to_owned()), "{name}: {header}");
        } else {
            assert_eq!(arrived, [value], "{name}: {header}");
        }
    }
}

async fn the_key_is_found_in_either_header(store: Store) {
    type Headers<'a> = Vec<(&'a str, &'a str)>;
    let relay = Relay::start(store).await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let bearer = format!("Bearer {}", key.secret);
    let lower = format!("bearer {}", key.secret);
    let stale = "sk-ant-oat01-of-another-installation";
    let stale_bearer = format!("Bearer {stale}");
    let cases: [(&str, Headers<'_>, u16); 8] = [
        ("x-api-key", vec![("X-Api-Key", &key.secret)], 200),
        ("bearer", vec![("Authorization", &bearer)], 200),
        ("bearer in small letters", vec![("authorization", &lower)], 200),
        ("both the same", vec![("x-api-key", &key.secret), ("authorization", &bearer)], 200),
        ("a stale bearer", vec![("x-api-key", &key.secret), ("authorization", &stale_bearer)], 200),
        ("a stale x-api-key", vec![("x-api-key", stale), ("authorization", &bearer)], 200),
        ("both stale", vec![("x-api-key", stale), ("authorization", &stale_bearer)], 401),
        ("neither", vec![], 401),
    ];
    let routes =
        [("POST", "/v1/messages"), ("POST", "/v1/messages/count_tokens"), ("GET", "/v1/models")];
    for (name, headers, status) in cases {
        for mount in MOUNTS {
            for (method, path) in routes {
                let request = Request::new(method, &format!("{mount}{path}"));
                let request = if method == "POST" { request.body(whole()) } else { request };
                let request = headers
                    .iter()
                    .fold(request, |request, (name, value)| request.header(name, value));
                let answer = relay.send(&request).await;
                assert_eq!(answer.status, status, "{name}, {mount}{path}: {}", answer.text());
            }
        }
    }
    for received in account.received() {
        assert_eq!(received.key.as_ref(), Some(&account.upstream_key));
        let headers = format!("{:?}", received.headers);
        assert!(!headers.contains(&key.secret) && !headers.contains(stale), "{headers}");
    }
}

async fn the_body_decides_about_streaming(store: Store) {
    let relay = Relay::start(store).await;
    let key = relay.key().await;
    let _account = relay.account("a").await;
    let absent = whole().replace(r#","stream":false"#, "");
    assert!(!absent.contains("\"stream\""));
    let cases = [
        ("stream, JSON accepted", streamed(), "application/json", "text/event-stream"),
        ("stream, anything accepted", streamed(), "*/*", "text/event-stream"),
        ("no stream, events accepted", whole(), "text/event-stream", "application/json"),
        ("nothing said, events accepted", absent, "text/event-stream", "application/json"),
    ];
    for (name, body, accept, expected) in cases {
        let request = Request::messages(&key.secret, body).header("accept", accept);
        let answer = relay.send(&request).await;
        let content_type = answer.header("content-type").unwrap();
        assert!(content_type.starts_with(expected), "{name}: {content_type}");
    }
}

async fn both_versions_of_the_api_pass(store: Store) {
    let relay = Relay::start(store).await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let betas = "oauth-2025-04-20,  b-2026-01-01 ,unknown-2030-01-01";
    for version in ["2023-06-01", "2026-10-21", "2031-01-01"] {
        let request = Request::post("/v1/messages?beta=true", whole())
            .header("x-api-key", &key.secret)
            .header("anthropic-version", version)
            .header("anthropic-beta", betas)
            .header("anthropic-beta", "second-line");
        let answer = relay.send(&request).await;
        assert_eq!(answer.status, 200, "{version}: {}", answer.text());
        let received = account.received().pop().unwrap();
        let values = |name: &str| -> Vec<String> {
            let headers = received.headers.iter().filter(|(key, _)| key == name);
            headers.map(|(_, value)| value.clone()).collect()
        };
        assert_eq!(values("anthropic-version"), [version]);
        assert_eq!(values("anthropic-beta"), [betas, "second-line"]);
        assert_eq!(received.path, "/v1/messages?beta=true");
    }
}

async fn pings_comments_and_unknown_events_pass(store: Store) {
    let relay = Relay::start(store).await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let stream = concat!(
        ": a comment first\n\n",
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-x\",\"content\":[],\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n",
        "event: ping\ndata: {\"type\": \"ping\"}\n\n",
        "event: of_tomorrow\nid: 7\nretry: 10\ndata: {\"type\":\"of_tomorrow\",\ndata: \"lines\":2}\n\n",
        ": a comment between\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        "event:content_block_delta\ndata:{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"你好\"}}\n\n",
        ":\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":4}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        ": a comment last\n\n",
    );
    let step = Step::new().header("content-type", "text/event-stream").raw_body(stream);
    for step in [step.clone(), step.chunk_bytes(5)] {
        account.script(step);
        let answer = relay.send(&Request::messages(&key.secret, streamed())).await;
        assert_eq!((answer.status, answer.end), (200, End::Clean));
        assert_eq!(answer.text(), stream, "nothing is added, not even [DONE]");
    }
}

async fn usage_is_the_last_value_of_each_field(store: Store) {
    let relay = Relay::start(store).await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let usage = Usage {
        input: Some(10),
        output: Some(25),
        cache_read: 100,
        cache_write_5m: 30,
        cache_write_1h: 40,
        legacy: false,
    };
    for (number, body) in [streamed(), whole()].into_iter().enumerate() {
        account.script(Step::new().usage(usage));
        assert_eq!(relay.send(&Request::messages(&key.secret, body)).await.status, 200);
        let record = settled(&relay, number + 1).await.pop().unwrap();
        let expected = json!({
            "input": 10, "output": 25, "cache_read": 100, "cache_write_5m": 30, "cache_write_1h": 40,
        });
        assert_eq!(record["usage"], expected);
    }
    // A cache write that is not split by its lifetime is one for five minutes.
    account.script(Step::new().usage(Usage { legacy: true, ..usage }));
    assert_eq!(relay.send(&Request::messages(&key.secret, whole())).await.status, 200);
    let record = settled(&relay, 3).await.pop().unwrap();
    assert_eq!(record["usage"]["cache_write_5m"], 70);
    assert_eq!(record["usage"]["cache_write_1h"], 0);
    let total = totals(&relay, Scope::Key(&key.id));
    assert_eq!((total.requests, total.input, total.output), (3, 30, 75));
}

async fn encodings_are_never_passed_by_half(store: Store) {
    let relay = Relay::start(store).await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let request = Request::messages(&key.secret, streamed())
        .header("accept-encoding", "gzip, deflate, br, zstd");
    let answer = relay.send(&request).await;
    assert_eq!(answer.header("content-encoding"), None);
    let expected = Upstream::first_answer(Step::new(), streamed()).await;
    assert_eq!(answer.text(), expected.text());
    let headers = account.the_request().headers;
    let asked: Vec<_> = headers.iter().filter(|(name, _)| name == "accept-encoding").collect();
    assert!(asked.iter().all(|(_, value)| value == "identity"), "{asked:?}");
}

async fn probes_need_no_key(store: Store) {
    let relay = Relay::start(store).await;
    for target in ["/", "/api/hello"] {
        let request = Request::new("HEAD", target).header("user-agent", "Bun/1.4.4");
        let answer = relay.send(&request).await;
        assert!((200..300).contains(&answer.status), "HEAD {target}: {}", answer.status);
        assert_eq!(answer.body, b"");
    }
}

async fn models_are_listed_at_once(store: Store) {
    let relay = Relay::start(store).await;
    let upstream = relay.account("a").await;
    let restricted = json!({"enableModelRestriction": true, "restrictedModels": [MODEL]});
    let (key, restricted) = (relay.key().await, relay.key_with(restricted).await);
    let list = async |key: &ApiKey| {
        let request = Request::get("/v1/models?limit=1000")
            .header("authorization", &format!("Bearer {}", key.secret))
            .header("anthropic-version", "2023-06-01")
            .header("user-agent", "claude-code/2.1.330");
        let answer = tokio::time::timeout(Duration::from_secs(3), relay.send(&request)).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "no redirect: {}", answer.text());
        answer.json()
    };
    let models = list(&key).await;
    let data = models["data"].as_array().unwrap();
    assert_eq!(models["has_more"], false);
    assert_eq!(models["first_id"], data.first().unwrap()["id"]);
    assert_eq!(models["last_id"], data.last().unwrap()["id"]);
    for model in data {
        assert_eq!(model["type"], "model");
        assert!(model["id"].as_str().unwrap().contains("claude"), "Claude Code keeps only those");
        assert!(model["display_name"].is_string() && model["created_at"].is_string());
    }
    let has = |models: &Value| {
        models["data"].as_array().unwrap().iter().any(|model| model["id"] == MODEL)
    };
    assert!(has(&models));
    assert!(!has(&list(&restricted).await), "what a key may not use is not shown to it");
    assert_eq!(upstream.received().len(), 0, "answered here");
}

async fn counting_tokens_is_free(store: Store) {
    let relay = Relay::start(store).await;
    let account = relay.account("a").await;
    let key = relay.key_with(json!({"concurrencyLimit": 1})).await;
    account.script(Step::new().deltas(9).silence_after_frame(4, 60_000));
    let mut conversation = relay.open(&Request::messages(&key.secret, streamed())).await;
    conversation.read_until("event: content_block_delta", 2).await;

    let mut counts = JoinSet::new();
    for _ in 0..25 {
        let (address, secret) = (relay.address(), key.secret.clone());
        counts.spawn(async move {
            let request = Request::post("/v1/messages/count_tokens?beta=true", body(MODEL, false))
                .header("authorization", &format!("Bearer {secret}"))
                .header("anthropic-beta", "token-counting-2024-11-01");
            relay_e2e::Exchange::open(address, &request).await.finish().await
        });
    }
    for answer in counts.join_all().await {
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.json()["input_tokens"].is_u64());
    }
    assert_eq!(account.received().len(), 26);
    drop(conversation);
    let record = the_record(&relay).await;
    assert_eq!(record["outcome"], "client_gone", "of all these only the conversation is recorded");
    assert_eq!(totals(&relay, Scope::Key(&key.id)).requests, 1);
}

async fn bodies_of_thirty_two_megabytes_pass(store: Store) {
    let relay = Relay::start(store).await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let image = "iVBORw0KGgo".repeat(32 * 1024 * 1024 / 11);
    let body = format!(
        r#"{{"model":"{MODEL}","max_tokens":9,"messages":[{{"role":"user","content":[{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{image}"}}}}]}}]}}"#
    );
    let answer = relay.send(&Request::messages(&key.secret, &body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(account.the_request().body_sha256, sha256(body.as_bytes()));
    Deadline::after(Duration::from_secs(5))
        .until("it is settled", async || totals(&relay, Scope::Key(&key.id)).requests == 1)
        .await;
}
