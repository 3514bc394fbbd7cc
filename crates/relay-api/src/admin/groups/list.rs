//! `GET /api/v2/groups`

use axum::Json;
use relay_domain::KeyGroup;
use relay_store::{Order, SortValue};
use serde::Serialize;
use utoipa::ToSchema;

use super::view::GroupView;
use crate::admin::error::ApiError;
use crate::admin::extract::QueryOf;
use crate::admin::session::Session;
use crate::admin::short_list::{GroupSortName, Listed, PageQuery, Part};

/// Groups of API keys.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroupList {
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
    params(PageQuery<GroupSortName>),
    responses((status = 200, body = GroupList), ApiError),
)]
pub(super) async fn list_groups(
    session: Session,
    QueryOf(query): QueryOf<PageQuery<GroupSortName>>,
) -> Result<Json<GroupList>, ApiError> {
    let groups = session.operator().groups().await?;
    let Part { items, total, next_cursor } = query.part_of(groups)?;
    let groups = items.into_iter().map(GroupView::from).collect();
    Ok(Json(GroupList { groups, total, next_cursor }))
}

impl Listed for KeyGroup {
    type Sort = GroupSortName;

    const ORDER: Order = Order::Ascending;

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn value(&self, sort: GroupSortName) -> SortValue {
        sort.value(&self.name, self.created_at)
    }
}
