use bytes::Bytes;
use http_body_util::BodyExt as _;
use relay_domain::{KeyId, Outcome, Platform, RequestId, RequestTimes, Timestamp};
use relay_protocol::anthropic::read_message;
use relay_store::Ledger as _;
use relay_store::contract::fixture::account;
use relay_testkit::eventually;
use tokio::time::Instant;

use super::*;
use crate::admission::tests::{ASKED, let_in};
use crate::fixture::Bench;
use crate::journey::Relay;
use crate::upload::Upload;

/// The record of a request of the key `key` that has just begun.
pub(crate) fn record(key: &str, model: &str) -> RequestRecord {
    let now = Timestamp::from_millis(1_767_225_600_000);
    RequestRecord {
        id: RequestId::new(now, 7),
        key: KeyId::try_from(key).unwrap(),
        group: None,
        platform: Platform::ClaudeConsole,
        model: ModelName::try_from(model).unwrap(),
        served_model: None,
        account: None,
        stream: true,
        outcome: Outcome::ClientGone,
        status: 0,
        started_at: now,
        times: RequestTimes::default(),
        usage: TokenUsage::ZERO,
        usage_source: UsageSource::None,
        terms: ServedTerms::default(),
        settled_at: None,
        cost: Some(NanoUsd::ZERO),
        presumed_cost: None,
        cost_by_kind: None,
        charged: Some(NanoUsd::ZERO),
        attempts: Vec::new(),
        edits: Vec::new(),
        decision: Vec::new(),
    }
}

#[tokio::test]
async fn what_the_next_attempt_tells_is_kept_at_once() {
    const START: &[u8] = b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":\
        {\"id\":\"m\",\"model\":\"claude-sonnet-5\",\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n";
    let bench = Bench::new();
    bench.key(|_| {}).await;
    let relay = Relay::new(&bench.engine(None).await);
    let mut flight = let_in(&relay, ASKED).await.unwrap();
    for name in ["one", "two"] {
        flight.attempt_begins(&account(name));
        let mut tap = StreamTap::default();
        tap.feed(START);
        flight.watch(&tap, Instant::now());
        flight.attempt_failed(AttemptOutcome::BrokeOffMidStream, Some(200));
    }
    let told = || -> Vec<String> {
        let checkpoints = bench.ledger.checkpoints.lock().unwrap();
        let progress = checkpoints.iter().filter_map(|checkpoint| checkpoint.progress.as_ref());
        let told = progress.filter(|progress| progress.usage_source != UsageSource::None);
        told.map(|progress| progress.account.to_string()).collect()
    };
    eventually("a checkpoint of each attempt", async || told() == ["one", "two"]).await;
}

