//! `POST /api/v2/groups/{id}/reset-limits`

use relay_domain::GroupId;

use super::view::OneGroup;
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::PathOf;
use crate::admin::revision::{IfMatch, Revised};
use crate::admin::session::Session;

/// Starts every limit of a group anew. What requests in flight hold still weighs; statistics stay.
#[utoipa::path(
    post,
    path = "/api/v2/groups/{id}/reset-limits",
    tag = "Groups",
    security(("bearerAuth" = [])),
    params(("id" = String, Path, description = "The group's id"), IfMatch),
    responses(
        (status = 200, body = OneGroup, headers(("ETag" = String, description = "Its revision"))),
        (status = 404, body = ErrorBody, description = "There is no such group"),
        IfMatch,
        ApiError,
    ),
)]
pub(super) async fn reset_group_limits(
    session: Session,
    PathOf(id): PathOf<GroupId>,
    IfMatch(expected): IfMatch,
) -> Result<Revised<OneGroup>, ApiError> {
    let operator = session.operator();
    Ok(operator.restart_group_limits(session.actor(), &id, expected).await?.into())
}
