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
    /// What its last checkpoint told.
    pub progress: Option<Progress>,
}

impl Settlement {
    /// The settlement of an orphan at `now`. If an upstream had told anything of its usage, even that
    /// there was none yet, the request was served and counts with it; otherwise it is released.
    #[must_use]
    pub fn orphaned(orphan: Orphan, now: Timestamp) -> Self {
        let Orphan { request, key, group, platform, model, stream, started_at, progress } = orphan;
        let (charge, usage_source) = match progress {
            Some(_) => (Charge::Count, UsageSource::Partial),
            None => (Charge::Release, UsageSource::None),
        };
        let (account, served_model, usage, cost, charged) = match progress {
            Some(told) => {
                (Some(told.account), told.served_model, told.usage, told.cost, told.charged)
            }
            None => (None, None, TokenUsage::ZERO, None, None),
        };
        let record = RequestRecord {
            id: request,
            key,
            group,
            platform,
            model,
            served_model,
            account,
            stream,
            outcome: Outcome::Orphaned,
            // What the client got is not known.
            status: 0,
            started_at,
            times: RequestTimes::default(),
            usage,
            usage_source,
            cost,
            charged,
            attempts: Vec::new(),
            edits: Vec::new(),
            decision: Vec::new(),
        };
        Self { record, charge, bind: None, budgets: Vec::new(), now }
    }
}
