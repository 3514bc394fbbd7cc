//! The bytes are the client's: what is sent arrives, what is answered comes back.

use relay_e2e::{AccountSettings, Relay, Request, Store, Upstream, on_both_stores, sha256};
use relay_sandbox::{Step, Usage};
use serde_json::json;

use crate::conversation::{MODEL, TEXT, streamed, whole};
use crate::stored::the_record;

on_both_stores![
    bodies_arrive_unchanged,
    large_bodies_arrive_unchanged,
    a_mapped_model_is_all_that_changes,
    answers_come_back_unchanged,
    what_carries_the_protocol_arrives,
    who_the_client_is_does_not_arrive,
    what_is_the_accounts_does_not_come_back,
];

async fn bodies_arrive_unchanged(store: Store) {
    let relay = Relay::start(store).await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let messages = r#""messages":[{"role":"user","content":"hi"}]"#;
    let cases = [
        ("model last", format!(r#"{{{messages},"max_tokens":9,"model":"{MODEL}"}}"#)),
        (
            "escapes, in the model too",
            r#"{"model":"claude-\u0073onnet-4-5-20250929","max_tokens":9,"messages":[{"role":"user","content":"\u4f60\u597D \ud83d\ude80 \/ \u0000 \""}]}"#.to_owned(),
        ),
        (
            "numbers in every form",
            format!(
                r#"{{"model":"{MODEL}","temperature":1e0,"top_p":9.50E-1,"top_k":-0,"max_tokens":1e2,{messages}}}"#
            ),
        ),
        (
            "names that stand twice",
            format!(
                r#"{{"model":"other","stream":true,"model":"{MODEL}","stream":false,{messages},"x":1,"x":2}}"#
            ),
        ),
        (
            "fields nobody knows, with known names in them",
            format!(
                r#"{{"future":{{"model":"x","messages":[[[{{"stream":true}}]]],"stream":1}},"model":"{MODEL}",{messages},"":null}}"#
            ),
        ),
        (
            "space wherever JSON allows it",
            format!(
                " \r\n{{\t\"model\" :\n\"{MODEL}\" , \"messages\" : [ {{ \"role\":\"user\",\"content\" : \"  \" }} ] }}\n\n "
            ),
        ),
        (
            "characters of every width",
            format!(
                r#"{{"model":"{MODEL}","messages":[{{"role":"user","content":"{TEXT}\u200d"}}]}}"#
            ),
        ),
    ];
    for (name, body) in cases {
        let answer = relay.send(&Request::messages(&key.secret, &body)).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let received = account.received().pop().unwrap();
        assert_eq!(received.body_sha256, sha256(body.as_bytes()), "{name}");
    }
}

async fn large_bodies_arrive_unchanged(store: Store) {
    let relay = Relay::start(store).await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let content = TEXT.repeat(5 * 1024 * 1024 / TEXT.len());
    let body = format!(
        r#"{{"messages":[{{"role":"user","content":"{content}"}}],"model":"{MODEL}","max_tokens":9}}"#
    );
    let request = Request::messages(&key.secret, &body);
    for (name, request) in
        [("with its length", request.clone()), ("in chunks", request.chunked(60_001))]
    {
        let answer = relay.send(&request).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let received = account.received().pop().unwrap();
        assert_eq!(received.body_sha256, sha256(body.as_bytes()), "{name}");
    }
}

async fn a_mapped_model_is_all_that_changes(store: Store) {
    let relay = Relay::start(store).await;
    let models = json!({"claude-front": "vendor/back-1"});
    let account = relay.account(AccountSettings::new("a").models(models)).await;
    let key = relay.key().await;
    let body = r#"{ "note":{"model":"claude-front"},"model" : "claude-front","max_tokens":9,
        "messages":[{"role":"user","content":"\u4f60 claude-front"}] }"#;
    let answer = relay.send(&Request::messages(&key.secret, body)).await;
    let sent_on = body.replace(r#""model" : "claude-front""#, r#""model" : "vendor/back-1""#);
    assert_eq!(account.the_request().body_sha256, sha256(sent_on.as_bytes()));
    let direct = Upstream::first_answer(Step::new(), &sent_on).await;
    assert_eq!(answer.text(), direct.text(), "the answer is the upstream's");
    let record = the_record(&relay).await;
    assert_eq!(record["edits"], json!([{"kind": "model", "to": "vendor/back-1"}]));
    assert_eq!(record["model"], "claude-front");
}

async fn answers_come_back_unchanged(store: Store) {
    let relay = Relay::start(store).await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let direct = Upstream::start().await;
    let usage = Usage {
        input: Some(17),
        cache_read: 5,
        cache_write_5m: 3,
        cache_write_1h: 2,
        ..Usage::default()
    };
    let strange_json =
        "{ \"type\":\"message\", \"usage\":{\"input_tokens\": 1e1}, \"\\u00e9\":[1.0,{}] }\n";
    let steps = [
        ("the usual", Step::new()),
        ("characters of every width", Step::new().text(TEXT)),
        (
            "thinking and a tool",
            Step::new().thinking("hm 嗯").tool("Bash", json!({"c": "ls 目录"})),
        ),
        ("a cache in use", Step::new().usage(usage)),
        ("many deltas", Step::new().deltas(300)),
        ("written in small pieces", Step::new().chunk_bytes(37)),
        ("JSON of another hand", Step::new().raw_body(strange_json)),
    ];
    for (name, step) in steps {
        for body in [streamed(), whole()] {
            account.script(step.clone());
            let relayed = relay.send(&Request::messages(&key.secret, &body)).await;
            let expected = direct.answer(step.clone(), &body).await;
            assert_eq!(relayed.status, 200, "{name}: {}", relayed.text());
            assert_eq!(relayed.text(), expected.text(), "{name}");
            assert_eq!(relayed.end, expected.end, "{name}");
            assert_eq!(relayed.header("content-type"), expected.header("content-type"), "{name}");
        }
    }
}

async fn what_carries_the_protocol_arrives(store: Store) {
    let relay = Relay::start(store).await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let query = "beta=true&x=%20a+b%2f%2F&&y&z=%E4%BD%A0";
    let long = "v".repeat(1024);
    let headers = [
        ("anthropic-version", "2026-10-21"),
        (
            "anthropic-beta",
            "claude-code-20250219, interleaved-thinking-2025-05-14,effort-2025-11-24",
        ),
        ("anthropic-dangerous-direct-browser-access", "true"),
        ("anthropic-of-tomorrow", "a;b=\"c\", d"),
        ("user-agent", "claude-cli/2.1.330 (external, sdk-cli)"),
        ("accept", "application/json"),
        ("accept-language", "*"),
        ("content-type", "application/json"),
        ("x-app", "cli"),
        ("x-claude-code-session-id", "7b0c0b5e-7f0e-4a0e-9d39-6a1f6b2f0001"),
        ("x-claude-code-agent-id", "af57907dd29937407"),
        ("x-claude-code-of-tomorrow", &long),
        ("x-stainless-lang", "js"),
        ("x-stainless-timeout", "NOT_GIVEN"),
        ("session_id", "under_score"),
        ("x-codex-turn-metadata", &long),
    ];
    let request = Request::new("POST", &format!("/v1/messages?{query}")).body(whole());
    let request = headers
        .iter()
        .fold(request, |request, (name, value)| request.header(name, value))
        .header("x-api-key", &key.secret);
    let answer = relay.send(&request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let received = account.the_request();
    assert_eq!(received.path, format!("/v1/messages?{query}"));
    for (name, value) in headers {
        let arrived: Vec<_> =
            received.headers.iter().filter(|(key, _)| key == name).map(|(_, v)| v).collect();
        assert_eq!(arrived, [value], "{name}");
    }
}

async fn who_the_client_is_does_not_arrive(store: Store) {
    let relay = Relay::start(store).await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let bearer = format!("Bearer {}", key.secret);
    let headers = [
        ("authorization", bearer.as_str()),
        ("cookie", "session=tell-tale"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-host", "tell-tale.example"),
        ("x-forwarded-proto", "https"),
        ("x-real-ip", "203.0.113.7"),
        ("forwarded", "for=203.0.113.7"),
        ("via", "1.1 tell-tale"),
        ("cf-connecting-ip", "203.0.113.7"),
        ("cf-ray", "tell-tale"),
        ("cf-ipcountry", "XX"),
        ("true-client-ip", "203.0.113.7"),
        ("proxy-authorization", "Basic tell-tale"),
        ("proxy-connection", "keep-alive"),
        ("keep-alive", "timeout=tell-tale"),
        ("connection", "keep-alive, x-named-hop"),
        ("x-named-hop", "tell-tale"),
        ("te", "trailers"),
        ("origin", "https://tell-tale.example"),
        ("referer", "https://tell-tale.example/"),
        ("x-goog-api-key", "tell-tale"),
        ("api-key", "tell-tale"),
    ];
    let request =
        headers.iter().fold(Request::messages(&key.secret, whole()), |request, (name, value)| {
            request.header(name, value)
        });
    let answer = relay.send(&request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let received = account.the_request();
    for (name, _) in headers.iter().filter(|(name, _)| *name != "authorization") {
        let found = received.headers.iter().find(|(key, _)| key == name);
        assert_eq!(found, None, "{name}");
    }
    let all = format!("{:?}", received.headers);
    for secret in ["tell-tale", "203.0.113.7", &key.secret, "relay.test"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    assert_eq!(received.key.as_deref(), Some(account.upstream_key.as_str()));
}

async fn what_is_the_accounts_does_not_come_back(store: Store) {
    let relay = Relay::start(store).await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let step = Step::new()
        .header("anthropic-ratelimit-unified-status", "allowed")
        .header("anthropic-workspace-id", "wrkspc_1")
        .header("set-cookie", "a=b")
        .header("server", "provider")
        .header("via", "1.1 provider")
        .header("x-ratelimit-remaining-tokens", "5")
        .header("anthropic-of-tomorrow", "passes")
        .header("cf-ray", "passes");
    for body in [streamed(), whole()] {
        account.script(step.clone());
        let answer = relay.send(&Request::messages(&key.secret, body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        for (name, value) in &answer.headers {
            let is_the_accounts =
                ["anthropic-organization-", "anthropic-workspace-", "anthropic-ratelimit-"]
                    .iter()
                    .any(|family| name.starts_with(family))
                    || ["set-cookie", "server", "via", "x-ratelimit-remaining-tokens"]
                        .contains(&name.as_str());
            assert!(!is_the_accounts, "{name}: {value}");
        }
        for name in ["anthropic-of-tomorrow", "cf-ray"] {
            assert_eq!(answer.header(name), Some("passes"), "{name}");
        }
        let sequence = account.received().last().unwrap().sequence;
        let id = format!("req_sandbox_{sequence:016x}");
        assert_eq!(answer.header("request-id"), Some(id.as_str()), "the provider's own id");
        assert!(answer.header("x-relay-request-id").is_some_and(|id| id.starts_with("req_")));
    }
}
