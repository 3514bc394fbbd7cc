//! Sums and rows as operators see them.

use relay_domain::{KeyId, Period, PeriodKind, Timestamp};
use relay_store::statistics::{Statistics, StatisticsRow};
use relay_store::{StoreError, UsageRepository, UsageScope, UsageTotals};
use serde::Serialize;
use serde_json::Number;
use utoipa::ToSchema;

use super::csv::{Csv, Field};
use crate::admin::dollars::{self, decimal};
use crate::admin::error::ApiError;

/// Sums.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TotalsView {
    /// Requests that used anything.
    #[schema(example = 1_204)]
    requests: u64,
    /// How many of them had no price.
    #[schema(example = 0)]
    unpriced_requests: u64,
    #[schema(example = 82_340)]
    input_tokens: u64,
    #[schema(example = 311_020)]
    output_tokens: u64,
    #[schema(example = 9_120_884)]
    cache_read_tokens: u64,
    #[serde(rename = "cacheWrite5mTokens")]
    cache_write_5m_tokens: u64,
    #[serde(rename = "cacheWrite1hTokens")]
    cache_write_1h_tokens: u64,
    total_tokens: u64,
    /// Dollars at the provider.
    #[schema(value_type = f64, example = 12.375)]
    cost: Number,
    /// Dollars that count against the budgets of keys and groups.
    #[schema(value_type = f64, example = 14.85)]
    charged: Number,
}

impl From<UsageTotals> for TotalsView {
    fn from(totals: UsageTotals) -> Self {
        let tokens = totals.tokens;
        Self {
            requests: totals.requests,
            unpriced_requests: totals.unpriced_requests,
            input_tokens: tokens.input.get(),
            output_tokens: tokens.output.get(),
            cache_read_tokens: tokens.cache_read.get(),
            cache_write_5m_tokens: tokens.cache_write_5m.get(),
            cache_write_1h_tokens: tokens.cache_write_1h.get(),
            total_tokens: tokens.total().get(),
            cost: dollars::show(Some(totals.cost)),
            charged: dollars::show(Some(totals.charged)),
        }
    }
}

/// Of what a row is. What was not asked to be told apart is not there.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RowName {
    /// A month, a day or an hour of the operator's calendar: `2026-11`, `2026-11-23`, `2026-11-23:09`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-11-23")]
    period: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "claude-sonnet-4-5-20250929")]
    model: Option<String>,
}

impl RowName {
    pub(super) fn of(row: &StatisticsRow) -> Self {
        Self {
            period: row.period.map(|period| period.to_string()),
            key_id: row.key.clone().map(String::from),
            group_id: row.group.clone().map(String::from),
            account_id: row.account.clone().map(String::from),
            model: row.model.clone().map(String::from),
        }
    }

    /// The columns that a table has for it.
    pub(super) const COLUMNS: [&'static str; 5] =
        ["period", "keyId", "groupId", "accountId", "model"];

    /// Its fields, in the order of the columns.
    pub(super) fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        let Self { period, key_id, group_id, account_id, model } = self;
        let texts = [period, key_id, group_id, account_id, model];
        texts.into_iter().map(|text| Field::Text(text.as_deref().unwrap_or("")))
    }
}

/// A row.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageRow {
    #[serde(flatten)]
    name: RowName,
    #[serde(flatten)]
    totals: TotalsView,
}

/// What was used in a range.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UsageView {
    /// The moment at which the range begins.
    #[schema(example = "2026-10-24T16:00:00.000Z")]
    from: String,
    /// The moment at which it ends; this one is not in it.
    #[schema(example = "2026-11-23T16:00:00.000Z")]
    to: String,
    /// All of it.
    total: TotalsView,
    /// By period, and within it by cost, the greatest first.
    rows: Vec<UsageRow>,
    /// Whether there are more rows than were asked for.
    has_more: bool,
}

impl UsageView {
    /// At most `limit` rows of an answer.
    pub(crate) fn new(statistics: Statistics, limit: usize) -> Result<Self, ApiError> {
        let Answer { from, to, total, rows, has_more } = Answer::of(statistics, limit)?;
        let rows = rows.into_iter().map(|(name, totals)| UsageRow { name, totals }).collect();
        Ok(Self { from, to, total, rows, has_more })
    }

    /// The rows as a table.
    pub(crate) fn into_csv(self) -> Csv {
        let numbers = [
            "requests",
            "unpricedRequests",
            "inputTokens",
            "outputTokens",
            "cacheReadTokens",
            "cacheWrite5mTokens",
            "cacheWrite1hTokens",
            "totalTokens",
            "cost",
            "charged",
        ];
        table(
            &numbers,
            self.rows.iter().map(|UsageRow { name, totals }| (name, totals)),
            |totals| {
                [
                    totals.requests.to_string(),
                    totals.unpriced_requests.to_string(),
                    totals.input_tokens.to_string(),
                    totals.output_tokens.to_string(),
                    totals.cache_read_tokens.to_string(),
                    totals.cache_write_5m_tokens.to_string(),
                    totals.cache_write_1h_tokens.to_string(),
                    totals.total_tokens.to_string(),
                    decimal(&totals.cost),
                    decimal(&totals.charged),
                ]
            },
        )
    }
}

