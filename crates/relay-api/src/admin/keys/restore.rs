//! `POST /api/v2/keys/{id}/restore`

use axum::response::Response;
use relay_domain::KeyId;

use super::read::OneKey;
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::PathOf;
use crate::admin::idempotency::{IdempotencyKey, Repeatable};
use crate::admin::revision::{IfMatch, Revised};
use crate::admin::session::Session;

/// Brings a deleted API key back, switched on.
#[utoipa::path(
    post,
    path = "/api/v2/keys/{id}/restore",
    tag = "API Keys",
    security(("bearerAuth" = [])),
    params(("id" = String, Path, description = "The key's id"), IfMatch, IdempotencyKey),
    responses(
        (status = 200, body = OneKey, headers(("ETag" = String, description = "Its revision"))),
        (status = 404, body = ErrorBody, description = "There is no such key"),
        IfMatch,
        IdempotencyKey,
        ApiError,
    ),
)]
pub(super) async fn restore_key(
    session: Session,
    PathOf(id): PathOf<KeyId>,
    IfMatch(expected): IfMatch,
    repeatable: Repeatable,
) -> Result<Response, ApiError> {
    let asking = session.clone();
    let restoring = async move {
        let restored: Revised<OneKey> =
            session.operator().restore_key(session.actor(), &id, expected).await?.into();
        Ok(restored)
    };
    Box::pin(repeatable.once(asking, restoring)).await
}
