//! Correcting what settled requests cost, when it turns out that their prices were wrong or missing.
//!
//! A settled request counts in many places: in statistics, in counters, on budgets. A correction moves all
//! of them by the difference, in the same atomic step in which it replaces the record, and only if the record
//! still is as it was when the correction was worked out. So a correction that is repeated, or made by two at
//! once, moves nothing twice, and a run that was interrupted may be begun again.

use async_trait::async_trait;
use relay_domain::{
    CostBreakdown, LimitScope, NanoUsd, PeriodStarts, RequestRecord, Timestamp, UsageSource,
};

use crate::StoreError;
use crate::budgets::spent_by;

/// What a request comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Price {
    /// At the provider; `None`: unknown.
    pub cost: Option<NanoUsd>,
    /// That by kind.
    pub cost_by_kind: Option<CostBreakdown>,
    /// For the budgets of its key and its group; `None`: nothing is known.
    pub charged: Option<NanoUsd>,
}

impl Price {
    /// What `record` says.
    #[must_use]
    pub fn of(record: &RequestRecord) -> Self {
        let RequestRecord { cost, cost_by_kind, charged, .. } = *record;
        Self { cost, cost_by_kind, charged }
    }
}

/// Why what a request came to cannot be corrected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Uncorrectable {
    /// It used nothing, and counts nowhere.
    Unused,
    /// It is not known in which hour it counts: an earlier version of Relay did not keep that.
    Undated,
}

/// A settled request, and what it should have come to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Correction {
    before: RequestRecord,
    counted_at: Timestamp,
    price: Price,
    key_starts: PeriodStarts,
}

impl Correction {
    /// The correction of a request whose record is `before` to `price`. `key_starts`: when the weeks of its
    /// key begin.
    ///
    /// # Errors
    ///
    /// [`Uncorrectable`] if there is nothing to move, or it is not known where.
    pub fn new(
        before: RequestRecord,
        price: Price,
        key_starts: PeriodStarts,
    ) -> Result<Self, Uncorrectable> {
        if before.usage_source == UsageSource::None {
            return Err(Uncorrectable::Unused);
        }
        let counted_at = before.settled_at.ok_or(Uncorrectable::Undated)?;
        Ok(Self { before, counted_at, price, key_starts })
    }

    /// The record that is replaced, as it has to be found.
    pub fn before(&self) -> &RequestRecord {
        &self.before
    }

    /// What takes its place.
    #[must_use]
    pub fn after(&self) -> RequestRecord {
        let Price { cost, cost_by_kind, charged } = self.price;
        // What was presumed is not any more once it is known.
        let presumed_cost = self.before.presumed_cost.filter(|_| cost.is_none());
        RequestRecord { cost, presumed_cost, cost_by_kind, charged, ..self.before.clone() }
    }

    /// What the request should have come to.
    pub fn price(&self) -> Price {
        self.price
    }

    /// In which hour, day and month, and in which periods of budgets, the request counts: those of this
    /// moment.
    pub fn counted_at(&self) -> Timestamp {
        self.counted_at
    }

    /// When the weeks of its key begin.
    pub fn key_starts(&self) -> PeriodStarts {
        self.key_starts
    }

    /// Whose budgets it moves, and by how much.
    pub fn spent(&self) -> impl Iterator<Item = (LimitScope, Spent)> + use<> {
        let RequestRecord { key, group, account, .. } = self.before.clone();
        let scopes = [
            Some(LimitScope::Key(key)),
            group.map(LimitScope::Group),
            account.map(LimitScope::Account),
        ];
        let (before, after) = (self.before.clone(), self.after());
        scopes.into_iter().flatten().map(move |scope| {
            let all = spent_by(&after, &scope) - spent_by(&before, &scope);
            let claude = if before.is_claude() { all } else { NanoUsd::ZERO };
            (scope, Spent { all, claude })
        })
    }
}

/// By how much what was spent is another; less than nothing if it is less.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Spent {
    /// In all.
    pub all: NanoUsd,
    /// On Claude models.
    pub claude: NanoUsd,
}

/// What became of a correction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Corrected {
    /// It was made.
    Made,
    /// It was not: the record is another by now, or gone. Nothing was moved.
    NotAsRead,
}

/// Corrections of what settled requests came to.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Corrections: Send + Sync {
    /// Makes each of `corrections` whole, or not at all: replaces the record, and moves by the difference
    /// the statistics, every counter that is still kept, and what is spent in those periods of budgets that
    /// the request counts in, if they still run. What a limit that was started anew since does not count, it
    /// does not count afterwards either. Rate windows, which count what comes in at a time, stay as they are,
    /// and no threshold of a budget is told.
    ///
    /// Nothing is made that has outlived its bound by `now`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails, or is not open for serving requests. Then each correction was
    /// made whole or not at all, and it is not known which.
    async fn correct(
        &self,
        corrections: &[Correction],
        now: Timestamp,
    ) -> Result<Vec<Corrected>, StoreError>;
}
