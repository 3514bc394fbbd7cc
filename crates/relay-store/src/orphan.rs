//! The end of a request whose process has died.

use relay_domain::{
    GroupId, KeyId, ModelName, Outcome, Platform, RequestId, RequestRecord, RequestTimes,
    Timestamp, TokenUsage, UsageSource,
};

use crate::{Charge, Progress, Settlement};

/// What is left of a request that nobody will settle any more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Orphan {
    /// Which request.
    pub request: RequestId,
    /// Whose it was.
    pub key: KeyId,
    /// The group of the key.
    pub group: Option<GroupId>,
    /// The platform that it was for.
    pub platform: Platform,
    /// The model that it named.
    pub model: ModelName,
    /// Whether it wanted a stream.
    pub stream: bool,
    /// When it arrived.
    pub started_at: Timestamp,
    /// What its last checkpoint told; if that names no source, what was told before was withdrawn.
    pub progress: Option<Progress>,
}

impl Settlement {
    /// The settlement of an orphan at `now`. If anything was known of its usage, even that there was none
    /// yet, an upstream has served it and it counts with that; otherwise it is released.
    #[must_use]
    pub fn orphaned(orphan: Orphan, now: Timestamp) -> Self {
        let Orphan { request, key, group, platform, model, stream, started_at, progress } = orphan;
        let progress = progress.filter(|told| told.usage_source != UsageSource::None);
        let (charge, usage_source) = match &progress {
            Some(told) => (Charge::Count, told.usage_source),
            None => (Charge::Release, UsageSource::None),
        };
        let told = progress.as_ref();
        let record = RequestRecord {
            id: request,
            key,
            group,
            platform,
            model,
            served_model: told.and_then(|told| told.served_model.clone()),
            account: told.map(|told| told.account.clone()),
            stream,
            outcome: Outcome::Orphaned,
            // What the client got is not known.
            status: 0,
            started_at,
            times: RequestTimes::default(),
            usage: told.map_or(TokenUsage::ZERO, |told| told.usage),
            usage_source,
            terms: told.map(|told| told.terms).unwrap_or_default(),
            settled_at: Some(now),
            cost: told.and_then(|told| told.cost),
            presumed_cost: told.and_then(|told| told.presumed_cost),
            cost_by_kind: told.and_then(|told| told.cost_by_kind),
            charged: told.and_then(|told| told.charged),
            attempts: Vec::new(),
            edits: told.map(|told| told.edits.clone()).unwrap_or_default(),
            decision: Vec::new(),
        };
        Self { record, charge, bind: None, budgets: Vec::new(), now }
    }
}
