//! `PUT /api/v2/keys/{id}`

use relay_domain::KeyId;

use super::fields::KeyFields;
use super::read::OneKey;
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::{JsonBody, PathOf};
use crate::admin::revision::{IfMatch, Revised};
use crate::admin::session::Session;

/// Changes an API key. What is left out stays as it is.
#[utoipa::path(
    put,
    path = "/api/v2/keys/{id}",
    tag = "API Keys",
    security(("bearerAuth" = [])),
    params(("id" = String, Path, description = "The key's id"), IfMatch),
    request_body = KeyFields,
    responses(
        (status = 200, body = OneKey, headers(("ETag" = String, description = "Its revision"))),
        (status = 404, body = ErrorBody, description = "There is no such key"),
        (status = 409, body = ErrorBody, description = "It is deleted"),
        IfMatch,
        ApiError,
    ),
)]
pub(super) async fn update_key(
    session: Session,
    PathOf(id): PathOf<KeyId>,
    IfMatch(expected): IfMatch,
    JsonBody(fields): JsonBody<KeyFields>,
) -> Result<Revised<OneKey>, ApiError> {
    let edit = fields.into_edit(session.now())?;
    Ok(session.operator().update_key(session.actor(), &id, expected, &edit).await?.into())
}
