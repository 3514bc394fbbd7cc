//! `GET /api/v2/accounts/{platform}/{id}/stats`

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use relay_domain::{AccountId, Platform};
use relay_store::UsageScope;
use relay_store::statistics::StatisticsFilter;
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::{PathOf, QueryOf};
use crate::admin::session::Session;
use crate::admin::stats::FormatName;
use crate::admin::stats::key::ScopeQuery;
use crate::admin::stats::view::{ScopeStats, UsageView};

/// What an account was used for.
#[derive(Serialize, ToSchema)]
struct AccountUsage {
    /// In all, today and this month.
    stats: ScopeStats,
    /// In the range.
    usage: UsageView,
}

/// Shows what an account was used for. CSV has the rows of the range.
#[utoipa::path(
    get,
    path = "/api/v2/accounts/{platform}/{id}/stats",
    tag = "Accounts",
    security(("bearerAuth" = [])),
    params(
        ("platform" = String, Path, description = "`claude-console` or `codex`"),
        ("id" = String, Path, description = "The account's id"),
        ScopeQuery,
    ),
    responses(
        (status = 200, description = "What it was used for", content((AccountUsage = "application/json"), (String = "text/csv"))),
        (status = 404, body = ErrorBody, description = "The platform has no such account"),
        ApiError,
    ),
)]
pub(super) async fn show_account_stats(
    session: Session,
    headers: HeaderMap,
    PathOf((platform, id)): PathOf<(Platform, AccountId)>,
    QueryOf(query): QueryOf<ScopeQuery>,
) -> Result<Response, ApiError> {
    let account = session.operator().account(&id).await?;
    let account = account.filter(|account| account.platform == platform);
    account.ok_or(ApiError::NotFound("Account"))?;
    let filter = StatisticsFilter { account: Some(id.clone()), ..StatisticsFilter::default() };
    let usage = query.answer(&session, filter).await?;
    if FormatName::of_request(query.format, &headers) == FormatName::Csv {
        return Ok(usage.into_csv().into_response());
    }
    let scope = UsageScope::Account(id);
    let stats = ScopeStats::read(session.usage(), &scope, session.now()).await?;
    Ok(Json(AccountUsage { stats, usage }).into_response())
}
