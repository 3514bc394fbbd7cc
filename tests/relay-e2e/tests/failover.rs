//! Failure is invisible until it cannot be: before the first content another account takes over, after
//! it the client gets an honest error and never a second answer.

use relay_e2e::{
    Account, AccountSettings, Answer, ApiKey, End, Relay, Request, Store, Upstream, on_both_stores,
};
use relay_sandbox::{Step, Usage};
use serde_json::{Value, json};

use crate::conversation::{MODEL, body, streamed, whole};
use crate::stored::{Scope, Totals, settled, the_record, totals};

on_both_stores![
    another_account_takes_over_a_stream,
    another_account_takes_over_a_whole_answer,
    an_account_that_cannot_be_reached_is_passed_by,
    who_takes_over_is_decided_by_what_holds_then,
    after_three_deltas_nobody_takes_over,
    a_cut_within_a_frame_leaks_no_broken_frame,
    the_clients_own_fault_is_passed_through,
    trouble_of_the_only_account_is_told_as_such,
    a_head_that_does_not_come_is_not_asked_for_twice,
];

/// What A does before any content, the outcome that its attempt is recorded with, and the status.
fn failures() -> Vec<(&'static str, Step, &'static str, Value)> {
    let limited = || Step::failing(429, "rate_limit_error", "slow down");
    let unknown =
        json!({"type": "error", "error": {"type": "not_found_error", "message": "model: x"}});
    vec![
        ("529", Step::failing(529, "overloaded_error", "Overloaded"), "overloaded", json!(529)),
        ("503", Step::failing(503, "api_error", "no"), "overloaded", json!(503)),
        ("500", Step::failing(500, "api_error", "no"), "server_error", json!(500)),
        (
            "502 in HTML",
            Step::new().status(502).raw_body("<html>").header("content-type", "text/html"),
            "server_error",
            json!(502),
        ),
        ("401", Step::failing(401, "authentication_error", "no"), "unauthorized", json!(401)),
        ("402", Step::failing(402, "billing_error", "no"), "blocked", json!(402)),
        ("403", Step::failing(403, "permission_error", "no"), "blocked", json!(403)),
        ("429 with its end", limited().header("retry-after", "30"), "rate_limited", json!(429)),
        ("429 without", limited(), "rate_limited", json!(429)),
        (
            "404 for the model",
            Step::new().status(404).raw_body(&unknown.to_string()),
            "model_unknown",
            json!(404),
        ),
        ("a reset", Step::refusing(), "broke_off", Value::Null),
    ]
}

/// What a stream does before any content.
fn stream_failures() -> Vec<(&'static str, Step, &'static str, Value)> {
    let busy = |frame| Step::new().error_at_frame(frame, "overloaded_error", "Overloaded");
    vec![
        ("an error event first", busy(0), "overloaded", json!(200)),
        ("an error event after the start", busy(1), "overloaded", json!(200)),
        (
            "an internal error event",
            Step::new().error_at_frame(1, "api_error", "no"),
            "server_error",
            json!(200),
        ),
        ("cut after the head", Step::new().truncate_at_byte(0), "broke_off", json!(200)),
        ("cut in the first frame", Step::new().truncate_at_byte(20), "broke_off", json!(200)),
        ("cut after the start", Step::new().truncate_at_frame(1), "broke_off", json!(200)),
        ("ended after the start", Step::new().end_at_frame(1), "broke_off", json!(200)),
    ]
}

/// Two accounts of the same model, the first of which is asked first.
async fn pair(relay: &Relay, model: &str) -> (Account, Account) {
    let account = |name: &str, priority| {
        let models = json!({model: model});
        AccountSettings::new(&format!("{name}-{model}")).priority(priority).models(models)
    };
    (relay.account(account("a", 10)).await, relay.account(account("b", 20)).await)
}

