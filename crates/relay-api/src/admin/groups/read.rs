//! `GET /api/v2/groups/{id}`

use relay_domain::GroupId;

use super::view::OneGroup;
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::PathOf;
use crate::admin::revision::Revised;
use crate::admin::session::Session;

/// Shows a group.
#[utoipa::path(
    get,
    path = "/api/v2/groups/{id}",
    tag = "Groups",
    security(("bearerAuth" = [])),
    params(("id" = String, Path, description = "The group's id")),
    responses(
        (status = 200, body = OneGroup, headers(("ETag" = String, description = "Its revision"))),
        (status = 404, body = ErrorBody, description = "There is no such group"),
        ApiError,
    ),
)]
pub(super) async fn read_group(
    session: Session,
    PathOf(id): PathOf<GroupId>,
) -> Result<Revised<OneGroup>, ApiError> {
    Ok(session.operator().group(&id).await?.into())
}
