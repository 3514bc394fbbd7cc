//! A record is small whatever happened: nothing that a client or a provider said is in it but names, and
//! those have a greatest length.

#![cfg(feature = "contract")]
#![expect(clippy::unwrap_used, reason = "what fails fails the test")]

use relay_domain::{
    AccountId, AttemptOutcome, AttemptRecord, Edit, GroupId, KeyId, ModelName, NanoUsd,
    RequestRecord, RequestTimes, Timestamp, TokenCount, TokenUsage, VerdictRecord,
};
use relay_store::contract::fixture::rich_record;
use relay_store::{LARGEST_RECORD, StoredRecord};

/// A record of which every name is as long as it may be and has to be escaped.
fn largest() -> RequestRecord {
    // Each of these bytes takes two in JSON.
    let name = "\"".repeat(256);
    let model = || ModelName::try_from(name.as_str()).unwrap();
    let id = "\\".repeat(64);
    let account = || AccountId::try_from(id.as_str()).unwrap();
    let count = TokenCount::new(u64::MAX);
    let attempt = AttemptRecord {
        account: account(),
        outcome: AttemptOutcome::BrokeOffMidStream,
        status: Some(u16::MAX),
        started_us: u64::MAX,
        took_us: u64::MAX,
    };
    let verdict = VerdictRecord {
        account: account(),
        verdict: "model_rate_limited_for_this_account".into(),
        until: Some(Timestamp::from_millis(u64::MAX)),
    };
    RequestRecord {
        key: KeyId::try_from(id.as_str()).unwrap(),
        group: Some(GroupId::try_from(id.as_str()).unwrap()),
        model: model(),
        served_model: Some(model()),
        account: Some(account()),
        times: RequestTimes {
            queued_us: Some(u64::MAX),
            connected_us: Some(u64::MAX),
            admitted_us: Some(u64::MAX),
            sent_us: Some(u64::MAX),
            head_us: Some(u64::MAX),
            first_content_us: Some(u64::MAX),
            end_us: Some(u64::MAX),
            longest_stall_us: u64::MAX,
            added_us: Some(u64::MAX),
        },
        usage: TokenUsage {
            input: count,
            output: count,
            cache_read: count,
            cache_write_5m: count,
            cache_write_1h: count,
        },
        cost: Some(NanoUsd::from_nanos(i64::MIN)),
        presumed_cost: Some(NanoUsd::from_nanos(i64::MIN)),
        charged: Some(NanoUsd::from_nanos(i64::MIN)),
        attempts: vec![attempt; 5],
        decision: vec![verdict; RequestRecord::MAX_DECISION],
        edits: vec![Edit::Model { to: name.clone() }],
        ..rich_record(0, "k")
    }
}

fn row(record: RequestRecord) -> String {
    serde_json::to_string(&StoredRecord::from(record)).unwrap()
}

fn read(row: &str) -> RequestRecord {
    serde_json::from_str::<StoredRecord>(row).unwrap().into()
}

#[test]
fn the_largest_record_is_a_small_row() {
    let whole = largest();
    for attempts in [0, 1, 5, 100] {
        for decision in [0, 1, RequestRecord::MAX_DECISION] {
            let attempts = vec![whole.attempts[0].clone(); attempts];
            let decision = vec![whole.decision[0].clone(); decision];
            let row = row(RequestRecord { attempts, decision, ..whole.clone() });
            assert!(row.len() <= LARGEST_RECORD, "{} bytes: {row}", row.len());
        }
    }
}

#[test]
fn what_does_not_fit_are_the_first_attempts_and_the_last_verdicts() {
    let mut whole = largest();
    whole.attempts = vec![whole.attempts[0].clone(); 20];
    whole.attempts[19].took_us = 1;
    let kept = read(&row(whole.clone()));
    assert!((2..20).contains(&kept.attempts.len()), "{}", kept.attempts.len());
    assert_eq!(kept.attempts.last(), whole.attempts.last());
    let rest = RequestRecord { attempts: Vec::new(), decision: Vec::new(), ..whole };
    let fewer = RequestRecord { attempts: Vec::new(), decision: Vec::new(), ..kept };
    assert_eq!(fewer, rest);
    let mut whole = largest();
    whole.attempts.clear();
    whole.decision[0].until = None;
    let kept = read(&row(whole.clone()));
    assert_eq!(kept.decision[..2], whole.decision[..2]);
    assert!(kept.decision.len() < whole.decision.len());
}

#[test]
fn with_usual_names_every_verdict_fits() {
    let id = "0f8fad5b-d9cb-469f-a165-70867728950e";
    let account = || AccountId::try_from(id).unwrap();
    let mut whole = RequestRecord {
        key: KeyId::try_from(id).unwrap(),
        group: Some(GroupId::try_from(id).unwrap()),
        account: Some(account()),
        model: ModelName::try_from("claude-sonnet-4-5-20250929").unwrap(),
        served_model: Some(ModelName::try_from("claude-sonnet-4-5-20250929").unwrap()),
        edits: Vec::new(),
        ..largest()
    };
    for attempt in &mut whole.attempts {
        attempt.account = account();
    }
    for verdict in &mut whole.decision {
        verdict.account = account();
        verdict.verdict = "rate_limited".into();
        verdict.until = None;
    }
    whole.attempts.truncate(2);
    let kept = read(&row(whole.clone()));
    assert_eq!(kept.attempts, whole.attempts);
    assert!(kept.decision.len() >= 18, "{}", kept.decision.len());
}
