//! `DELETE /api/v2/admin-tokens/{id}`

use http::StatusCode;
use relay_domain::AdminTokenId;

use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::PathOf;
use crate::admin::session::Session;

/// Ends a token for good, from the next request on. It stays in the list. It takes a login, or a token with
/// the scope `admin`.
#[utoipa::path(
    delete,
    path = "/api/v2/admin-tokens/{id}",
    tag = "Admin Tokens",
    security(("bearerAuth" = [])),
    params(("id" = String, Path, description = "The token's id")),
    responses(
        (status = 204, description = "It has ended, now or before"),
        (status = 404, body = ErrorBody, description = "There is no such token"),
        ApiError,
    ),
)]
pub(super) async fn revoke_token(
    session: Session,
    PathOf(id): PathOf<AdminTokenId>,
) -> Result<StatusCode, ApiError> {
    session.operator().revoke_token(session.actor(), &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
