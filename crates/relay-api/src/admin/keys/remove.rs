//! `DELETE /api/v2/keys/{id}`

use http::StatusCode;
use relay_domain::KeyId;
use serde::Deserialize;

use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::{PathOf, QueryOf};
use crate::admin::revision::IfMatch;
use crate::admin::session::Session;

/// For how long.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Removal {
    /// For good, with its totals: of a key that is deleted already.
    #[serde(default)]
    permanent: bool,
}

/// Deletes an API key so that it can be restored, or a deleted one for good.
#[utoipa::path(
    delete,
    path = "/api/v2/keys/{id}",
    tag = "API Keys",
    security(("bearerAuth" = [])),
    params(("id" = String, Path, description = "The key's id"), Removal, IfMatch),
    responses(
        (status = 204, description = "It is"),
        (status = 404, body = ErrorBody, description = "There is no such key"),
        (status = 409, body = ErrorBody, description = "It is deleted already"),
        IfMatch,
        ApiError,
    ),
)]
pub(super) async fn remove_key(
    session: Session,
    PathOf(id): PathOf<KeyId>,
    QueryOf(Removal { permanent }): QueryOf<Removal>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, ApiError> {
    if permanent {
        session.operator().purge_key(session.actor(), &id, expected).await?;
    } else {
        session.operator().delete_key(session.actor(), &id, expected).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
