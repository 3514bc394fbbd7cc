//! `POST /api/v2/keys/{id}/restore`

use relay_domain::KeyId;

use super::read::OneKey;
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::PathOf;
use crate::admin::revision::{IfMatch, Revised};
use crate::admin::session::Session;

/// Brings a deleted API key back, switched on.
#[utoipa::path(
    post,
    path = "/api/v2/keys/{id}/restore",
    tag = "API Keys",
    security(("bearerAuth" = [])),
    params(("id" = String, Path, description = "The key's id"), IfMatch),
    responses(
        (status = 200, body = OneKey, headers(("ETag" = String, description = "Its revision"))),
        (status = 404, body = ErrorBody, description = "There is no such key"),
        IfMatch,
        ApiError,
    ),
)]
pub(super) async fn restore_key(
    session: Session,
    PathOf(id): PathOf<KeyId>,
    IfMatch(expected): IfMatch,
) -> Result<Revised<OneKey>, ApiError> {
    Ok(session.operator().restore_key(session.actor(), &id, expected).await?.into())
}
