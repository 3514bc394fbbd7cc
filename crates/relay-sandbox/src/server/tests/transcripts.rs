//! What a well-behaved answer looks like, byte for byte.

use serde_json::{Value, json};

use super::client::{End, KEY, running};
use crate::answer::{DEFAULT_TEXT, DEFAULT_THINKING};
use crate::script::{Step, Usage};

const GOLDEN: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_sandbox_0000000000000001","type":"message","role":"assistant","model":"claude-x","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":11,"cache_creation_input_tokens":70,"cache_read_input_tokens":22,"cache_creation":{"ephemeral_5m_input_tokens":30,"ephemeral_1h_input_tokens":40},"output_tokens":1,"service_tier":"standard"}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: ping
data: {"type":"ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"考える"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2FuZGJveC1zaWduYXR1cmU="}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"你好"}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"🚀\n"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_sandbox_0000000000000001","name":"Bash","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\":\"b\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":11,"cache_creation_input_tokens":70,"cache_read_input_tokens":22,"output_tokens":99}}

event: message_stop
data: {"type":"message_stop"}

"#;

fn golden_step() -> Step {
    let usage = Usage {
        input: Some(11),
        output: Some(99),
        cache_read: 22,
        cache_write_5m: 30,
        cache_write_1h: 40,
        legacy: false,
    };
    Step::new()
        .thinking("考える")
        .text("你好🚀\n")
        .deltas(2)
        .tool("Bash", json!({"a": "b"}))
        .usage(usage)
}