async fn another_account_takes_over_a_stream(store: Store) {
    let relay = Relay::start(store).await;
    let key = relay.key().await;
    let failures = failures().into_iter().chain(stream_failures());
    for (number, (name, failure, outcome, status)) in failures.enumerate() {
        let model = format!("claude-case-{number}");
        check_takeover(&relay, &key, number, (name, failure, outcome, status), &body(&model, true))
            .await;
    }
}

async fn another_account_takes_over_a_whole_answer(store: Store) {
    let relay = Relay::start(store).await;
    let key = relay.key().await;
    let cut = ("cut in the body", Step::new().truncate_at_byte(30), "broke_off", Value::Null);
    let failures = failures().into_iter().chain([cut]);
    for (number, (name, failure, outcome, status)) in failures.enumerate() {
        let model = format!("claude-case-{number}");
        check_takeover(
            &relay,
            &key,
            number,
            (name, failure, outcome, status),
            &body(&model, false),
        )
        .await;
    }
}

async fn check_takeover(
    relay: &Relay,
    key: &ApiKey,
    number: usize,
    (name, failure, outcome, status): (&str, Step, &str, Value),
    request: &str,
) {
    let (a, b) = pair(relay, &format!("claude-case-{number}")).await;
    let good = Step::new().text("from B, 你好").usage(Usage {
        input: Some(70),
        output: Some(9),
        ..Usage::default()
    });
    a.script(failure);
    b.script(good.clone());
    let answer = relay.send(&Request::messages(&key.secret, request)).await;
    let expected = Upstream::first_answer(good, request).await;
    assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    assert_eq!(answer.text(), expected.text(), "{name}");
    assert_eq!(answer.end, End::Clean, "{name}");
    assert_eq!((a.received().len(), b.received().len()), (1, 1), "{name}");
    let record = settled(relay, number + 1).await.pop().unwrap();
    assert_eq!(
        attempts(&record),
        [(a.id.as_str(), outcome), (b.id.as_str(), "answered")],
        "{name}"
    );
    assert_eq!(record["attempts"][0]["status"], status, "{name}");
    assert_eq!(
        (&record["account"], &record["outcome"]),
        (&json!(b.id), &json!("completed")),
        "{name}"
    );
    let once = Totals { requests: 1, input: 70, output: 9, cost_nano: 0 };
    assert_eq!(totals(relay, Scope::Account(&b.id)), once, "{name}");
    assert_eq!(totals(relay, Scope::Account(&a.id)), Totals::default(), "{name}");
    let requests = i64::try_from(number + 1).unwrap();
    assert_eq!(totals(relay, Scope::Key(&key.id)).requests, requests, "{name}");
}

fn attempts(record: &Value) -> Vec<(&str, &str)> {
    let attempts = record["attempts"].as_array().unwrap().iter();
    attempts.map(|a| (a["account"].as_str().unwrap(), a["outcome"].as_str().unwrap())).collect()
}

async fn an_account_that_cannot_be_reached_is_passed_by(store: Store) {
    let relay = Relay::start(store).await;
    let a = relay.unreachable_account(AccountSettings::new("a").priority(1)).await;
    let (b, key) = (relay.account("b").await, relay.key().await);
    let answer = relay.send(&Request::messages(&key.secret, streamed())).await;
    let expected = Upstream::first_answer(Step::new(), streamed()).await;
    assert_eq!((answer.status, answer.text()), (200, expected.text()));
    let record = the_record(&relay).await;
    assert_eq!(attempts(&record), [(a.id.as_str(), "unreachable"), (b.id.as_str(), "answered")]);
}

