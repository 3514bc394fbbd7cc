//! `GET /api/v2/groups`

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::view::GroupView;
use crate::admin::error::ApiError;
use crate::admin::session::Session;

/// Groups of API keys.
#[derive(Serialize, ToSchema)]
pub(super) struct GroupList {
    /// By name.
    groups: Vec<GroupView>,
    total: usize,
}

/// Lists the groups of API keys.
#[utoipa::path(
    get,
    path = "/api/v2/groups",
    tag = "Groups",
    security(("bearerAuth" = [])),
    responses((status = 200, body = GroupList), ApiError),
)]
pub(super) async fn list_groups(session: Session) -> Result<Json<GroupList>, ApiError> {
    let groups = session.operator().groups().await?;
    let groups: Vec<_> = groups.into_iter().map(GroupView::from).collect();
    Ok(Json(GroupList { total: groups.len(), groups }))
}
