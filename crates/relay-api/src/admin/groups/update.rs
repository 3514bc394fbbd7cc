//! `PUT /api/v2/groups/{id}`

use relay_domain::{GroupId, KeyGroup};

use super::record::{GroupChange, NO_WINDOW};
use super::view::OneGroup;
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::{JsonBody, PathOf};
use crate::admin::revision::{IfMatch, Revised};
use crate::admin::session::Session;

/// Changes a group. What is left out stays; `null` clears what can be empty.
#[utoipa::path(
    put,
    path = "/api/v2/groups/{id}",
    tag = "Groups",
    security(("bearerAuth" = [])),
    params(("id" = String, Path, description = "The group's id"), IfMatch),
    request_body = GroupChange,
    responses(
        (status = 200, body = OneGroup, headers(("ETag" = String, description = "Its revision"))),
        (status = 404, body = ErrorBody, description = "There is no such group"),
        IfMatch,
        ApiError,
    ),
)]
pub(super) async fn update_group(
    session: Session,
    PathOf(id): PathOf<GroupId>,
    IfMatch(expected): IfMatch,
    JsonBody(change): JsonBody<GroupChange>,
) -> Result<Revised<OneGroup>, ApiError> {
    let given = change.limits()?;
    let operator = session.operator();
    if given.lack_a_window(operator.group(&id).await?.limits) {
        return Err(NO_WINDOW);
    }
    let edit = |group: &mut KeyGroup| {
        if let Some(name) = &change.name {
            group.name.clone_from(name);
        }
        change.description.apply_or_default(&mut group.description, String::clone);
        given.apply(&mut group.limits);
    };
    Ok(operator.update_group(session.actor(), &id, expected, &edit).await?.into())
}
