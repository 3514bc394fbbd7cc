//! Searching the records of requests.

use relay_domain::{
    AccountId, KeyId, ModelName, NanoUsd, Outcome, RequestId, RequestRecord, Timestamp,
};

/// Which records. Nothing is no condition; a record has to meet all that there are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RecordQuery {
    /// Of this key.
    pub key: Option<KeyId>,
    /// Answered by this account, or last tried on it.
    pub account: Option<AccountId>,
    /// Of this model, asked for or served.
    pub model: Option<ModelName>,
    /// Answered with this status.
    pub status: Option<u16>,
    /// Ended like this.
    pub outcome: Option<Outcome>,
    /// Arrived then or later.
    pub from: Option<Timestamp>,
    /// Arrived before.
    pub to: Option<Timestamp>,
    /// Cost that much at the provider, or more.
    pub min_cost: Option<NanoUsd>,
    /// Holds this text in its printed id.
    pub id_contains: Option<String>,
    /// Goes on after the page whose [`RecordPage::next`] this is.
    pub after: Option<RequestId>,
    /// At most so many.
    pub limit: usize,
}

/// What was found, the latest arrival first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RecordPage {
    /// The records.
    pub records: Vec<RequestRecord>,
    /// Where to go on; `None`: there are no more. A page may be short, even empty, and yet be gone on
    /// from: a store looks at a bounded number of records at once.
    pub next: Option<RequestId>,
}

impl RecordQuery {
    /// Whether a record meets every condition; where the page begins is none.
    pub fn matches(&self, record: &RequestRecord) -> bool {
        fn is_so<T>(wanted: Option<&T>, check: impl FnOnce(&T) -> bool) -> bool {
            wanted.is_none_or(check)
        }
        let arrived = record.id.arrived_at();
        is_so(self.key.as_ref(), |key| *key == record.key)
            && is_so(self.account.as_ref(), |account| Some(account) == record.account.as_ref())
            && is_so(self.model.as_ref(), |model| {
                *model == record.model || Some(model) == record.served_model.as_ref()
            })
            && is_so(self.status.as_ref(), |status| *status == record.status)
            && is_so(self.outcome.as_ref(), |outcome| *outcome == record.outcome)
            && is_so(self.from.as_ref(), |from| *from <= arrived)
            && is_so(self.to.as_ref(), |to| arrived < *to)
            && is_so(self.min_cost.as_ref(), |least| record.cost.is_some_and(|cost| *least <= cost))
            && is_so(self.id_contains.as_ref(), |text| {
                record.id.to_string().contains(text.as_str())
            })
    }
}