/// An answer whose sums are shown as `T`.
pub(super) struct Answer<T> {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) total: T,
    pub(super) rows: Vec<(RowName, T)>,
    pub(super) has_more: bool,
}

impl<T: From<UsageTotals>> Answer<T> {
    /// At most `limit` rows of `statistics`.
    pub(super) fn of(statistics: Statistics, limit: usize) -> Result<Self, ApiError> {
        let (from, to, total) = (statistics.from, statistics.to, statistics.total);
        let rows = rows_of(statistics)?;
        let has_more = limit < rows.len();
        let shown = rows.into_iter().take(limit);
        Ok(Self {
            from: from.to_string(),
            to: to.to_string(),
            total: total.into(),
            rows: shown.map(|row| (RowName::of(&row), row.totals.into())).collect(),
            has_more,
        })
    }
}

/// Rows as a table: what each is of, and its `numbers`.
pub(super) fn table<'a, T: 'a, const N: usize>(
    numbers: &[&'static str; N],
    rows: impl Iterator<Item = (&'a RowName, &'a T)>,
    of: impl Fn(&T) -> [String; N],
) -> Csv {
    let columns: Vec<_> = RowName::COLUMNS.into_iter().chain(*numbers).collect();
    let mut csv = Csv::new(&columns);
    for (name, totals) in rows {
        csv.line(name.fields().chain(of(totals).map(Field::Number)));
    }
    csv
}

/// The rows of an answer, if they are not too many.
pub(super) fn rows_of(statistics: Statistics) -> Result<Vec<StatisticsRow>, ApiError> {
    statistics.rows.ok_or_else(|| {
        let most = relay_store::statistics::MAX_ROWS;
        ApiError::bad_request(format!(
            "the answer would have more than {most} rows: shorten the range, filter, or tell less apart"
        ))
    })
}

/// A key's or an account's usage as v2 meant to show it: in all, today, and this month.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScopeStats {
    /// Since the beginning.
    total: PeriodStats,
    /// Today, in the operator's calendar.
    daily: PeriodStats,
    /// This month, in the operator's calendar.
    monthly: PeriodStats,
}

/// Usage in a period, with the names that v1 and v2 have for it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PeriodStats {
    requests: u64,
    /// Input and output without the prompt cache.
    tokens: u64,
    /// Tokens of all kinds.
    all_tokens: u64,
    input_tokens: u64,
    output_tokens: u64,
    cache_create_tokens: u64,
    cache_read_tokens: u64,
    #[serde(rename = "ephemeral5mTokens")]
    ephemeral_5m_tokens: u64,
    #[serde(rename = "ephemeral1hTokens")]
    ephemeral_1h_tokens: u64,
    /// Dollars at the provider.
    #[schema(value_type = f64)]
    cost: Number,
    /// Dollars that count against budgets.
    #[schema(value_type = f64)]
    charged: Number,
}

impl From<UsageTotals> for PeriodStats {
    fn from(totals: UsageTotals) -> Self {
        let tokens = totals.tokens;
        Self {
            requests: totals.requests,
            tokens: (tokens.input + tokens.output).get(),
            all_tokens: tokens.total().get(),
            input_tokens: tokens.input.get(),
            output_tokens: tokens.output.get(),
            cache_create_tokens: (tokens.cache_write_5m + tokens.cache_write_1h).get(),
            cache_read_tokens: tokens.cache_read.get(),
            ephemeral_5m_tokens: tokens.cache_write_5m.get(),
            ephemeral_1h_tokens: tokens.cache_write_1h.get(),
            cost: dollars::show(Some(totals.cost)),
            charged: dollars::show(Some(totals.charged)),
        }
    }
}

impl ScopeStats {
    /// What `scope` has used by `now`.
    pub(crate) async fn read(
        usage: &dyn UsageRepository,
        scope: &UsageScope,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let calendar = usage.calendar();
        let of = async |period| usage.totals(scope, period).await.map(PeriodStats::from);
        Ok(Self {
            total: of(Period::Total).await?,
            daily: of(calendar.period(PeriodKind::Day, now)).await?,
            monthly: of(calendar.period(PeriodKind::Month, now)).await?,
        })
    }

    /// What the key has used by `now`.
    pub(crate) async fn of_key(
        usage: &dyn UsageRepository,
        key: &KeyId,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        Self::read(usage, &UsageScope::Key(key.clone()), now).await
    }
}