/// What a request came to whose answer, streamed and whole, had this usage and this text.
async fn came_to(usage: Option<&str>, text: &str) -> [(UsageSource, [u64; 2], Option<NanoUsd>); 2] {
    let bench = Bench::new();
    bench.key(|_| {}).await;
    let relay = Relay::new(&bench.engine(None).await);
    let mut streamed = let_in(&relay, ASKED).await.unwrap();
    let member = usage.map_or(String::new(), |usage| format!(",\"usage\":{usage}"));
    let model = r#""model":"claude-sonnet-5""#;
    let start = format!(r#"{{"message":{{{model}{member}}}}}"#);
    let delta = format!(r#"{{"delta":{{"type":"text_delta","text":"{text}"}}}}"#);
    let end = format!(r#"{{"delta":{{"stop_reason":"end_turn"}}{member}}}"#);
    let events = [
        ("message_start", start.as_str()),
        ("content_block_delta", delta.as_str()),
        ("message_delta", end.as_str()),
        ("message_stop", "{}"),
    ];
    let said = events.iter().filter(|(name, _)| !text.is_empty() || !name.starts_with("content"));
    let frames = said.map(|(name, data)| format!("event: {name}\ndata: {data}\n\n"));
    let events = frames.collect::<Vec<_>>().concat();
    let mut tap = StreamTap::default();
    tap.feed(events.as_bytes());
    streamed.watch(&tap, Instant::now());
    streamed.count_end(&tap);
    let mut whole = let_in(&relay, ASKED).await.unwrap();
    let content = if text.is_empty() {
        "[]".to_owned()
    } else {
        format!(r#"[{{"type":"text","text":"{text}"}}]"#)
    };
    let body = format!(r#"{{{model},"content":{content}{member}}}"#);
    whole.count_whole(&read_message(body.as_bytes()));
    [streamed, whole].map(|flight| {
        let RequestRecord { usage, usage_source, cost, .. } = flight.record.clone();
        (usage_source, [usage.input.get(), usage.output.get()], cost)
    })
}

#[tokio::test]
async fn what_the_provider_did_not_count_is_reckoned_by_its_length_streamed_or_not() {
    let text = "x".repeat(8_000);
    let input = u64::try_from(ASKED.len().div_ceil(4)).unwrap();
    for usage in [None, Some("{}"), Some(r#"{"input_tokens":0,"output_tokens":0}"#)] {
        for (source, [of_input, of_output], cost) in came_to(usage, &text).await {
            assert_eq!((source, of_input), (UsageSource::Estimated, input), "{usage:?}");
            assert!((1_980..2_010).contains(&of_output), "{usage:?}: {of_output}");
            assert!(cost > Some(NanoUsd::from_nanos(1_980 * 10_000)), "{usage:?}: {cost:?}");
        }
        for (source, tokens, cost) in came_to(usage, "").await {
            assert_ne!(source, UsageSource::Estimated, "nothing was said: {usage:?}");
            assert_eq!((tokens, cost), ([0, 0], Some(NanoUsd::ZERO)));
        }
    }
    for (source, tokens, _) in came_to(Some(r#"{"input_tokens":3,"output_tokens":9}"#), &text).await
    {
        assert_eq!((source, tokens), (UsageSource::Final, [3, 9]), "the provider's word counts");
    }
}

/// What a stream came to that began with a usage of 100 and 1 and had this text, and then `end`.
async fn began_and_ended(text: &str, end: &str) -> (UsageSource, [u64; 2]) {
    let bench = Bench::new();
    bench.key(|_| {}).await;
    let relay = Relay::new(&bench.engine(None).await);
    let mut flight = let_in(&relay, ASKED).await.unwrap();
    let start =
        r#"{"message":{"model":"claude-sonnet-5","usage":{"input_tokens":100,"output_tokens":1}}}"#;
    let delta = format!(r#"{{"delta":{{"type":"text_delta","text":"{text}"}}}}"#);
    let mut tap = StreamTap::default();
    for (name, data) in [("message_start", start), ("content_block_delta", &delta)] {
        tap.feed(format!("event: {name}\ndata: {data}\n\n").as_bytes());
    }
    tap.feed(end.as_bytes());
    flight.watch(&tap, Instant::now());
    flight.count_end(&tap);
    let RequestRecord { usage, usage_source, .. } = flight.record.clone();
    (usage_source, [usage.input.get(), usage.output.get()])
}

#[tokio::test]
async fn output_that_the_end_does_not_tell_is_reckoned_by_its_length() {
    const STOP: &str = "event: message_stop\ndata: {}\n\n";
    let bare = format!("event: message_delta\ndata: {{\"delta\":{{}},\"usage\":{{}}}}\n\n{STOP}");
    let told = bare.replace("\"usage\":{}", "\"usage\":{\"output_tokens\":40}");
    let long = "x".repeat(8_000);
    for (name, end) in [("stopped", STOP), ("an empty delta", &bare), ("cut off", "")] {
        let (source, [input, output]) = began_and_ended(&long, end).await;
        assert_eq!((source, input), (UsageSource::Partial, 100), "{name}");
        assert!((1_980..2_010).contains(&output), "{name}: {output}");
    }
    assert_eq!(began_and_ended(&long, &told).await, (UsageSource::Final, [100, 40]));
    assert_eq!(began_and_ended("x", STOP).await, (UsageSource::Partial, [100, 1]));
}

#[tokio::test]
async fn a_whole_answer_that_tells_no_output_of_what_it_says_is_reckoned_too() {
    let bench = Bench::new();
    bench.key(|_| {}).await;
    let relay = Relay::new(&bench.engine(None).await);
    for (usage, source, [low, high]) in [
        (r#"{"input_tokens":100}"#, UsageSource::Partial, [1_980, 2_010]),
        (r#"{"input_tokens":100,"output_tokens":0}"#, UsageSource::Partial, [1_980, 2_010]),
        (r#"{"input_tokens":100,"output_tokens":7}"#, UsageSource::Final, [7, 8]),
    ] {
        let mut flight = let_in(&relay, ASKED).await.unwrap();
        let text = "x".repeat(8_000);
        let body = format!(
            r#"{{"model":"claude-sonnet-5","content":[{{"type":"text","text":"{text}"}}],"usage":{usage}}}"#
        );
        flight.count_whole(&read_message(body.as_bytes()));
        assert_eq!((flight.record.usage_source, flight.record.usage.input.get()), (source, 100));
        let output = flight.record.usage.output.get();
        assert!((low..high).contains(&output), "{usage}: {output}");
    }
}

/// The end of a request on which an upstream was at work, after `then`, and its client gone.
async fn left(is_sent: bool, then: impl FnOnce(&mut Flight)) -> (Bench, RequestRecord) {
    let bench = Bench::new();
    bench.key(|_| {}).await;
    let relay = Relay::new(&bench.engine(None).await);
    let mut flight = let_in(&relay, ASKED).await.unwrap();
    let (mut body, sent) = Upload::new(Bytes::from_static(ASKED.as_bytes()));
    flight.attempt_begins(&account("one"));
    flight.uploads(sent);
    if is_sent {
        body.frame().await.unwrap().unwrap();
    }
    then(&mut flight);
    drop(flight);
    eventually("it is settled", async || !bench.ledger.settlements.lock().unwrap().is_empty())
        .await;
    let record = bench.ledger.settlements.lock().unwrap()[0].record.clone();
    (bench, record)
}

#[tokio::test]
async fn who_leaves_before_the_answer_pays_for_what_the_upstream_was_sent() {
    let input = u64::try_from(ASKED.len().div_ceil(4)).unwrap();
    let (_, record) = left(true, |_| ()).await;
    assert_eq!(
        (record.outcome, record.usage_source),
        (Outcome::ClientGone, UsageSource::Estimated)
    );
    assert_eq!((record.usage.input.get(), record.usage.output.get()), (input, 0));
    assert!(record.charged > Some(NanoUsd::ZERO), "{record:?}");
    let failed = |flight: &mut Flight| flight.attempt_failed(AttemptOutcome::BrokeOff, None);
    for (name, (_, record)) in [
        ("it was not sent whole", left(false, |_| ()).await),
        ("the answer was an error", left(true, Flight::is_refused).await),
        ("the attempt failed", left(true, failed).await),
    ] {
        assert_eq!(record.usage_source, UsageSource::None, "{name}");
        assert_eq!(
            (record.usage, record.charged),
            (TokenUsage::ZERO, Some(NanoUsd::ZERO)),
            "{name}"
        );
    }
}

#[tokio::test]
async fn what_the_upstream_was_sent_is_kept_if_it_takes_its_time() {
    let (_, record) =
        left(false, |flight| assert!(!flight.keep_sent(), "it has not gone yet")).await;
    assert_eq!(record.usage_source, UsageSource::None);
    let (bench, record) = left(true, |flight| assert!(flight.keep_sent())).await;
    eventually("it is kept", async || bench.ledger.checkpoints.lock().unwrap().len() == 1).await;
    let checkpoints = bench.ledger.checkpoints.lock().unwrap();
    let told = checkpoints[0].progress.as_ref().unwrap();
    assert_eq!((told.usage_source, told.usage), (UsageSource::Estimated, record.usage));
    assert_eq!((told.cost, told.charged), (record.cost, record.charged));
}

/// The process dies: what the reaper makes of the only request that is held.
async fn orphaned(bench: &Bench) -> RequestRecord {
    let long_after = Timestamp::from_millis(u64::from(u32::MAX) * 1_000);
    let reaped = bench.ledger.reap(long_after, 10).await.unwrap();
    let [orphan] = &reaped[..] else { panic!("one request: {reaped:?}") };
    orphan.clone()
}

#[tokio::test]
async fn what_was_kept_of_an_attempt_that_owes_nothing_is_withdrawn() {
    let bench = Bench::new();
    bench.key(|_| {}).await;
    let relay = Relay::new(&bench.engine(None).await);
    let mut flight = let_in(&relay, ASKED).await.unwrap();
    let sent_to = async |flight: &mut Flight, name: &str| {
        let (mut body, sent) = Upload::new(Bytes::from_static(ASKED.as_bytes()));
        flight.attempt_begins(&account(name));
        flight.uploads(sent);
        body.frame().await.unwrap().unwrap();
    };
    let kept = || bench.ledger.checkpoints.lock().unwrap().len();

    sent_to(&mut flight, "one").await;
    flight.is_refused();
    flight.attempt_failed(AttemptOutcome::Overloaded, Some(529));
    sent_to(&mut flight, "two").await;
    assert!(flight.keep_sent());
    flight.is_refused();
    flight.attempt_failed(AttemptOutcome::Overloaded, Some(529));
    sent_to(&mut flight, "three").await;
    eventually("what was kept of the second is withdrawn", async || kept() == 2).await;
    flight.is_refused();
    flight.attempt_failed(AttemptOutcome::Overloaded, Some(529));
    sent_to(&mut flight, "four").await;
    tokio::task::yield_now().await;
    assert_eq!(kept(), 2, "nothing was kept of the others");
    let orphan = orphaned(&bench).await;
    assert_eq!((orphan.usage_source, orphan.usage), (UsageSource::None, TokenUsage::ZERO));
    assert_eq!(orphan.account, None);
}

#[tokio::test]
async fn what_is_kept_of_the_next_attempt_replaces_what_was_withdrawn() {
    let bench = Bench::new();
    bench.key(|_| {}).await;
    let relay = Relay::new(&bench.engine(None).await);
    let mut flight = let_in(&relay, ASKED).await.unwrap();
    for name in ["one", "two"] {
        let (mut body, sent) = Upload::new(Bytes::from_static(ASKED.as_bytes()));
        flight.attempt_begins(&account(name));
        flight.uploads(sent);
        body.frame().await.unwrap().unwrap();
        assert!(flight.keep_sent());
        if name == "one" {
            flight.attempt_failed(AttemptOutcome::BrokeOff, None);
        }
    }
    let kept = || bench.ledger.checkpoints.lock().unwrap().len();
    eventually("both are kept, and the first withdrawn", async || kept() == 3).await;
    let orphan = orphaned(&bench).await;
    assert_eq!(orphan.usage_source, UsageSource::Estimated);
    assert_eq!(orphan.account, Some(account("two").id));
}
