//! Where usage is read.

use async_trait::async_trait;
use relay_domain::{
    AccountId, Calendar, GroupId, KeyId, ModelName, NanoUsd, Period, RequestId, RequestRecord,
    TokenUsage,
};

use crate::statistics::{Statistics, StatisticsQuery};
use crate::{RecordPage, RecordQuery, StoreError};

/// Whose usage.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum UsageScope {
    /// Of one API key.
    Key(KeyId),
    /// Of one account.
    Account(AccountId),
    /// Of one model, by the name that the provider says it served (the client's, if it says none).
    Model(ModelName),
    /// Of the keys of one group together.
    Group(GroupId),
}

/// What was used in a period.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct UsageTotals {
    /// Requests that used anything.
    pub requests: u64,
    /// Their tokens.
    pub tokens: TokenUsage,
    /// What the priced ones cost.
    pub cost: NanoUsd,
    /// What they count against the budgets of their keys and groups.
    pub charged: NanoUsd,
    /// How many of them had no price.
    pub unpriced_requests: u64,
}

/// What was used, and the records of single requests.
///
/// # Errors
///
/// All methods fail with [`StoreError`] when the store does.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait UsageRepository: Send + Sync {
    /// What `scope` used in `period`. Nothing counted is zero, not an error.
    async fn totals(&self, scope: &UsageScope, period: Period) -> Result<UsageTotals, StoreError>;

    /// The record of one request, as long as it is kept.
    async fn record(&self, id: RequestId) -> Result<Option<RequestRecord>, StoreError>;

    /// The newest records, at most `limit`, the newest first.
    async fn recent(&self, limit: usize) -> Result<Vec<RequestRecord>, StoreError>;

    /// The records that `query` asks for, the latest arrival first.
    async fn search(&self, query: &RecordQuery) -> Result<RecordPage, StoreError>;

    /// Adds up what was used. Every settlement that returned before is in it.
    async fn statistics(&self, query: &StatisticsQuery) -> Result<Statistics, StoreError>;

    /// The calendar by whose days, months and hours usage is counted.
    fn calendar(&self) -> Calendar;
}
