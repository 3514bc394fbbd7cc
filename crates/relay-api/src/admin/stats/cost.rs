//! `GET /api/v2/stats/cost`

use axum::response::Response;
use http::HeaderMap;
use relay_store::UsageTotals;
use relay_store::statistics::Statistics;
use serde::Serialize;
use serde_json::Number;
use utoipa::ToSchema;

use super::csv::{Csv, FormatName};
use super::usage::UsageQuery;
use super::view::{Answer, RowName, table};
use crate::admin::dollars::{self, decimal};
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
        let Answer { from, to, total, rows, has_more } = Answer::of(statistics, limit)?;
        let rows = rows.into_iter().map(|(name, totals)| CostRow { name, totals }).collect();
        Ok(Self { from, to, total, rows, has_more })
    }

    fn into_csv(self) -> Csv {
        let numbers = ["requests", "unpricedRequests", "cost", "charged"];
        table(&numbers, self.rows.iter().map(|CostRow { name, totals }| (name, totals)), |totals| {
            [
                totals.requests.to_string(),
                totals.unpriced_requests.to_string(),
                decimal(&totals.cost),
                decimal(&totals.charged),
            ]
        })
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
    let (statistics, limit) = query.ask(&session).await?;
    let answer = CostView::new(statistics, limit)?;
    Ok(FormatName::of_request(query.format, &headers).write(answer, CostView::into_csv))
}
