//! `POST /api/v2/keys/{id}/rotate`

use std::time::Duration;

use axum::response::Response;
use relay_domain::KeyId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::create::CreatedKey;
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::PathOf;
use crate::admin::idempotency::{IdempotencyKey, Optional};
use crate::admin::revision::{IfMatch, Revised};
use crate::admin::session::Session;

/// What becomes of the secret before. Without a body: it is good no more.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Rotation {
    /// How long it is still good, up to 30 days. Left out or 0: no longer.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 2_592_000)]
    grace_period_seconds: u32,
}

/// Gives an API key another secret, which is shown here and never again.
#[utoipa::path(
    post,
    path = "/api/v2/keys/{id}/rotate",
    tag = "API Keys",
    security(("bearerAuth" = [])),
    params(("id" = String, Path, description = "The key's id"), IfMatch, IdempotencyKey),
    request_body = Option<Rotation>,
    responses(
        (status = 200, body = CreatedKey, headers(("ETag" = String, description = "Its revision"))),
        (status = 404, body = ErrorBody, description = "There is no such key"),
        IfMatch,
        IdempotencyKey,
        (status = 409, body = ErrorBody,
            description = "It is deleted, or a request with this `Idempotency-Key` is being worked on"),
        ApiError,
    ),
)]
pub(super) async fn rotate_key(
    session: Session,
    PathOf(id): PathOf<KeyId>,
    IfMatch(expected): IfMatch,
    Optional(rotation): Optional<Rotation>,
) -> Result<Response, ApiError> {
    let (rotation, repeatable) = rotation.into_parts();
    let grace = Duration::from_secs(rotation.grace_period_seconds.into());
    let asking = session.clone();
    let rotating = async move {
        let (key, secret) =
            session.operator().rotate_key(session.actor(), &id, expected, grace).await?;
        Ok(Revised::new(key.revision, CreatedKey::new(key, &secret)))
    };
    Box::pin(repeatable.once(asking, rotating)).await
}
