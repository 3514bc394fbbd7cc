//! Moving what was used from one store to another, a page at a time.
//!
//! Configuration moves through its own repositories, which list all of it. Usage has no list: this port
//! walks it, whatever its size, and takes it in elsewhere. Taking in adds nothing up: what the store has
//! already stays as it is, so that repeating an import changes nothing.
//!
//! How limits stand follows from counters, and from a few things besides that no counter tells: those are
//! [`LimitFacts`]. What requests in flight hold is not among them: their leases end with their process.

use async_trait::async_trait;
use relay_domain::{
    AuditEntry, LimitScope, Limits, NanoUsd, Period, PeriodStarts, Platform, RequestRecord,
    Timestamp,
};

use crate::statistics::{Fresh, SegmentName, State};
use crate::{Rebind, StoreError, UsageScope, UsageTotals};

/// What one scope used in one period.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Counted {
    /// Whose usage.
    pub scope: UsageScope,
    /// When, in the calendar of the store that it comes from.
    pub period: Period,
    /// How much.
    pub totals: UsageTotals,
    /// What of it counts on a weekly budget of Claude models: of an account the cost, known or presumed, of
    /// others the charge.
    pub claude: NanoUsd,
    /// What the budgets of an account count beside the cost; nothing for others.
    pub presumed: NanoUsd,
}

/// A part of what there is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ArchivePage<T> {
    /// What is on it; nothing, perhaps, though more follows.
    pub items: Vec<T>,
    /// Where the next page begins; `None`: this was the last. Only for the store that gave it.
    pub next: Option<String>,
}

/// What is known of someone's limits that no counter tells.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LimitFacts {
    /// Whose limits.
    pub scope: LimitScope,
    /// The rate window that is open.
    pub window: Option<OpenWindow>,
    /// When the limits were last started anew.
    pub restart: Option<LimitRestart>,
    /// What an account has spent in its present day, if that does not begin on the hour.
    pub own_day: Option<SpentInPeriod>,
    /// What a key was charged for Claude models in its present week.
    pub claude_week: Option<SpentInPeriod>,
}

impl LimitFacts {
    /// Nothing but whose they are.
    #[must_use]
    pub fn none_of(scope: LimitScope) -> Self {
        Self { scope, window: None, restart: None, own_day: None, claude_week: None }
    }

    /// Whether there is nothing to be known.
    pub fn are_none(&self) -> bool {
        let Self { scope: _, window, restart, own_day, claude_week } = self;
        window.is_none() && restart.is_none() && own_day.is_none() && claude_week.is_none()
    }
}

/// A rate window that is open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OpenWindow {
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it closes.
    pub ends_at: Timestamp,
    /// How many requests have come.
    pub requests: u64,
    /// Tokens of those that have ended.
    pub tokens: u64,
    /// Their money: of an account the cost, of others the charge.
    pub cost: NanoUsd,
}

/// The last fresh start of someone's limits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LimitRestart {
    /// When.
    pub at: Timestamp,
    /// What had been spent in all until then, which weighs on no limit any more.
    pub spent: NanoUsd,
    /// What of it was for Claude models.
    pub claude: NanoUsd,
}

/// What was spent in one period of a budget.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SpentInPeriod {
    /// When such periods begin.
    pub starts: PeriodStarts,
    /// The first moment of this one.
    pub starts_at: Timestamp,
    /// How much.
    pub amount: NanoUsd,
}

/// A segment of the statistics, as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredSegment {
    /// Which.
    pub name: SegmentName,
    /// All of its parts, in their order.
    pub parts: Vec<Vec<u8>>,
}

/// How far the statistics have been made, and what waits to be folded into them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StatisticsProgress {
    /// `None`: no segment was made yet.
    pub state: Option<State>,
    /// What waits, the oldest first.
    pub fresh: Vec<Fresh>,
}

impl StatisticsProgress {
    /// Whether nothing was ever counted.
    pub fn is_none(&self) -> bool {
        self.state.is_none() && self.fresh.is_empty()
    }
}

/// What was used, as a whole.
///
/// # Errors
///
/// All methods fail with [`StoreError`] when the store does.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Archive: Send + Sync {
    /// A page of every counter that is kept, in no order; the first without a `position`. What is counted
    /// at all times meanwhile is on a page, perhaps on more than one.
    async fn counters(&self, position: Option<String>) -> Result<ArchivePage<Counted>, StoreError>;

    /// A page of the records that are kept, the oldest first.
    async fn records(
        &self,
        position: Option<String>,
    ) -> Result<ArchivePage<RequestRecord>, StoreError>;

    /// Takes in those of `counters` that the store has not, and returns how many. Counters by the same
    /// name are not added up.
    async fn add_counters(&self, counters: &[Counted]) -> Result<usize, StoreError>;

    /// Takes in those of `records`, the oldest first, that the store has not, and returns how many. They
    /// count nowhere.
    async fn add_records(&self, records: &[RequestRecord]) -> Result<usize, StoreError>;

    /// What is known of these limits at `now`, of those of which anything is. In no order.
    async fn limits(
        &self,
        limits: &[(LimitScope, Limits)],
        now: Timestamp,
    ) -> Result<Vec<LimitFacts>, StoreError>;

    /// Takes in what is known of limits, after the counters that they stand on, and returns of how many
    /// nothing was known that is in the way. What is over by `now` is passed over, and so is a fresh start
    /// that more had been spent before than the store has counted at all. A process that serves on an
    /// embedded store meanwhile does not learn of it.
    async fn add_limits(&self, facts: &[LimitFacts], now: Timestamp) -> Result<usize, StoreError>;

    /// A page of the conversations that are bound, ended or not, in no order. What v1 or v2 bound is not
    /// on it: no conversation of Relay's goes by their names.
    async fn bindings(&self, position: Option<String>) -> Result<ArchivePage<Rebind>, StoreError>;

    /// Binds those conversations that are not bound, each on the platform of its account, unless the
    /// binding has ended by `now`. Returns how many.
    async fn add_bindings(
        &self,
        bindings: &[(Platform, Rebind)],
        now: Timestamp,
    ) -> Result<usize, StoreError>;

    /// A page of the segments of the statistics, in no order.
    async fn segments(
        &self,
        position: Option<String>,
    ) -> Result<ArchivePage<StoredSegment>, StoreError>;

    /// How far the statistics have been made.
    async fn statistics_progress(&self) -> Result<StatisticsProgress, StoreError>;

    /// Takes in those of `segments` that the store has not, and returns how many: none if it has
    /// statistics of its own, for both cannot be told apart any more.
    async fn add_segments(&self, segments: &[StoredSegment]) -> Result<usize, StoreError>;

    /// Takes in how far the segments that were added before have been made, and what waits to be folded
    /// into them. `false`: the store has statistics of its own, and nothing happened.
    async fn begin_statistics(&self, progress: &StatisticsProgress) -> Result<bool, StoreError>;

    /// Takes in entries of the trail of changes under their numbers, but for those whose number is taken.
    /// Returns how many.
    async fn add_audit(&self, entries: &[AuditEntry]) -> Result<usize, StoreError>;
}
