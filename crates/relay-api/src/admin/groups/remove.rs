//! `DELETE /api/v2/groups/{id}`

use http::StatusCode;
use relay_domain::GroupId;

use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::PathOf;
use crate::admin::revision::IfMatch;
use crate::admin::session::Session;

/// Removes a group that no key belongs to.
#[utoipa::path(
    delete,
    path = "/api/v2/groups/{id}",
    tag = "Groups",
    security(("bearerAuth" = [])),
    params(("id" = String, Path, description = "The group's id"), IfMatch),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, body = ErrorBody, description = "There is no such group"),
        (status = 409, body = ErrorBody, description = "Keys belong to it"),
        IfMatch,
        ApiError,
    ),
)]
pub(super) async fn delete_group(
    session: Session,
    PathOf(id): PathOf<GroupId>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, ApiError> {
    session.operator().delete_group(session.actor(), &id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}
