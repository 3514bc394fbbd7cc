//! `GET /api/v2/keys/{id}`

use relay_domain::KeyId;
use serde::Serialize;
use utoipa::ToSchema;

use super::view::KeyView;
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::PathOf;
use crate::admin::revision::Revised;
use crate::admin::session::Session;

/// One API key.
#[derive(Serialize, ToSchema)]
pub(super) struct OneKey {
    key: KeyView,
}

/// Shows an API key, deleted or not.
#[utoipa::path(
    get,
    path = "/api/v2/keys/{id}",
    tag = "API Keys",
    security(("bearerAuth" = [])),
    params(("id" = String, Path, description = "The key's id")),
    responses(
        (status = 200, body = OneKey, headers(("ETag" = String, description = "Its revision"))),
        (status = 404, body = ErrorBody, description = "There is no such key"),
        ApiError,
    ),
)]
pub(super) async fn read_key(
    session: Session,
    PathOf(id): PathOf<KeyId>,
) -> Result<Revised<OneKey>, ApiError> {
    let key = session.operator().key(&id).await?.ok_or(ApiError::NotFound("API Key"))?;
    Ok(Revised::new(key.revision, OneKey { key: key.into() }))
}
