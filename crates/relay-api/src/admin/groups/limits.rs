//! `GET /api/v2/groups/{id}/limits`

use axum::Json;
use relay_domain::{GroupId, LimitScope};
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::PathOf;
use crate::admin::limit_view::LimitView;
use crate::admin::session::Session;

/// How far a group's limits are used.
#[derive(Serialize, ToSchema)]
pub(super) struct GroupStanding {
    limits: Vec<LimitView>,
}

/// Shows how far each limit of a group is used by its keys together.
#[utoipa::path(
    get,
    path = "/api/v2/groups/{id}/limits",
    tag = "Groups",
    security(("bearerAuth" = [])),
    params(("id" = String, Path, description = "The group's id")),
    responses(
        (status = 200, body = GroupStanding),
        (status = 404, body = ErrorBody, description = "There is no such group"),
        ApiError,
    ),
)]
pub(super) async fn group_limits(
    session: Session,
    PathOf(id): PathOf<GroupId>,
) -> Result<Json<GroupStanding>, ApiError> {
    let operator = session.operator();
    let group = operator.group(&id).await?;
    let states = operator.standing(&LimitScope::Group(id), &group.limits).await?;
    Ok(Json(GroupStanding { limits: states.into_iter().map(LimitView::from).collect() }))
}
