//! What is refused: with the right status, in the client's dialect, with a request id, and never counted.

use std::time::Duration;

use relay_e2e::{AccountSettings, Answer, End, Relay, Request, Store, on_both_stores};
use relay_sandbox::Step;
use relay_testkit::Deadline;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::conversation::{MODEL, body, streamed, whole};
use crate::stored::{Scope, Totals, records, totals};

on_both_stores![
    bad_requests_are_refused,
    keys_that_may_not_are_refused,
    no_other_name_leads_to_a_restricted_model,
    bodies_over_the_limit_are_refused,
    who_is_refused_in_mid_body_can_ask_again,
    who_holds_a_refused_body_back_is_told_that_the_connection_ends,
    without_accounts_the_answer_is_overloaded,
    limited_accounts_tell_how_long,
    a_limit_of_an_hour_is_no_reason_to_wait,
];

/// The answer has this status and type, in Anthropic's shape, with one id in header and body.
fn assert_refused(name: &str, answer: &Answer, status: u16, kind: &str) {
    assert_eq!(answer.status, status, "{name}: {}", answer.text());
    assert_eq!(answer.end, End::Clean, "{name}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{name}");
    let body = answer.json();
    let names: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(names, ["error", "request_id", "type"], "{name}");
    assert_eq!(body["type"], "error", "{name}");
    assert_eq!(body["error"]["type"], kind, "{name}");
    assert!(!body["error"]["message"].as_str().unwrap().is_empty(), "{name}");
    assert!(!body["error"]["code"].as_str().unwrap().is_empty(), "{name}: a stable code");
    let id = answer.header("request-id").unwrap();
    assert!(id.starts_with("req_"), "{name}: {id}");
    assert_eq!(body["request_id"], id, "{name}");
}

