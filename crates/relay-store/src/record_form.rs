//! The form in which both adapters keep a request's record.

use relay_domain::{
    AccountId, AttemptRecord, CostBreakdown, Edit, GroupId, KeyId, ModelName, NanoUsd, Outcome,
    Platform, RequestId, RequestRecord, RequestTimes, ServedTerms, Timestamp, TokenUsage,
    UsageSource, VerdictRecord,
};
use serde::{Deserialize, Serialize};

/// A [`RequestRecord`] as JSON. Fields may be added; a reader of an older version passes over them.
#[derive(Debug, Deserialize, Serialize)]
pub struct StoredRecord {
    id: RequestId,
    key: KeyId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<GroupId>,
    platform: Platform,
    model: ModelName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    served_model: Option<ModelName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<AccountId>,
    stream: bool,
    outcome: Outcome,
    status: u16,
    started_at: Timestamp,
    times: RequestTimes,
    usage: TokenUsage,
    usage_source: UsageSource,
    #[serde(default, skip_serializing_if = "ServedTerms::are_usual")]
    terms: ServedTerms,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settled_at: Option<Timestamp>,
    cost: Option<NanoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    presumed_cost: Option<NanoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "as_kinds")]
    cost_by_kind: Option<CostBreakdown>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    charged: Option<NanoUsd>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<AttemptRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    edits: Vec<Edit>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    decision: Vec<VerdictRecord>,
}

/// Six numbers: with their names they would be a quarter of the record.
pub(crate) mod as_kinds {
    use relay_domain::{CostBreakdown, NanoUsd};
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    #[expect(clippy::ref_option, reason = "serde asks for it")]
    pub(crate) fn serialize<S: Serializer>(
        cost: &Option<CostBreakdown>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        cost.map(|cost| cost.kinds()).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<CostBreakdown>, D::Error> {
        let kinds = Option::<[NanoUsd; 6]>::deserialize(from)?;
        Ok(kinds.map(CostBreakdown::of_kinds))
    }
}

/// No record takes more bytes: what is beyond is left out of it, the last verdicts first, then the first attempts.
pub const LARGEST_RECORD: usize = 4_096;
/// What everything but names, attempts and verdicts takes at most.
const NUMBERS_TAKE: usize = 1_480;
/// What an attempt, and a verdict, takes at most beside its names.
const ATTEMPT_TAKES: usize = 150;
const VERDICT_TAKES: usize = 64;

/// A record that fits: where names are so long that it would not, the last verdicts are left out, and if that
/// is not enough, the first attempts.
fn fitting(mut record: RequestRecord) -> RequestRecord {
    let RequestRecord { key, group, model, served_model, account, edits, .. } = &record;
    let names = [
        Some(key.as_str()),
        group.as_ref().map(GroupId::as_str),
        Some(model.as_str()),
        served_model.as_ref().map(ModelName::as_str),
        account.as_ref().map(AccountId::as_str),
    ];
    let edits = edits.iter().map(|Edit::Model { to }| to.as_str());
    let names: usize = names.into_iter().flatten().chain(edits).map(in_json).sum();
    let mut room = LARGEST_RECORD.saturating_sub(NUMBERS_TAKE + names);
    let attempts = record.attempts.iter().rev().take_while(|attempt| {
        is_taken(&mut room, ATTEMPT_TAKES + in_json(attempt.account.as_str()))
    });
    let attempts = attempts.count();
    record.attempts.drain(..record.attempts.len() - attempts);
    let verdicts = record.decision.iter().take_while(|verdict| {
        let names = in_json(verdict.account.as_str()) + in_json(&verdict.verdict);
        is_taken(&mut room, VERDICT_TAKES + names)
    });
    let verdicts = verdicts.count();
    record.decision.truncate(verdicts);
    record
}

/// Takes so many bytes of the room that is left, if there are so many.
fn is_taken(room: &mut usize, bytes: usize) -> bool {
    let left = room.checked_sub(bytes);
    *room = left.unwrap_or(*room);
    left.is_some()
}

/// How many bytes a text takes in JSON, without its quotes.
fn in_json(text: &str) -> usize {
    let takes = |byte| match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(takes).sum()
}

macro_rules! same_fields {
    ($from:ident => $to:ident, $prepare:expr) => {
        impl From<$from> for $to {
            fn from(record: $from) -> Self {
                let $from {
                    id,
                    key,
                    group,
                    platform,
                    model,
                    served_model,
                    account,
                    stream,
                    outcome,
                    status,
                    started_at,
                    times,
                    usage,
                    usage_source,
                    terms,
                    settled_at,
                    cost,
                    presumed_cost,
                    cost_by_kind,
                    charged,
                    attempts,
                    edits,
                    decision,
                } = $prepare(record);
                Self {
                    id,
                    key,
                    group,
                    platform,
                    model,
                    served_model,
                    account,
                    stream,
                    outcome,
                    status,
                    started_at,
                    times,
                    usage,
                    usage_source,
                    terms,
                    settled_at,
                    cost,
                    presumed_cost,
                    cost_by_kind,
                    charged,
                    attempts,
                    edits,
                    decision,
                }
            }
        }
    };
}

same_fields!(RequestRecord => StoredRecord, fitting);
same_fields!(StoredRecord => RequestRecord, std::convert::identity);
