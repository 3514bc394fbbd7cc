//! `DELETE /api/v2/account-groups/{id}`

use http::StatusCode;
use relay_domain::AccountGroupId;

use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::PathOf;
use crate::admin::revision::IfMatch;
use crate::admin::session::Session;

/// Removes a group of accounts that no API key is bound to.
#[utoipa::path(
    delete,
    path = "/api/v2/account-groups/{id}",
    tag = "Account Groups",
    security(("bearerAuth" = [])),
    params(("id" = String, Path, description = "The group's id"), IfMatch),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, body = ErrorBody, description = "There is no such group of accounts"),
        (status = 409, body = ErrorBody, description = "Keys are bound to it"),
        IfMatch,
        ApiError,
    ),
)]
pub(super) async fn delete_account_group(
    session: Session,
    PathOf(id): PathOf<AccountGroupId>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, ApiError> {
    session.operator().delete_account_group(session.actor(), &id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}
