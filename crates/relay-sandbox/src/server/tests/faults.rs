//! Every way to misbehave, seen from the client and in the records.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::{End, KEY, Running, bound, eventually, read_until, running};
use crate::recorder::{Outcome, RecordedRequest};
use crate::script::Step;

const STREAM: &str = r#"{"model":"m","stream":true}"#;
const WHOLE: &str = r#"{"model":"m"}"#;
const HOUR_MS: u64 = 3_600_000;

fn only_record(sandbox: &Running) -> RecordedRequest {
    let mut requests = sandbox.handle.requests().requests;
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

#[tokio::test]
async fn a_broken_stream_ends_where_the_script_says() {
    let text = || Step::new().text("abcd").deltas(4); // Ten frames: deltas are 3 to 6.
    let cases = [
        ("unbroken", text(), 10, "message_stop", End::Proper, Outcome::Complete),
        (
            "cut at a frame",
            text().truncate_at_frame(5),
            5,
            "content_block_delta",
            End::Cut,
            Outcome::Cut,
        ),
        ("cut before the first", text().truncate_at_frame(0), 0, "", End::Cut, Outcome::Cut),
        (
            "clean end without message_stop",
            text().end_at_frame(9),
            9,
            "message_delta",
            End::Proper,
            Outcome::Complete,
        ),
        ("clean end, no event", text().end_at_frame(0), 0, "", End::Proper, Outcome::Complete),
        (
            "error first",
            text().error_at_frame(0, "overloaded_error", "x"),
            1,
            "error",
            End::Proper,
            Outcome::Complete,
        ),
        (
            "error later",
            text().error_at_frame(6, "api_error", "x"),
            7,
            "error",
            End::Proper,
            Outcome::Complete,
        ),
        ("line ends", text().crlf(), 10, "message_stop", End::Proper, Outcome::Complete),
        (
            "slow, then cut",
            text().delta_ms(1).truncate_at_frame(2),
            2,
            "content_block_start",
            End::Cut,
            Outcome::Cut,
        ),
        (
            "pieces, then cut",
            text().chunk_bytes(7).truncate_at_frame(3),
            3,
            "ping",
            End::Cut,
            Outcome::Cut,
        ),
    ];
    for (name, step, frames, last, end, outcome) in cases {
        let sandbox = running().await;
        sandbox.script(step);
        let answer = sandbox.messages(STREAM).await;
        let events = answer.events();
        assert_eq!((answer.status, events.len(), answer.end), (200, frames, end), "{name}");
        assert_eq!(events.last().map_or("", |(event, _)| event), last, "{name}");
        let record = only_record(&sandbox);
        assert_eq!((record.outcome, record.frames_sent), (outcome, frames as u64), "{name}");
        assert!(record.closed_at_ms.is_some_and(|closed| closed >= record.arrived_ms), "{name}");
    }
}

#[tokio::test]
async fn crlf_changes_line_ends_and_nothing_else() {
    let (plain, crlf) = (running().await, running().await);
    crlf.script(Step::new().crlf());
    let plain = plain.messages(STREAM).await;
    assert_eq!(crlf.messages(STREAM).await.text(), plain.text().replace('\n', "\r\n"));
}

#[tokio::test]
async fn a_cut_happens_at_the_very_byte() {
    let whole = running().await.messages(WHOLE).await.body;
    let stream = running().await.messages(STREAM).await.body;
    for (body, full) in [(WHOLE, &whole), (STREAM, &stream)] {
        for at in [0, 1, 100, full.len() - 1] {
            let sandbox = running().await;
            sandbox.script(Step::new().truncate_at_byte(at));
            let answer = sandbox.messages(body).await;
            assert_eq!(answer.body, full[..at], "{body} cut at {at}");
            assert_eq!(answer.end, End::Cut, "{body} cut at {at}");
            assert_eq!(only_record(&sandbox).outcome, Outcome::Cut, "{body} cut at {at}");
        }
    }
    let sandbox = running().await;
    sandbox.script(Step::new().truncate_at_byte(stream.len()));
    let answer = sandbox.messages(STREAM).await;
    assert_eq!((answer.body, answer.end), (stream, End::Cut), "all bytes, but no last chunk");
    let sandbox = running().await;
    sandbox.script(Step::new().truncate_at_byte(whole.len()));
    let answer = sandbox.messages(WHOLE).await;
    assert_eq!((answer.body, answer.end), (whole, End::Proper), "the length says it is over");
    assert_eq!(only_record(&sandbox).outcome, Outcome::Complete, "the length says it is over");
}

#[tokio::test]
async fn a_whole_answer_in_pieces_is_complete() {
    let sandbox = running().await;
    sandbox.script(Step::new().chunk_bytes(3));
    let answer = sandbox.messages(WHOLE).await;
    assert_eq!((answer.json()["type"].as_str(), answer.end), (Some("message"), End::Proper));
    let record = only_record(&sandbox);
    assert_eq!((record.outcome, record.frames_sent), (Outcome::Complete, 1));
}

#[tokio::test]
async fn errors_have_the_providers_body_and_the_scripts_headers() {
    let cases = [
        (
            "status and error",
            Step::failing(529, "overloaded_error", "Overloaded"),
            529,
            "overloaded_error",
        ),
        ("status alone", Step::new().status(429), 429, "rate_limit_error"),
        ("unknown status", Step::new().status(418), 418, "invalid_request_error"),
        ("unknown server status", Step::new().status(503), 503, "api_error"),
    ];
    for (name, step, status, kind) in cases {
        for body in [STREAM, WHOLE, "not JSON"] {
            let sandbox = running().await;
            sandbox.script(step.clone().header("Retry-After", "7").header("request-id", "req_own"));
            let answer = sandbox.messages(body).await;
            assert_eq!((answer.status, answer.end), (status, End::Proper), "{name}");
            assert_eq!(answer.json()["error"]["type"], kind, "{name}");
            assert_eq!(answer.header("retry-after"), Some("7"), "{name}");
            assert_eq!(answer.header("request-id"), Some("req_own"), "{name}");
        }
    }
    let sandbox = running().await;
    let script = r#"{"steps":[{"error":{"type":"billing_error"}}]}"#;
    sandbox.handle.set_script(KEY, serde_json::from_str::<crate::Script>(script).unwrap()).unwrap();
    assert_eq!(sandbox.messages(WHOLE).await.status, 402, "the status belongs to the type");
}

#[tokio::test]
async fn a_raw_body_is_sent_as_it_is() {
    let html = Step::new()
        .status(502)
        .header("content-type", "text/html")
        .raw_body("<h1>Bad gateway</h1>");
    let events = Step::new()
        .header("content-type", "text/event-stream")
        .raw_body("data: 1\n\ndata: 2\n\n: rest");
    let cases = [
        ("JSON by default", Step::new().raw_body("{broken"), 200, "{broken", 0),
        ("a page of a proxy", html, 502, "<h1>Bad gateway</h1>", 0),
        ("empty", Step::new().status(500).raw_body(""), 500, "", 0),
        ("a stream in frames", events, 200, "data: 1\n\ndata: 2\n\n: rest", 3),
    ];
    for (name, step, status, body, chunks) in cases {
        let sandbox = running().await;
        sandbox.script(step);
        let answer = sandbox.messages(STREAM).await;
        assert_eq!(
            (answer.status, answer.text(), answer.end),
            (status, body, End::Proper),
            "{name}"
        );
        assert_eq!(answer.chunks.len(), chunks, "{name}");
    }
}

#[tokio::test]
async fn a_refused_request_sees_a_reset_and_no_byte() {
    let sandbox = running().await;
    sandbox.script(Step::refusing());
    let answer = sandbox.messages(STREAM).await;
    assert_eq!((answer.body.len(), answer.end), (0, End::Reset));
    assert_eq!(only_record(&sandbox).outcome, Outcome::Cut);
}

#[tokio::test(start_paused = true)]
async fn delays_and_silences_last_as_long_as_the_script_says() {
    let text = || Step::new().text("abc").deltas(3); // Nine frames: eight gaps.
    let cases = [
        ("before the head", text().delay_head_ms(HOUR_MS), HOUR_MS),
        ("in mid-stream", text().silence_after_frame(3, HOUR_MS), HOUR_MS),
        ("between frames", text().delta_ms(HOUR_MS), 8 * HOUR_MS),
    ];
    for (name, step, pause_ms) in cases {
        let sandbox = running().await;
        sandbox.script(step);
        assert_eq!(sandbox.messages(STREAM).await.events().len(), 9, "{name}");
        let record = only_record(&sandbox);
        let took_ms = record.closed_at_ms.unwrap() - record.arrived_ms;
        assert!((pause_ms..pause_ms + HOUR_MS).contains(&took_ms), "{name}: {took_ms}");
    }
}

#[tokio::test]
async fn silence_comes_after_its_frame_has_gone_out() {
    let sandbox = running().await;
    sandbox.script(Step::new().silence_after_frame(2, HOUR_MS));
    let mut stream = sandbox.open("POST /v1/messages", &[("x-api-key", KEY)], STREAM).await;
    read_until(&mut stream, "event: ping\ndata: {\"type\":\"ping\"}\n\n").await;
    let record = only_record(&sandbox);
    assert_eq!((record.outcome, record.frames_sent), (Outcome::Open, 3));
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed() {
    let cases = [
        ("in a slow stream", Step::new().delta_ms(HOUR_MS), Some("message_start"), 1),
        ("in silence", Step::new().silence_after_frame(1, HOUR_MS), Some("content_block_start"), 2),
        ("before the head", Step::holding(), None, 0),
        ("during the delay", Step::new().delay_head_ms(HOUR_MS), None, 0),
    ];
    for (name, step, seen, frames) in cases {
        let sandbox = running().await;
        sandbox.script(step);
        let mut stream = sandbox.open("POST /v1/messages", &[("x-api-key", KEY)], STREAM).await;
        if let Some(event) = seen {
            read_until(&mut stream, event).await;
        }
        let handle = &sandbox.handle;
        eventually(name, || handle.requests().requests.len() == 1).await;
        assert_eq!(only_record(&sandbox).outcome, Outcome::Open, "{name}");
        assert_eq!(handle.state().requests_in_flight, 1, "{name}");
        assert_eq!(handle.state().streams_in_flight, u64::from(seen.is_some()), "{name}");
        drop(stream);
        eventually(name, || only_record(&sandbox).outcome == Outcome::ClientClosed).await;
        let record = only_record(&sandbox);
        assert_eq!(record.frames_sent, frames, "{name}");
        assert!(record.closed_at_ms >= Some(record.arrived_ms), "{name}");
        eventually(name, || {
            handle.state().requests_in_flight + handle.state().open_connections == 0
        })
        .await;
    }
}

#[tokio::test]
async fn stopping_does_not_wait_for_open_streams() {
    let (sandbox, stop, tasks) = (bound().await, CancellationToken::new(), TaskTracker::new());
    let handle = sandbox.handle();
    handle.set_script(KEY, Step::holding()).unwrap();
    let served = tasks.spawn(sandbox.serve(stop.clone()));
    let running = Running { handle: handle.clone(), _stop: CancellationToken::new().drop_guard() };
    let _held = running.open("POST /v1/messages", &[("x-api-key", KEY)], STREAM).await;
    eventually("the request is held", || handle.state().requests_in_flight == 1).await;
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), served).await.expect("serve returns").unwrap();
    assert_eq!(handle.state().open_connections, 0);
}
