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

macro_rules! same_fields {
    ($from:ident => $to:ident) => {
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
                    cost_by_kind,
                    charged,
                    attempts,
                    edits,
                    decision,
                } = record;
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

same_fields!(RequestRecord => StoredRecord);
same_fields!(StoredRecord => RequestRecord);
