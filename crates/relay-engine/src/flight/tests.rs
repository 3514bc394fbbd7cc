use relay_domain::{KeyId, Outcome, Platform, RequestId, RequestTimes, Timestamp};
use relay_store::contract::fixture::account;
use relay_testkit::eventually;

use super::*;
use crate::admission::tests::{ASKED, let_in};
use crate::fixture::Bench;
use crate::journey::Relay;

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
        flight.watch(&tap, Tick::now());
        flight.attempt_failed(AttemptOutcome::BrokeOffMidStream, Some(200));
    }
    let told = || -> Vec<String> {
        let checkpoints = bench.ledger.checkpoints.lock().unwrap();
        let progress = checkpoints.iter().filter_map(|checkpoint| checkpoint.progress.as_ref());
        progress.map(|progress| progress.account.to_string()).collect()
    };
    eventually("a checkpoint of each attempt", async || told() == ["one", "two"]).await;
}
