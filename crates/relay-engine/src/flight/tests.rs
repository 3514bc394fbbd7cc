use relay_domain::{KeyId, Outcome, Platform, RequestId, RequestTimes, Timestamp};

use super::*;

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