async fn who_takes_over_is_decided_by_what_holds_then(store: Store) {
    let relay = Relay::start(store).await;
    let (a, b) = pair(&relay, MODEL).await;
    let group = |members: &[&str]| json!({"name": "group", "platform": "claude-console", "accountIds": members});
    let both = group(&[&a.id, &b.id]);
    let made = relay.admin("POST", "/api/v2/account-groups", &both).await.json();
    let id = made["group"]["id"].as_str().unwrap();
    let key = relay.key_with(json!({"claudeConsoleAccountId": format!("group:{id}")})).await;
    a.script(Step::failing(500, "api_error", "no").delay_head_ms(3_000));
    let request = Request::messages(&key.secret, whole());
    let leave = async {
        a.holds(1).await;
        let path = format!("/api/v2/account-groups/{id}");
        let changed = relay.admin("PUT", &path, &json!({"accountIds": [a.id]})).await;
        assert_eq!(changed.status, 200, "{}", changed.text());
    };
    let (answer, ()) = tokio::join!(relay.send(&request), leave);
    assert_eq!(answer.status, 500, "{}", answer.text());
    assert_eq!(b.received().len(), 0, "it had left the group");
}

async fn after_three_deltas_nobody_takes_over(store: Store) {
    let relay = Relay::start(store).await;
    let key = relay.key().await;
    let usage = Usage { input: Some(70), output: Some(9), ..Usage::default() };
    let ten = || Step::new().deltas(10).usage(usage);
    // Frames 0 to 2 are the start of the message, the start of the block and a ping.
    let cases = [
        (
            "an error event",
            ten().error_at_frame(6, "overloaded_error", "Overloaded"),
            "overloaded_error",
        ),
        ("a cut", ten().truncate_at_frame(6), "api_error"),
        ("a clean end without the last event", ten().end_at_frame(6), "api_error"),
        ("a cut, event by event", ten().delta_ms(10).truncate_at_frame(6), "api_error"),
    ];
    for (number, (name, failure, kind)) in cases.into_iter().enumerate() {
        let model = format!("claude-case-{number}");
        let (a, b) = pair(&relay, &model).await;
        a.script(failure);
        let answer = relay.send(&Request::messages(&key.secret, body(&model, true))).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert_eq!(answer.count_of("content_block_delta"), 3, "{name}");
        assert_ends_in_error(name, &answer, kind);
        assert_eq!(b.received().len(), 0, "{name}: asked twice");
        let record = settled(&relay, number + 1).await.pop().unwrap();
        assert_eq!(attempts(&record), [(a.id.as_str(), "broke_off_mid_stream")], "{name}");
        assert_eq!(record["outcome"], "upstream_failed", "{name}");
        assert_eq!(record["usage_source"], "partial", "{name}");
        assert_eq!(record["usage"]["input"], 70, "{name}");
        assert_eq!(totals(&relay, Scope::Account(&a.id)).input, 70, "{name}");
    }
}

/// The client has whole frames, an `error` event as the last of them, and an aborted body.
fn assert_ends_in_error(name: &str, answer: &Answer, kind: &str) {
    let events = answer.events();
    let last = events.last().unwrap();
    assert_eq!(last.name, "error", "{name}: {}", answer.text());
    assert_eq!(last.json()["type"], "error", "{name}");
    assert_eq!(last.json()["error"]["type"], kind, "{name}");
    assert_eq!(answer.count_of("message_stop"), 0, "{name}");
    assert_eq!(answer.end, End::Aborted, "{name}: a client would take it for a whole answer");
}

async fn a_cut_within_a_frame_leaks_no_broken_frame(store: Store) {
    let relay = Relay::start(store).await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let step = Step::new().text("你好，世界！再见。").deltas(5);
    let direct = Upstream::start().await;
    let mut cut_at = Vec::new();
    let whole = Upstream::first_answer(step.clone(), streamed()).await.text();
    let (head, _) =
        whole.split_at(whole.match_indices("event: content_block_delta").nth(3).unwrap().0);
    let frame = whole[head.len()..].find("\n\n").unwrap() + 2;
    // In the name, between the lines, in the data, and just before the empty line that ends the frame.
    cut_at.extend([3, 27, 40, frame - 1].map(|offset| head.len() + offset));
    for bytes in cut_at {
        account.script(step.clone().truncate_at_byte(bytes));
        let answer = relay.send(&Request::messages(&key.secret, streamed())).await;
        let expected = direct.answer(step.clone().truncate_at_byte(bytes), streamed()).await;
        assert_ends_in_error(&format!("cut at {bytes}"), &answer, "api_error");
        assert_eq!(answer.count_of("content_block_delta"), 3, "cut at {bytes}");
        let before = &expected.text()[..head.len()];
        assert!(answer.text().starts_with(before), "cut at {bytes}: {}", answer.text());
    }
}