async fn bad_requests_are_refused(store: Store) {
    let relay = Relay::start(store).await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let send = |body: &str| Request::messages(&key.secret, body);
    let invalid = |name, body| (name, send(body), 400, "invalid_request_error");
    let messages = r#""messages":[{"role":"user","content":"hi"}]"#;
    let no_model = format!("{{{messages}}}");
    let numeric_model = format!(r#"{{"model":5,{messages}}}"#);
    let null_model = format!(r#"{{"model":null,{messages}}}"#);
    let blank_model = format!(r#"{{"model":"",{messages}}}"#);
    let trailing = format!("{} x", whole());
    let cases = [
        ("no key", Request::post("/v1/messages", whole()), 401, "authentication_error"),
        (
            "a key of nobody's",
            Request::messages(
                "cr_0000000000000000000000000000000000000000000000000000000000000000",
                whole(),
            ),
            401,
            "authentication_error",
        ),
        (
            "a key of another kind",
            Request::messages("sk-ant-api03-x", whole()),
            401,
            "authentication_error",
        ),
        (
            "no key, count_tokens",
            Request::post("/v1/messages/count_tokens", whole()),
            401,
            "authentication_error",
        ),
        ("no key, models", Request::get("/v1/models"), 401, "authentication_error"),
        invalid("no body", ""),
        invalid("no JSON", "model=claude"),
        invalid("no object", "[]"),
        invalid("cut short", &whole()[..whole().len() - 1]),
        invalid("with a tail", &trailing),
        invalid("no model", &no_model),
        invalid("a number for a model", &numeric_model),
        invalid("null for a model", &null_model),
        invalid("an empty model", &blank_model),
        invalid("no messages", &format!(r#"{{"model":"{MODEL}"}}"#)),
        (
            "compressed",
            send(&whole()).header("content-encoding", "gzip"),
            400,
            "invalid_request_error",
        ),
        ("another path", Request::post("/v1/complete", whole()), 404, "not_found_error"),
        (
            "a path with a slash more",
            Request::post("/v1/messages/", whole()),
            404,
            "not_found_error",
        ),
        ("another path, other mount", Request::get("/api/v1/nothing"), 404, "not_found_error"),
        ("another method", Request::get("/v1/messages"), 404, "not_found_error"),
        (
            "another method, models",
            Request::post("/claude/v1/models", "{}"),
            404,
            "not_found_error",
        ),
    ];
    for (name, request, status, kind) in cases {
        let answer = relay.send(&request).await;
        assert_refused(name, &answer, status, kind);
        assert_eq!(answer.header("x-should-retry"), Some("false"), "{name}: no retry mends it");
        assert_eq!(answer.header("retry-after"), None, "{name}");
    }
    assert_eq!(account.received().len(), 0, "nothing of it went on");
    assert_eq!(records(&relay), Vec::<serde_json::Value>::new(), "nothing of it was recorded");
    assert_eq!(totals(&relay, Scope::Key(&key.id)), Totals::default());
}

async fn keys_that_may_not_are_refused(store: Store) {
    let relay = Relay::start(store).await;
    let account = relay.account("a").await;
    let cases = [
        ("switched off", json!({"isActive": false}), 401, "authentication_error"),
        ("of another platform", json!({"permissions": "codex"}), 403, "permission_error"),
        (
            "restricted",
            json!({"enableModelRestriction": true, "restrictedModels": [MODEL]}),
            403,
            "permission_error",
        ),
    ];
    for (name, fields, status, kind) in cases {
        let key = relay.key_with(fields).await;
        let answer = relay.send(&Request::messages(&key.secret, whole())).await;
        assert_refused(name, &answer, status, kind);
        assert_eq!(answer.header("x-should-retry"), Some("false"), "{name}");
        assert_eq!(totals(&relay, Scope::Key(&key.id)), Totals::default(), "{name}");
    }
    assert_eq!(account.received().len(), 0, "nothing of it went on");
    assert_eq!(records(&relay).len(), 0, "nothing of it was recorded");
}

/// Neither another spelling nor an account's map of models does, nor is such a name offered.
async fn no_other_name_leads_to_a_restricted_model(store: Store) {
    let relay = Relay::start(store).await;
    let map = json!({MODEL: MODEL, "alias": MODEL, "other": "claude-haiku-4-5"});
    let account = relay.account(AccountSettings::new("a").models(map)).await;
    let restricted = json!({"enableModelRestriction": true, "restrictedModels": [MODEL]});
    let key = relay.key_with(restricted).await.secret;
    let marked = format!("{MODEL}[1m]");
    for name in [MODEL, &MODEL.to_uppercase(), &marked, "alias", "Alias"] {
        let answer = relay.send(&Request::messages(&key, whole().replace(MODEL, name))).await;
        assert_refused(name, &answer, 403, "permission_error");
        assert_eq!(answer.json()["error"]["code"], "model_restricted", "{name}");
    }
    assert_eq!(account.received().len(), 0);
    let answer = relay.send(&Request::messages(&key, whole().replace(MODEL, "other"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let offered = relay.send(&Request::get("/v1/models").header("x-api-key", &key)).await.json();
    let offered: Vec<_> =
        offered["data"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert_eq!(offered, ["other"]);
}

async fn bodies_over_the_limit_are_refused(store: Store) {
    const LIMIT: usize = 1024 * 1024;
    let relay = Relay::with(store).env("REQUEST_MAX_SIZE_MB", "1").start().await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let sized = |size: usize| {
        let body = whole();
        format!("{}{body}", " ".repeat(size - body.len()))
    };
    for (name, chunked) in [("with its length", false), ("in chunks", true)] {
        let send = |size| {
            let request = Request::messages(&key.secret, sized(size));
            if chunked { request.chunked(10_007) } else { request }
        };
        let fits = relay.send(&send(LIMIT)).await;
        assert_eq!(fits.status, 200, "{name}: {}", fits.text());
        let answer = relay.send(&send(LIMIT + 1)).await;
        assert_refused(name, &answer, 413, "request_too_large");
        assert_eq!(answer.header("x-should-retry"), Some("false"), "{name}");
    }
    // Told by its length alone, before the body is sent.
    let huge = Request::messages(&key.secret, sized(20 * LIMIT));
    assert_refused("huge", &relay.send(&huge).await, 413, "request_too_large");
    let stranger = Request::messages("cr_nobody", sized(2 * LIMIT));
    assert_refused("of a stranger", &relay.send(&stranger).await, 401, "authentication_error");
    assert_eq!(account.received().len(), 2);
}

/// A client that has sent a whole request and has a whole answer uses the connection for the next request,
/// whether or not somebody wanted to read the first one.
async fn who_is_refused_in_mid_body_can_ask_again(store: Store) {
    const LENGTH: usize = 3 * 1024 * 1024;
    let relay = Relay::with(store).env("REQUEST_MAX_SIZE_MB", "1").start().await;
    let key = relay.key().await.secret;
    let by_length = format!("content-length: {LENGTH}");
    let chunked = "transfer-encoding: chunked".to_owned();
    for (path, key, framing, status) in [
        ("/v1/messages", "cr_nobody", &by_length, 401),
        ("/v1/messages", "cr_nobody", &chunked, 401),
        ("/v1/messages", key.as_str(), &by_length, 413),
        ("/v1/complete", &key, &by_length, 404),
        ("/api/v2/keys", "", &by_length, 401),
        ("/nowhere", "", &by_length, 404),
    ] {
        let name = format!("{status} {path} {framing}");
        let mut client = BufReader::new(TcpStream::connect(relay.address()).await.unwrap());
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: relay\r\nx-api-key: {key}\r\n{framing}\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(answered(&mut client).await, status, "{name}");
        let mut rest = vec![b' '; LENGTH];
        if *framing == chunked {
            rest.splice(0..0, format!("{LENGTH:x}\r\n").into_bytes());
            rest.extend_from_slice(b"\r\n0\r\n\r\n");
        }
        rest.extend_from_slice(b"GET /livez HTTP/1.1\r\nhost: relay\r\n\r\n");
        client.write_all(&rest).await.unwrap();
        assert_eq!(answered(&mut client).await, 200, "{name}: the next request");
    }
}

/// A client that was not told to send its body may keep it: its connection cannot be used on.
async fn who_holds_a_refused_body_back_is_told_that_the_connection_ends(store: Store) {
    let relay = Relay::start(store).await;
    let body = Request::post("/v1/messages", whole()).header("expect", "100-continue");
    let answer = relay.send(&body).await;
    assert_refused("held back", &answer, 401, "authentication_error");
    assert_eq!(answer.header("connection"), Some("close"));
}

/// Reads one whole answer and returns its status.
async fn answered(client: &mut BufReader<TcpStream>) -> u16 {
    let (mut head, mut line) = (Vec::new(), String::new());
    while line != "\r\n" {
        line.clear();
        assert_ne!(client.read_line(&mut line).await.unwrap(), 0, "closed after {head:?}");
        head.push(line.to_ascii_lowercase());
    }
    let length = head.iter().find_map(|line| line.strip_prefix("content-length:")).unwrap();
    let mut body = vec![0; length.trim().parse().unwrap()];
    client.read_exact(&mut body).await.unwrap();
    head[0].split(' ').nth(1).unwrap().parse().unwrap()
}

async fn without_accounts_the_answer_is_overloaded(store: Store) {
    let relay = Relay::start(store).await;
    let key = relay.key().await;
    let answer = relay.send(&Request::messages(&key.secret, streamed())).await;
    assert_refused("no account", &answer, 529, "overloaded_error");
    let other = AccountSettings::new("a").models(json!({"other": "other"}));
    let _account = relay.account(other).await;
    let answer = relay.send(&Request::messages(&key.secret, streamed())).await;
    assert_refused("no account for the model", &answer, 404, "not_found_error");
    assert_eq!(totals(&relay, Scope::Key(&key.id)), Totals::default(), "none of it is usage");
}

async fn limited_accounts_tell_how_long(store: Store) {
    const LIMIT_S: u64 = 3;
    let relay = Relay::start(store).await;
    let (a, b) = (relay.account("a").await, relay.account("b").await);
    let key = relay.key().await;
    let limited = |seconds: u64| {
        Step::failing(429, "rate_limit_error", "slow down")
            .header("retry-after", &seconds.to_string())
    };
    a.script(limited(LIMIT_S));
    b.script(limited(40));
    for name in ["the first to hear of it", "the second, without asking anybody"] {
        let answer = relay.send(&Request::messages(&key.secret, streamed())).await;
        assert_refused(name, &answer, 429, "rate_limit_error");
        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((LIMIT_S - 1..=LIMIT_S + 1).contains(&seconds), "{name}: {seconds} s");
        assert_eq!(answer.header("x-should-retry"), None, "{name}: waiting mends it");
    }
    assert_eq!((a.received().len(), b.received().len()), (1, 1), "each was asked once");
    assert_eq!(totals(&relay, Scope::Key(&key.id)), Totals::default());
    // And it was true: then the account serves again.
    a.script(Step::new());
    let patience = Deadline::after(Duration::from_secs(2 * LIMIT_S));
    patience
        .until("the limit ends", async || {
            relay.send(&Request::messages(&key.secret, whole())).await.status == 200
        })
        .await;
}

async fn a_limit_of_an_hour_is_no_reason_to_wait(store: Store) {
    let relay = Relay::start(store).await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let step = Step::failing(429, "rate_limit_error", "slow down").header("retry-after", "3600");
    account.script(step);
    let answer = relay.send(&Request::messages(&key.secret, body(MODEL, true))).await;
    assert_refused("an hour", &answer, 429, "rate_limit_error");
    assert_eq!(answer.header("retry-after"), None, "SDKs and Codex would sleep for it");
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("until 20"), "the end stands in the body: {message}");
}
