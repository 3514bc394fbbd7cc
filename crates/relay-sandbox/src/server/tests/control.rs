//! The control endpoint and the records.

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::client::{KEY, Running, bound, read_until, request, running, serve};
use crate::recorder::{Outcome, RecordedBody, RequestLog};
use crate::server::SandboxState;

impl Running {
    async fn log(&self, query: &str) -> RequestLog {
        let answer = self.call(&format!("GET /_sandbox/requests{query}"), &[], "").await;
        serde_json::from_value(answer.json()).unwrap()
    }
}

#[tokio::test]
async fn a_script_set_over_http_plays_for_its_key_only() {
    let sandbox = running().await;
    let script = json!({"steps": [
        {"status": 429, "error": {"type": "rate_limit_error", "message": "slow down"}, "headers": {"retry-after": "1"}},
        {"text": "hello"},
    ], "then": "default"});
    let set = sandbox.call("PUT /_sandbox/scenarios/sk%2Dtest", &[], &script.to_string()).await;
    assert_eq!(set.status, 200);

    let other =
        sandbox.call("POST /v1/messages", &[("x-api-key", "sk-other")], r#"{"model":"m"}"#).await;
    assert_eq!(other.status, 200, "another key");
    let first = sandbox.messages(r#"{"model":"m"}"#).await;
    assert_eq!((first.status, first.header("retry-after")), (429, Some("1")));
    let second = sandbox.messages(r#"{"model":"m"}"#).await.json();
    assert_eq!(second["content"][0]["text"], "hello");
    let third = sandbox.messages(r#"{"model":"m"}"#).await.json();
    assert_ne!(third["content"][0]["text"], "hello", "the default follows");

    sandbox.call("PUT /_sandbox/scenarios/sk%2Dtest", &[], r#"{"steps":[{"status":500}]}"#).await;
    assert_eq!(sandbox.messages(r#"{"model":"m"}"#).await.status, 500);
    sandbox.call("DELETE /_sandbox/scenarios/sk%2Dtest", &[], "").await;
    assert_eq!(sandbox.messages(r#"{"model":"m"}"#).await.status, 200, "deleted");
}

#[tokio::test]
async fn a_script_with_a_mistake_is_refused() {
    let sandbox = running().await;
    let cases = [
        ("misspelt field", r#"{"steps":[{"staus":500}]}"#, "unknown field `staus`"),
        (
            "misspelt nested field",
            r#"{"steps":[{"usage":{"inputs":1}}]}"#,
            "unknown field `inputs`",
        ),
        ("bare list of text", r#"["x"]"#, "the script cannot be read"),
        ("impossible status", r#"{"steps":[{"status":99}]}"#, "step 0: status 99"),
        ("impossible header", r#"{"steps":[{"headers":{"a":"\n"}}]}"#, "step 0: \"a\""),
    ];
    for (name, script, expected) in cases {
        let answer = sandbox.call("PUT /_sandbox/scenarios/sk-test", &[], script).await;
        assert_eq!(answer.status, 400, "{name}");
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(expected), "{name}: {message}");
    }
    assert_eq!(sandbox.call("GET /_sandbox/nothing", &[], "").await.status, 404);
    assert_eq!(sandbox.messages(r#"{"model":"m"}"#).await.status, 200, "no script was set");
}

#[tokio::test]
async fn a_script_survives_its_own_json() {
    let script = crate::Script::new([
        crate::Step::failing(429, "rate_limit_error", "x").header("retry-after", "1"),
        crate::Step::new()
            .error_at_frame(2, "api_error", "y")
            .silence_after_frame(1, 5)
            .tool("T", json!({"a": 1})),
    ])
    .then_default();
    let json = serde_json::to_string(&script).unwrap();
    assert_eq!(serde_json::from_str::<crate::Script>(&json).unwrap(), script);
}

#[tokio::test]
async fn every_request_is_recorded_as_it_arrived() {
    let sandbox = running().await;
    let body = r#"{"model":"m","messages":[{"role":"user","content":"你好 🚀"}]}"#;
    let headers = [("X-Api-Key", KEY), ("Anthropic-Version", "2023-06-01"), ("session_id", "s-1")];
    sandbox.call("POST /v1/messages?beta=true&x=%20", &headers, body).await;
    sandbox.call("GET /v1/models", &[("Authorization", "Bearer sk-other")], "").await;
    sandbox.call("HEAD /", &[], "").await;

    let log = sandbox.log("?key=sk-test&include_body=1").await;
    assert_eq!((log.requests.len(), log.evicted), (1, 0));
    let request = &log.requests[0];
    let expected = [
        ("host", "sandbox"),
        ("x-api-key", KEY),
        ("anthropic-version", "2023-06-01"),
        ("session_id", "s-1"),
        ("content-length", &body.len().to_string()),
        ("connection", "close"),
    ];
    assert_eq!(request.headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/v1/messages?beta=true&x=%20")
    );
    assert_eq!(request.body_sha256, hex::encode(Sha256::digest(body)));
    assert_eq!(request.body_bytes, body.len() as u64);
    assert_eq!(request.body, Some(RecordedBody::Text(body.to_owned())));
    assert_eq!((request.outcome, request.frames_sent), (Outcome::Complete, 1));

    sandbox.call("POST /v1/messages/count_tokens", &[("x-api-key", KEY)], "{}").await;
    let all = sandbox.log("").await;
    let seen = all
        .requests
        .iter()
        .map(|request| (request.sequence, request.connection, request.key.as_deref()));
    // The control request above took connection 4 and shows up nowhere.
    let expected = [(1, 1, Some(KEY)), (2, 2, Some("sk-other")), (3, 3, None), (4, 5, Some(KEY))];
    assert_eq!(seen.collect::<Vec<_>>(), expected);
    assert!(
        all.requests.iter().all(|request| request.body.is_none()),
        "bodies only where asked for"
    );
    assert!(all.requests.iter().all(|request| request.outcome == Outcome::Complete));
    let in_process = sandbox.handle.requests_of(KEY);
    assert_eq!(in_process.requests[0], log.requests[0], "the handle says the same");

    sandbox.call("DELETE /_sandbox/requests", &[], "").await;
    assert_eq!(sandbox.log("").await, RequestLog::default());
}

#[tokio::test]
async fn bodies_are_hashed_whole_and_kept_within_reason() {
    let sandbox = running().await;
    let long = format!(r#"{{"model":"m","system":"{}"}}"#, "x".repeat(1024 * 1024));
    sandbox.messages(&long).await;
    let mut stream = TcpStream::connect(sandbox.handle.address()).await.unwrap();
    let head =
        "POST /v1/messages HTTP/1.1\r\nHost: x\r\nX-Api-Key: sk-bytes\r\nContent-Length: 3\r\n\r\n";
    stream.write_all(&[head.as_bytes(), &[0xff, 0x00, 0x41]].concat()).await.unwrap();
    read_until(&mut stream, "HTTP/1.1 400").await;

    let kept = &sandbox.handle.requests_of(KEY).requests[0];
    assert_eq!(kept.body_sha256, hex::encode(Sha256::digest(&long)));
    assert_eq!((kept.body_bytes, &kept.body), (long.len() as u64, &None), "too long to keep");
    let bytes = &sandbox.handle.requests_of("sk-bytes").requests[0];
    assert_eq!(bytes.body, Some(RecordedBody::Hex("ff0041".to_owned())));
}

#[tokio::test]
async fn requests_on_one_connection_share_its_number() {
    let sandbox = running().await;
    let mut stream = TcpStream::connect(sandbox.handle.address()).await.unwrap();
    for end in ["\"service_tier\":\"standard\"}}", "message_stop\"}\n\n\r\n0\r\n\r\n"] {
        let body = format!(r#"{{"model":"m","stream":{}}}"#, end.starts_with("message_stop"));
        let request = request("POST /v1/messages", &[("x-api-key", KEY)], &body, "keep-alive");
        stream.write_all(request.as_bytes()).await.unwrap();
        read_until(&mut stream, end).await;
    }
    let connections: Vec<_> =
        sandbox.handle.requests().requests.iter().map(|request| request.connection).collect();
    assert_eq!(connections, [1, 1]);
    let state: SandboxState =
        serde_json::from_value(sandbox.call("GET /_sandbox/state", &[], "").await.json()).unwrap();
    let expected =
        SandboxState { open_connections: 2, requests_in_flight: 0, streams_in_flight: 0 };
    assert_eq!(state, expected, "the one kept alive and the one that asks");
}

#[tokio::test]
async fn recording_can_be_switched_off() {
    let sandbox = serve(bound().await.without_recording());
    assert_eq!(sandbox.messages(r#"{"model":"m"}"#).await.status, 200);
    assert_eq!(sandbox.handle.requests(), RequestLog::default());
}