async fn the_clients_own_fault_is_passed_through(store: Store) {
    let relay = Relay::start(store).await;
    let (a, b) = pair(&relay, MODEL).await;
    let key = relay.key().await;
    let words = "{\"type\":\"error\", \"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long: 213000 tokens > 200000 maximum\"}}";
    for (number, status) in [400, 413, 422].into_iter().enumerate() {
        a.script(Step::new().status(status).raw_body(words).header("x-should-retry", "false"));
        for (more, body) in [streamed(), whole()].into_iter().enumerate() {
            let answer = relay.send(&Request::messages(&key.secret, body)).await;
            assert_eq!((answer.status, answer.text().as_str()), (status, words));
            assert_eq!(answer.header("x-should-retry"), Some("false"));
            assert!(answer.header("request-id").unwrap().starts_with("req_sandbox_"));
            let record = settled(&relay, 2 * number + more + 1).await.pop().unwrap();
            assert_eq!(attempts(&record), [(a.id.as_str(), "client_fault")], "{status}");
        }
    }
    assert_eq!(b.received().len(), 0, "nobody else is asked");
    a.script(Step::new());
    assert_eq!(relay.send(&Request::messages(&key.secret, whole())).await.status, 200);
    assert_eq!(b.received().len(), 0, "nobody is penalised");
    settled(&relay, 7).await;
    assert_eq!(totals(&relay, Scope::Key(&key.id)).requests, 1, "a refusal is no usage");
}

async fn trouble_of_the_only_account_is_told_as_such(store: Store) {
    let relay = Relay::start(store).await;
    let key = relay.key().await;
    let cases = [
        (401, "authentication_error", 529),
        (403, "permission_error", 529),
        (402, "billing_error", 529),
        (529, "overloaded_error", 529),
    ];
    for (number, (upstream, kind, expected)) in cases.into_iter().enumerate() {
        let model = format!("claude-case-{number}");
        let settings = AccountSettings::new(&model).models(json!({&model: &model}));
        let account = relay.account(settings).await;
        account.script(Step::failing(upstream, kind, "your account is unwell"));
        let answer = relay.send(&Request::messages(&key.secret, body(&model, true))).await;
        assert_eq!(answer.status, expected, "{upstream}: {}", answer.text());
        assert_eq!(answer.json()["error"]["type"], "overloaded_error", "{upstream}");
    }
}

async fn a_head_that_does_not_come_is_not_asked_for_twice(store: Store) {
    let relay = Relay::with(store).env("RELAY_HEAD_TIMEOUT_SECONDS", "1").start().await;
    let (a, b) = pair(&relay, MODEL).await;
    let key = relay.key().await;
    a.script(Step::holding());
    let answer = relay.send(&Request::messages(&key.secret, streamed())).await;
    assert_eq!(answer.status, 504, "{}", answer.text());
    assert_eq!(answer.json()["error"]["type"], "timeout_error");
    assert_eq!(b.received().len(), 0, "the first may be at work on it, and would be paid twice");
    let record = the_record(&relay).await;
    assert_eq!(attempts(&record), [(a.id.as_str(), "timed_out")]);
    assert_eq!(record["usage_source"], "estimated", "nor is it free: {record}");
    assert!(0 < record["usage"]["input"].as_i64().unwrap(), "{record}");
    a.holds(0).await;
}
