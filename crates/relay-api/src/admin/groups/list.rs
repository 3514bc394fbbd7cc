//! `GET /api/v2/groups`

use axum::Json;
use relay_domain::KeyGroup;
use relay_store::{Cursor, Order, SortValue};
use serde::Serialize;
use utoipa::ToSchema;

use super::view::GroupView;
use crate::admin::error::ApiError;
use crate::admin::extract::QueryOf;
use crate::admin::paging::{PageQuery, Part};
use crate::admin::session::Session;

/// Groups of API keys.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroupList {
    /// By name.
    groups: Vec<GroupView>,
    /// How many there are of those that were asked for, on all pages.
    total: usize,
    /// Where the next page begins. Left out on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Lists the groups of API keys.
#[utoipa::path(
    get,
    path = "/api/v2/groups",
    tag = "Groups",
    security(("bearerAuth" = [])),
    params(PageQuery),
    responses((status = 200, body = GroupList), ApiError),
)]
pub(super) async fn list_groups(
    session: Session,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Json<GroupList>, ApiError> {
    let groups = session.operator().groups().await?;
    let place = |group: &KeyGroup| Cursor {
        value: SortValue::Text(group.name.clone()),
        id: group.id.to_string(),
    };
    let Part { items, total, next_cursor } =
        query.part_of(groups, ("name", Order::Ascending), place, |group| &group.name)?;
    let groups = items.into_iter().map(GroupView::from).collect();
    Ok(Json(GroupList { groups, total, next_cursor }))
}
