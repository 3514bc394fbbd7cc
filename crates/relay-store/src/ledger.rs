//! The ledger: who may spend, and what was spent. The heart of the store.
//!
//! A request is admitted once, checkpointed while it runs, and settled once: settlement removes the
//! request's hold and counts its usage in one atomic step, and does nothing when the hold is gone. So a
//! repeated settlement, or one that comes after the reaper's, counts nothing twice.
//!
//! A hold reserves what the request may still cost. It weighs on every budget of its key and of the key's
//! group from admission on, and on those of the account that the request is assigned to, until it is
//! settled or reaped: the end of its lease frees its slot at once, but what it may have cost is not known
//! before. For a budget whose policy is hard, `spent + held <= limit` holds at every moment: a hold is taken
//! or raised only where there is room, in one atomic step over all of its scopes. A limit that is used up
//! lets nothing in, not even what is thought to cost nothing.
//!
//! Budgets of a key and a group count [`RequestRecord::charged`], those of an account
//! [`RequestRecord::cost`] or, where that is not known, [`RequestRecord::presumed_cost`]; budgets of Claude models count requests that name one. Where a request's end
//! lies in another period than its start, it counts in the period in which it is settled; holds weigh on the
//! current period, whichever that is. What was counted before a limit was set counts for it too.
//!
//! A rate window opens with the first request that is let in (or assigned, for an account) while none is open,
//! and closes after its length. It counts a request once, however often it asks or is assigned again, and
//! keeps the count however the request ends; tokens and cost count at settlement, in the window that is open
//! then, if one is. What is in flight weighs on the tokens and the cost of the window that is open.

use async_trait::async_trait;
use relay_domain::{
    AccountId, AffinityKey, CostBreakdown, Edit, GroupId, KeyId, LimitKind, LimitScope, LimitState,
    Limits, ModelName, NanoUsd, Platform, RequestId, RequestRecord, ServedTerms, Timestamp,
    TokenUsage, UsageSource,
};

use crate::{Line, StoreError, Waiting};

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
    /// checks the limits of its key and its group, opens and counts their windows, takes the hold, and
    /// reads the conversation's binding and the versions. A request that is denied counts nowhere.
    async fn admit(&self, request: &AdmitRequest) -> Result<Admission, StoreError>;

    /// Gives a held request to an account that has limits, taking it from the account that it was given
    /// to before, or says which limit of the account is in the way; then it belongs to none, and what it
    /// reserves is what it was before.
    async fn assign(&self, assignment: &Assignment) -> Result<HoldAnswer, StoreError>;

    /// Raises what a held request reserves to `extension.estimate`, in all of its scopes or in none. A
    /// hold is never lowered by it.
    async fn extend(&self, extension: &Extension) -> Result<HoldAnswer, StoreError>;

    /// Extends a request's lease and keeps what is known of its usage, in case the process dies. A progress
    /// whose source is [`UsageSource::None`] withdraws what was kept before.
    /// `false`: the request is no longer held (settled, or reaped after its lease).
    async fn checkpoint(&self, checkpoint: &Checkpoint) -> Result<bool, StoreError>;

    /// Ends a request: removes its hold, counts its usage, keeps its record, refreshes its binding.
    /// When it returns, all of it is as durable as the store is.
    async fn settle(&self, settlement: &Settlement) -> Result<Settled, StoreError>;

    /// Settles requests whose lease has ended by `now`, at most `max`, each with its last checkpoint, as
    /// [`Outcome::Orphaned`](relay_domain::Outcome::Orphaned). Any instance may call it at any time.
    /// Also drops what has outlived its bound. Returns the records that it wrote.
    async fn reap(&self, now: Timestamp, max: usize) -> Result<Vec<RequestRecord>, StoreError>;

    /// Takes one of the places in a line, unless all are taken, whichever instance's requests have them; in one
    /// atomic step. `false`: they are. Asking again keeps the place. It is free again when it ends, also if
    /// nobody leaves it.
    async fn begin_waiting(&self, waiting: &Waiting) -> Result<bool, StoreError>;

    /// Leaves the place in a line, if the request has one.
    async fn end_waiting(&self, line: &Line, request: RequestId) -> Result<(), StoreError>;

    /// How far each of the limits of each scope is used at `now`, in the order of the scopes. Reads only,
    /// and in one trip, however many are asked for.
    async fn standings(
        &self,
        scopes: &[(LimitScope, Limits)],
        now: Timestamp,
    ) -> Result<Vec<Vec<LimitState>>, StoreError>;

    /// How far each of `limits` of `scope` is used at `now`. Reads only.
    async fn standing(
        &self,
        scope: &LimitScope,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Vec<LimitState>, StoreError> {
        let mut standings = self.standings(&[(scope.clone(), *limits)], now).await?;
        Ok(standings.pop().unwrap_or_default())
    }

    /// Starts every limit of `scope` anew: what was spent and counted until now weighs on none of them
    /// any more. What requests in flight hold still does, and statistics are not touched.
    async fn restart(&self, scope: &LimitScope, now: Timestamp) -> Result<(), StoreError>;

    /// The versions of what is configured.
    async fn version(&self) -> Result<ConfigVersion, StoreError>;

    /// Whether requests can be let in: the store is there, and takes what is written.
    async fn is_ready(&self) -> Result<(), StoreError>;
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
    pub limits: Limits,
    /// The key's group and its limits.
    pub group: Option<(GroupId, Limits)>,
    /// The platform that it is for.
    pub platform: Platform,
    /// The model that it names.
    pub model: ModelName,
    /// Whether a Claude model may answer, so that it weighs on budgets of those.
    pub may_be_claude: bool,
    /// Whether it wants a stream.
    pub stream: bool,
    /// What it may come to.
    pub estimate: Estimate,
    /// Its conversation, if it can be told.
    pub affinity: Option<AffinityKey>,
    /// When it arrived.
    pub now: Timestamp,
    /// When its lease ends unless it is extended.
    pub lease_until: Timestamp,
}

