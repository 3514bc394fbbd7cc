//! `GET /api/v2/keys/{id}/stats`

use axum::Json;
use relay_domain::KeyId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::PathOf;
use crate::admin::session::Session;
use crate::admin::stats::view::ScopeStats;

/// What a key has used.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyStats {
    stats: ScopeStats,
}

/// Shows what an API key has used: in all, today and this month.
#[utoipa::path(
    get,
    path = "/api/v2/keys/{id}/stats",
    tag = "API Keys",
    security(("bearerAuth" = [])),
    params(("id" = String, Path, description = "The key's id")),
    responses(
        (status = 200, body = KeyStats),
        (status = 404, body = ErrorBody, description = "There is no such key"),
        ApiError,
    ),
)]
pub(super) async fn show_key_stats(
    session: Session,
    PathOf(id): PathOf<KeyId>,
) -> Result<Json<KeyStats>, ApiError> {
    session.operator().key(&id).await?.ok_or(ApiError::NotFound("API Key"))?;
    let stats = ScopeStats::of_key(session.usage(), &id, session.now()).await?;
    Ok(Json(KeyStats { stats }))
}
