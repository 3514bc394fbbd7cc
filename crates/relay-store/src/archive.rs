//! Moving what was used from one store to another, a page at a time.
//!
//! Configuration moves through its own repositories, which list all of it. Usage has no list: this port
//! walks it, whatever its size, and takes it in elsewhere. Taking in adds nothing up: what the store has
//! already stays as it is, so that repeating an import changes nothing.

use async_trait::async_trait;
use relay_domain::{NanoUsd, Period, RequestRecord};

use crate::{StoreError, UsageScope, UsageTotals};

/// What one scope used in one period.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Counted {
    /// Whose usage.
    pub scope: UsageScope,
    /// When, in the calendar of the store that it comes from.
    pub period: Period,
    /// How much.
    pub totals: UsageTotals,
    /// What of it counts on a weekly budget of Claude models: of an account the cost, of others the charge.
    pub claude: NanoUsd,
}

/// A part of what there is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ArchivePage<T> {
    /// What is on it; nothing, perhaps, though more follows.
    pub items: Vec<T>,
    /// Where the next page begins; `None`: this was the last. Only for the store that gave it.
    pub next: Option<String>,
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
}