/// What a request may come to, to be held of limits while it runs. Nothing where it is not known.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Estimate {
    /// Tokens of all kinds.
    pub tokens: u64,
    /// Its cost at the provider: held of an account's budgets.
    pub cost: NanoUsd,
    /// What will count against the key and its group: held of their budgets.
    pub charged: NanoUsd,
}

/// A held request that an account is to serve.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Which request.
    pub request: RequestId,
    /// The account.
    pub account: AccountId,
    /// The limits of that account.
    pub limits: Limits,
    /// What it may cost there: if that is more than what was estimated at admission, so much is held of the
    /// budgets of the account, and of any that it is given to after it. Zero where nothing more is known.
    pub cost: NanoUsd,
    /// When.
    pub now: Timestamp,
}

/// A held request that costs more than was thought.
#[derive(Clone, Debug)]
pub struct Extension {
    /// Which request.
    pub request: RequestId,
    /// Whose it is, with the limits in force.
    pub key: (KeyId, Limits),
    /// The key's group and its limits.
    pub group: Option<(GroupId, Limits)>,
    /// The account that serves it, if that has limits.
    pub account: Option<(AccountId, Limits)>,
    /// The model: whether budgets of Claude models are concerned.
    pub model: ModelName,
    /// What it may come to in all.
    pub estimate: Estimate,
    /// When.
    pub now: Timestamp,
}

/// What became of a hold that was to be assigned or raised.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HoldAnswer {
    /// It was.
    Held,
    /// A limit is in the way; the hold is as it was before.
    Denied(Denial),
    /// The request is no longer held (settled, or reaped after its lease).
    Gone,
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
    /// How far the limits of its key are used, this request included.
    pub limits: Vec<LimitState>,
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
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Denial {
    /// Whose limit it is.
    pub scope: LimitScope,
    /// Which limit is reached.
    pub limit: LimitKind,
    /// How much of it is used and held: a number, or nano-dollars where the limit is money.
    pub used: u64,
    /// How much of that is only held, by requests in flight.
    pub held: u64,
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

/// What is known of a request's usage so far.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Progress {
    /// The account that answers.
    pub account: AccountId,
    /// The model that it says it serves.
    pub served_model: Option<ModelName>,
    /// What it has counted, or what can be reckoned of it.
    pub usage: TokenUsage,
    /// How sure that is.
    pub usage_source: UsageSource,
    /// On which terms it serves.
    pub terms: ServedTerms,
    /// What that costs at the provider; `None`: the model has no price.
    pub cost: Option<NanoUsd>,
    /// What the budgets of its account count where that is not known.
    pub presumed_cost: Option<NanoUsd>,
    /// The known cost by kind.
    pub cost_by_kind: Option<CostBreakdown>,
    /// What of it counts against the key's and its group's budgets.
    pub charged: Option<NanoUsd>,
    /// What Relay has changed in the request's body.
    pub edits: Vec<Edit>,
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
    /// The budgets whose thresholds are watched: of the key, its group and the account, those that have
    /// any.
    pub budgets: Vec<(LimitScope, Limits)>,
    /// When it ended.
    pub now: Timestamp,
}

/// What a settlement did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Settled {
    /// The request is settled by it.
    Now {
        /// The thresholds of budgets that its cost has passed. Each is told to one settlement only.
        crossed: Vec<Crossing>,
    },
    /// It was settled before, and nothing happened.
    Before,
}

impl Settled {
    /// Whether the request is settled by it and was not before.
    pub fn is_first(&self) -> bool {
        matches!(self, Self::Now { .. })
    }
}

/// The parts of a budget, in percent, whose passing is told.
pub const THRESHOLDS: [u8; 4] = [50, 80, 95, 100];

/// A threshold of a budget that was passed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Crossing {
    /// Whose budget.
    pub scope: LimitScope,
    /// The one of [`THRESHOLDS`] that was passed.
    pub percent: u8,
    /// How the budget stands now.
    pub state: LimitState,
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
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rebind {
    /// The conversation.
    pub affinity: AffinityKey,
    /// Its account and the binding's end.
    pub binding: Binding,
}
