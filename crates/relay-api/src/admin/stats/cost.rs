//! `GET /api/v2/stats/cost`

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use relay_store::UsageTotals;
use relay_store::statistics::{Statistics, StatisticsRow};
use serde::Serialize;
use serde_json::Number;
use utoipa::ToSchema;

use super::csv::{Csv, Field, FormatName};
use super::range::{Distinctions, question};
use super::usage::{UsageQuery, row_limit};
use super::view::{RowName, rows_of};
use crate::admin::dollars;
use crate::admin::error::ApiError;
use crate::admin::extract::QueryOf;
use crate::admin::session::Session;

/// What requests cost.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CostTotals {
    requests: u64,
    /// How many of them had no price: their cost is in neither sum.
    unpriced_requests: u64,
    /// Dollars at the provider.
    #[schema(value_type = f64, example = 12.375)]
    cost: Number,
    /// Dollars that count against the budgets of keys and groups.
    #[schema(value_type = f64, example = 14.85)]
    charged: Number,
}

impl From<UsageTotals> for CostTotals {
    fn from(totals: UsageTotals) -> Self {
        Self {
            requests: totals.requests,
            unpriced_requests: totals.unpriced_requests,
            cost: dollars::show(Some(totals.cost)),
            charged: dollars::show(Some(totals.charged)),
        }
    }
}

/// A row.
#[derive(Serialize, ToSchema)]
struct CostRow {
    #[serde(flatten)]
    name: RowName,
    #[serde(flatten)]
    totals: CostTotals,
}

/// What was spent in a range.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CostView {
    /// The moment at which the range begins.
    from: String,
    /// The moment at which it ends; this one is not in it.
    to: String,
    /// All of it.
    total: CostTotals,
    /// By period, and within it by cost, the greatest first.
    rows: Vec<CostRow>,
    /// Whether there are more rows than were asked for.
    has_more: bool,
}

impl CostView {
    fn new(statistics: Statistics, limit: usize) -> Result<Self, ApiError> {
        let (from, to, total) = (statistics.from, statistics.to, statistics.total);
        let mut rows = rows_of(statistics)?;
        let has_more = limit < rows.len();
        rows.truncate(limit);
        let row =
            |row: StatisticsRow| CostRow { name: RowName::of(&row), totals: row.totals.into() };
        Ok(Self {
            from: from.to_string(),
            to: to.to_string(),
            total: total.into(),
            rows: rows.into_iter().map(row).collect(),
            has_more,
        })
    }

    fn into_csv(self) -> Csv {
        let numbers = ["requests", "unpricedRequests", "cost", "charged"];
        let columns: Vec<_> = RowName::COLUMNS.into_iter().chain(numbers).collect();
        let mut csv = Csv::new(&columns);
        for CostRow { name, totals } in &self.rows {
            let numbers = [
                totals.requests.to_string(),
                totals.unpriced_requests.to_string(),
                totals.cost.to_string(),
                totals.charged.to_string(),
            ];
            csv.line(name.fields().chain(numbers.map(Field::Number)));
        }
        csv
    }
}

/// Shows what was spent in a range.
#[utoipa::path(
    get,
    path = "/api/v2/stats/cost",
    tag = "Statistics",
    security(("bearerAuth" = [])),
    params(UsageQuery),
    responses(
        (status = 200, description = "What was spent", content((CostView = "application/json"), (String = "text/csv"))),
        ApiError,
    ),
)]
pub(super) async fn show_cost(
    session: Session,
    headers: HeaderMap,
    QueryOf(query): QueryOf<UsageQuery>,
) -> Result<Response, ApiError> {
    let limit = row_limit(query.limit)?;
    let distinctions = Distinctions::parse(query.by.as_deref().unwrap_or(""))?;
    let question = question(&session, query.range(), &distinctions, query.filter())?;
    let answer = CostView::new(session.usage().statistics(&question).await?, limit)?;
    Ok(match FormatName::of_request(query.format, &headers) {
        FormatName::Json => Json(answer).into_response(),
        FormatName::Csv => answer.into_csv().into_response(),
    })
}
