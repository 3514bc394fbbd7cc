//! `GET /api/v2/stats/keys/{id}`

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use relay_domain::KeyId;
use relay_store::statistics::StatisticsFilter;
use serde::Serialize;
use utoipa::ToSchema;

use super::csv::FormatName;
use super::range::{Distinctions, question};
use super::view::{ScopeStats, UsageView};
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::{PathOf, QueryOf};
use crate::admin::session::Session;
use crate::admin::stats::range::AskedRange;
use crate::admin::stats::usage::row_limit;

/// Which usage of a key or an account.
#[derive(serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ScopeQuery {
    /// The first day, in the operator's calendar, or the moment from whose hour on; 29 days before today
    /// unless told otherwise.
    #[param(example = "2026-11-01")]
    from: Option<String>,
    /// The last day, or the moment before which it ends; today unless told otherwise.
    #[param(example = "2026-11-30")]
    to: Option<String>,
    /// What to tell apart, as in `/api/v2/stats/usage`; `day,model` unless told otherwise.
    #[param(example = "month")]
    by: Option<String>,
    /// How many rows at most; 1000 unless told otherwise.
    #[param(minimum = 1, maximum = 50_000)]
    limit: Option<usize>,
    /// JSON, unless told otherwise here or by `Accept: text/csv`.
    #[param(inline)]
    pub(crate) format: Option<FormatName>,
}

impl ScopeQuery {
    /// What was used of what `filter` says.
    pub(crate) async fn answer(
        &self,
        session: &Session,
        filter: StatisticsFilter,
    ) -> Result<UsageView, ApiError> {
        let limit = row_limit(self.limit)?;
        let distinctions = Distinctions::parse(self.by.as_deref().unwrap_or("day,model"))?;
        let range = AskedRange { from: self.from.as_deref(), to: self.to.as_deref() };
        let question = question(session, range, &distinctions, filter)?;
        UsageView::new(session.usage().statistics(&question).await?, limit)
    }
}

/// What a key has used.
#[derive(Serialize, ToSchema)]
struct KeyUsage {
    id: String,
    name: String,
    /// In all, today and this month.
    stats: ScopeStats,
    /// In the range.
    usage: UsageView,
}

/// Shows what an API key has used. CSV has the rows of the range.
#[utoipa::path(
    get,
    path = "/api/v2/stats/keys/{id}",
    tag = "Statistics",
    security(("bearerAuth" = [])),
    params(("id" = String, Path, description = "The key's id"), ScopeQuery),
    responses(
        (status = 200, description = "What the key has used", content((KeyUsage = "application/json"), (String = "text/csv"))),
        (status = 404, body = ErrorBody, description = "There is no such key"),
        ApiError,
    ),
)]
pub(super) async fn show_key_usage(
    session: Session,
    headers: HeaderMap,
    PathOf(id): PathOf<KeyId>,
    QueryOf(query): QueryOf<ScopeQuery>,
) -> Result<Response, ApiError> {
    let key = session.operator().key(&id).await?.ok_or(ApiError::NotFound("API Key"))?;
    let filter = StatisticsFilter { key: Some(id.clone()), ..StatisticsFilter::default() };
    let usage = query.answer(&session, filter).await?;
    if FormatName::of_request(query.format, &headers) == FormatName::Csv {
        return Ok(usage.into_csv().into_response());
    }
    let stats = ScopeStats::of_key(session.usage(), &id, session.now()).await?;
    let answer = KeyUsage { id: id.into(), name: key.name, stats, usage };
    Ok(Json(answer).into_response())
}
