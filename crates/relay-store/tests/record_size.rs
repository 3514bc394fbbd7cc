//! A record is small whatever happened: nothing that a client or a provider said is in it but names, and
//! those have a greatest length.

#![cfg(feature = "contract")]
#![expect(clippy::unwrap_used, reason = "what fails fails the test")]

use relay_domain::{
    AccountId, AttemptOutcome, AttemptRecord, Edit, GroupId, KeyId, ModelName, NanoUsd,
    RequestRecord, RequestTimes, TokenCount, TokenUsage,
};
use relay_store::StoredRecord;
use relay_store::contract::fixture::rich_record;

/// No row of any store is larger.
const LARGEST: usize = 4_096;

#[test]
fn the_largest_record_is_a_small_row() {
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
    let largest = RequestRecord {
        key: KeyId::try_from(id.as_str()).unwrap(),
        group: Some(GroupId::try_from(id.as_str()).unwrap()),
        model: model(),
        served_model: Some(model()),
        account: Some(account()),
        times: RequestTimes {
            queued_us: None,
            connected_us: Some(1_000),
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
        charged: Some(NanoUsd::from_nanos(i64::MIN)),
        attempts: vec![attempt; 5],
        edits: vec![Edit::Model { to: name.clone() }],
        ..rich_record(0, "k")
    };
    let row = serde_json::to_string(&StoredRecord::from(largest)).unwrap();
    assert!(row.len() <= LARGEST, "{} bytes: {row}", row.len());
}
