//! `POST /api/v2/keys/{id}/reset-limits`

use axum::Json;
use relay_domain::KeyId;

use super::limits::KeyLimits;
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::PathOf;
use crate::admin::revision::IfMatch;
use crate::admin::session::Session;

/// Starts every limit of an API key's own anew and shows them. What requests in flight hold still counts, and
/// statistics stay.
#[utoipa::path(
    post,
    path = "/api/v2/keys/{id}/reset-limits",
    tag = "API Keys",
    security(("bearerAuth" = [])),
    params(("id" = String, Path, description = "The key's id"), IfMatch),
    responses(
        (status = 200, body = KeyLimits),
        (status = 404, body = ErrorBody, description = "There is no such key"),
        (status = 409, body = ErrorBody, description = "It is deleted"),
        IfMatch,
        ApiError,
    ),
)]
pub(super) async fn reset_key_limits(
    session: Session,
    PathOf(id): PathOf<KeyId>,
    IfMatch(expected): IfMatch,
) -> Result<Json<KeyLimits>, ApiError> {
    let operator = session.operator();
    Ok(Json(operator.restart_key_limits(session.actor(), &id, expected).await?.into()))
}