#[tokio::test]
async fn a_stream_is_byte_for_byte_what_the_provider_sends() {
    for (name, step) in [("at once", golden_step()), ("byte by byte", golden_step().chunk_bytes(1))]
    {
        let sandbox = running().await;
        sandbox.script(step.clone());
        let answer = sandbox.messages(r#"{"model":"claude-x","stream":true,"max_tokens":4}"#).await;
        assert_eq!(answer.text(), GOLDEN, "{name}");
        assert_eq!((answer.status, answer.end), (200, End::Proper), "{name}");
        let chunks =
            if step.chunk_bytes.is_some() { GOLDEN.len() } else { GOLDEN.matches("\n\n").count() };
        assert_eq!(answer.chunks.len(), chunks, "{name}");
    }
}

#[tokio::test]
async fn pieces_never_change_the_bytes() {
    for chunk_bytes in 2..12 {
        let sandbox = running().await;
        sandbox.script(golden_step().chunk_bytes(chunk_bytes));
        let answer = sandbox.messages(r#"{"model":"claude-x","stream":true}"#).await;
        assert_eq!(answer.text(), GOLDEN, "pieces of {chunk_bytes}");
    }
}

#[tokio::test]
async fn a_stream_carries_the_providers_headers() {
    let sandbox = running().await;
    let answer = sandbox.messages(r#"{"model":"m","stream":true}"#).await;
    let cases = [
        ("content-type", Some("text/event-stream; charset=utf-8")),
        ("cache-control", Some("no-cache")),
        ("request-id", Some("req_sandbox_0000000000000001")),
        ("anthropic-organization-id", Some("5a4d0b0c-0000-4000-8000-73616e64626f")),
        ("anthropic-ratelimit-requests-limit", Some("4000")),
        ("transfer-encoding", Some("chunked")),
        ("content-length", None),
    ];
    for (name, expected) in cases {
        assert_eq!(answer.header(name), expected, "{name}");
    }
}

/// Puts a stream together again as a client does.
fn assembled(events: &[(String, Value)]) -> Value {
    let mut message = Value::Null;
    for (name, data) in events {
        assert_eq!(data["type"], name.as_str());
        match name.as_str() {
            "message_start" => message = data["message"].clone(),
            "content_block_start" => {
                message["content"].as_array_mut().unwrap().push(data["content_block"].clone());
            }
            "content_block_delta" => {
                let block = &mut message["content"]
                    [usize::try_from(data["index"].as_u64().unwrap()).unwrap()];
                let delta = data["delta"].as_object().unwrap();
                for (field, piece) in delta.iter().filter(|(field, _)| *field != "type") {
                    let field = if field == "partial_json" { "input" } else { field };
                    let so_far = block[field].as_str().unwrap_or_default().to_owned();
                    block[field] = Value::from(so_far + piece.as_str().unwrap());
                }
            }
            "message_delta" => {
                for (field, value) in data["delta"].as_object().unwrap() {
                    message[field] = value.clone();
                }
                for (field, value) in data["usage"].as_object().unwrap() {
                    message["usage"][field] = value.clone();
                }
            }
            _ => {}
        }
    }
    for block in message["content"].as_array_mut().unwrap() {
        if let Some(input) = block["input"].as_str() {
            block["input"] = serde_json::from_str(input).unwrap();
        }
    }
    message
}

#[tokio::test]
async fn a_stream_and_a_whole_answer_say_the_same() {
    let tool = r#","tools":[{"name":"Bash"}],"messages":[{"role":"user","content":"[[tool:Bash {\"x\":[1,\"]]\"]}]]"}]"#;
    let legacy = Usage { input: Some(5), cache_write_5m: 7, legacy: true, ..Usage::default() };
    let cases = [
        ("default", Step::new(), r#","max_tokens":4096"#),
        ("thinking is asked for", Step::new(), r#","thinking":{"type":"adaptive"}"#),
        ("a tool is asked for", Step::new(), tool),
        ("one token", Step::new(), r#","max_tokens":1"#),
        ("everything scripted", golden_step(), ""),
        ("old usage form", Step::new().usage(legacy), ""),
        ("another model", Step::new().model("a\"b"), ""),
        ("another stop reason", Step::new().stop_reason("refusal"), ""),
        ("no text", Step::new().text(""), ""),
    ];
    for (name, step, fields) in cases {
        let body = |stream| format!(r#"{{"model":"claude-x","stream":{stream}{fields}}}"#);
        let (one, other) = (running().await, running().await);
        one.script(step.clone());
        other.script(step);
        let streamed = assembled(&one.messages(&body(true)).await.events());
        let whole = other.messages(&body(false)).await;
        assert_eq!(whole.header("content-type"), Some("application/json"), "{name}");
        assert_eq!(streamed, whole.json(), "{name}");
    }
}

#[tokio::test]
async fn requests_shape_the_default_answer() {
    let tools = r#""tools":[{"name":"Bash"}],"messages":[{"role":"user","content":"[[tool:Bash {\"x\":1}]]"}]"#;
    let untold = tools.replace(r#""tools":[{"name":"Bash"}],"#, "");
    let text = json!({"type": "text", "text": DEFAULT_TEXT});
    let cases = [
        ("plain", r#""messages":[]"#, vec![text.clone()], "end_turn"),
        (
            "one token",
            r#""max_tokens":1"#,
            vec![json!({"type": "text", "text": &DEFAULT_TEXT[..4]})],
            "max_tokens",
        ),
        ("marker without tools", untold.as_str(), vec![text.clone()], "end_turn"),
        (
            "marker with tools",
            tools,
            vec![
                text.clone(),
                json!({"type": "tool_use", "id": "toolu_sandbox_0000000000000001", "name": "Bash", "input": {"x": 1}}),
            ],
            "tool_use",
        ),
        (
            "thinking",
            r#""thinking":{"type":"enabled","budget_tokens":1024}"#,
            vec![
                json!({"type": "thinking", "thinking": DEFAULT_THINKING, "signature": "c2FuZGJveC1zaWduYXR1cmU="}),
                text,
            ],
            "end_turn",
        ),
    ];
    for (name, fields, content, stop_reason) in cases {
        let message =
            running().await.messages(&format!(r#"{{"model":"claude-x",{fields}}}"#)).await.json();
        assert_eq!(message["content"], Value::from(content), "{name}");
        assert_eq!(message["stop_reason"], stop_reason, "{name}");
        assert_eq!(message["model"], "claude-x", "{name}");
    }
}

#[tokio::test]
async fn the_echo_key_gets_a_digest_of_its_request() {
    let body = r#"{"model":"m"}"#;
    let answer = running()
        .await
        .call("POST /v1/messages", &[("x-api-key", "sk-sandbox-echo")], body)
        .await
        .json();
    let digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(body));
    let expected = format!("The request has 13 bytes. Its SHA-256 is {digest}. 以上です。");
    assert_eq!(answer["content"][0]["text"], expected);
}

#[tokio::test]
async fn every_endpoint_answers_in_the_providers_form() {
    let (model, count) = (r#"{"model":"m"}"#, "POST /v1/messages/count_tokens");
    let cases = [
        ("messages", "POST /v1/messages", model, 200, "/type", json!("message")),
        ("prefix, query", "POST /api/v1/messages?beta=true", model, 200, "/type", json!("message")),
        ("bad JSON", "POST /v1/messages", "{", 400, "/error/type", json!("invalid_request_error")),
        (
            "no model",
            "POST /v1/messages",
            "{}",
            400,
            "/error/message",
            json!("model: Field required"),
        ),
        ("count", count, model, 200, "/input_tokens", json!(1)),
        ("bad count", count, "[]", 400, "/error/type", json!("invalid_request_error")),
        ("models", "GET /v1/models?limit=1000", "", 200, "/data/0/id", json!("claude-opus-5-5")),
        ("unknown path", "POST /v1/complete", model, 404, "/error/type", json!("not_found_error")),
        (
            "wrong method",
            "GET /v1/messages",
            "",
            404,
            "/request_id",
            json!("req_sandbox_0000000000000001"),
        ),
    ];
    for (name, target, body, status, pointer, expected) in cases {
        let answer = running().await.call(target, &[("X-Api-Key", KEY)], body).await;
        assert_eq!((answer.status, answer.end), (status, End::Proper), "{name}");
        assert_eq!(answer.header("request-id"), Some("req_sandbox_0000000000000001"), "{name}");
        assert_eq!(answer.json().pointer(pointer), Some(&expected), "{name}");
    }
}

#[tokio::test]
async fn a_request_needs_a_key() {
    for headers in [&[][..], &[("x-api-key", "")], &[("authorization", "Basic x")]] {
        let answer = running().await.call("POST /v1/messages", headers, r#"{"model":"m"}"#).await;
        assert_eq!(answer.status, 401, "{headers:?}");
        assert_eq!(answer.json()["error"]["type"], "authentication_error", "{headers:?}");
    }
}
