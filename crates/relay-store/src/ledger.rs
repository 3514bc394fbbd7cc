//! The ledger: who may spend, and what was spent. The heart of the store.
//!
//! A request is admitted once, checkpointed while it runs, and settled once: settlement removes the
//! request's hold and counts its usage in one atomic step, and does nothing when the hold is gone. So a
//! repeated settlement, or one that comes after the reaper's, counts nothing twice.

use async_trait::async_trait;
use relay_domain::{
    AccountId, AffinityKey, KeyId, KeyLimits, LimitKind, ModelName, NanoUsd, Platform, RequestId,
    RequestRecord, Timestamp, TokenUsage,
};

use crate::StoreError;

/// Admission and settlement of requests.
///
/// # Errors
///
/// All methods fail with [`StoreError`] when the store does. After a failed [`admit`](Self::admit) it is
/// unknown whether the hold was taken; it then ends with its lease.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Lets a request in, or says which limit keeps it out. One trip: drops leases that have ended,
    /// checks the limits, takes the hold, and reads the conversation's binding and the versions.
    async fn admit(&self, request: &AdmitRequest) -> Result<Admission, StoreError>;

    /// Extends a request's lease and keeps what is known of its usage, in case the process dies.
    /// `false`: the request is no longer held (settled, or reaped after its lease).
    async fn checkpoint(&self, checkpoint: &Checkpoint) -> Result<bool, StoreError>;

    /// Ends a request: removes its hold, counts its usage, keeps its record, refreshes its binding.
    /// When it returns, all of it is as durable as the store is. `false`: it was settled before, and
    /// nothing happened.
    async fn settle(&self, settlement: &Settlement) -> Result<bool, StoreError>;

    /// Settles requests whose lease has ended by `now`, at most `max`, each with its last checkpoint, as
    /// [`Outcome::Orphaned`](relay_domain::Outcome::Orphaned). Any instance may call it at any time.
    /// Also drops what has outlived its bound. Returns the records that it wrote.
    async fn reap(&self, now: Timestamp, max: usize) -> Result<Vec<RequestRecord>, StoreError>;

    /// The versions of what is configured. Also tells whether the store is there.
    async fn version(&self) -> Result<ConfigVersion, StoreError>;
}

/// Counts changes of what is configured, on any instance. A snapshot in memory is good as long as the
/// numbers that it was read at still hold.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ConfigVersion {
    /// Raised by every change of an API key.
    pub keys: u64,
    /// Raised by every change of an account or its health.
    pub accounts: u64,
}

/// A request that wants in.
#[derive(Clone, Debug)]
pub struct AdmitRequest {
    /// Its id.
    pub request: RequestId,
    /// Whose it is.
    pub key: KeyId,
    /// The limits of that key, as the caller's snapshot has them.
    pub limits: KeyLimits,
    /// The platform that it is for.
    pub platform: Platform,
    /// The model that it names.
    pub model: ModelName,
    /// Whether it wants a stream.
    pub stream: bool,
    /// What it may cost, to be held of a budget; `None`: the model has no price.
    pub estimate: Option<NanoUsd>,
    /// Its conversation, if it can be told.
    pub affinity: Option<AffinityKey>,
    /// When it arrived.
    pub now: Timestamp,
    /// When its lease ends unless it is extended.
    pub lease_until: Timestamp,
}

/// The answer to a request that wants in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Admission {
    /// The versions at this moment. If one is newer than the caller's snapshot, the caller reads anew
    /// and, if that changes what it asked with, asks again.
    pub version: ConfigVersion,
    /// In or not.
    pub decision: Result<Grant, Denial>,
}

/// A request that is in. Its hold stands until it is settled or reaped.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Grant {
    /// The account that its conversation is bound to.
    pub binding: Option<Binding>,
}

/// A conversation's account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Binding {
    /// The account.
    pub account: AccountId,
    /// When the binding ends unless it is renewed.
    pub until: Timestamp,
}

/// Why a request is not in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Denial {
    /// Which limit is reached.
    pub limit: LimitKind,
    /// How much of it is used and held: a number, or nano-dollars where the limit is money.
    pub used: u64,
    /// How much there is, in the same unit.
    pub allowed: u64,
    /// When the limit gives way by the calendar or the clock. `None`: when other requests end, or never.
    pub resets_at: Option<Timestamp>,
}

/// What is known of a running request.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Which request.
    pub request: RequestId,
    /// When its lease now ends.
    pub lease_until: Timestamp,
    /// What the upstream has told so far; `None` keeps what was told before.
    pub progress: Option<Progress>,
}

/// What an upstream has told of its usage so far.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Progress {
    /// The account that answers.
    pub account: AccountId,
    /// The model that it says it serves.
    pub served_model: Option<ModelName>,
    /// What it has counted.
    pub usage: TokenUsage,
    /// What that costs; `None`: the model has no price.
    pub cost: Option<NanoUsd>,
}

/// The end of a request.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// What happened.
    pub record: RequestRecord,
    /// Whether it counts.
    pub charge: Charge,
    /// The binding to write, if the conversation's is new or due to be renewed.
    pub bind: Option<Rebind>,
    /// When it ended.
    pub now: Timestamp,
}

/// Whether a settled request counts as usage.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Charge {
    /// Its usage and cost go into every counter: key, account and model; total, month, day and hour.
    Count,
    /// It used nothing: the hold is released, the record kept, no counter touched.
    Release,
}

/// A binding to write.
#[derive(Clone, Debug)]
pub struct Rebind {
    /// The conversation.
    pub affinity: AffinityKey,
    /// Its account and the binding's end.
    pub binding: Binding,
}
