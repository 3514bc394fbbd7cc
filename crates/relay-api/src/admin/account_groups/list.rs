//! `GET /api/v2/account-groups`

use axum::Json;
use relay_domain::AccountGroup;
use relay_store::{Order, SortValue};
use serde::Serialize;
use utoipa::ToSchema;

use super::view::AccountGroupView;
use crate::admin::error::ApiError;
use crate::admin::extract::QueryOf;
use crate::admin::session::Session;
use crate::admin::short_list::{GroupSortName, Listed, PageQuery, Part};

/// Groups of accounts.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccountGroupList {
    groups: Vec<AccountGroupView>,
    /// How many there are of those that were asked for, on all pages.
    total: usize,
    /// Where the next page begins. Left out on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Lists the groups of accounts.
#[utoipa::path(
    get,
    path = "/api/v2/account-groups",
    tag = "Account Groups",
    security(("bearerAuth" = [])),
    params(PageQuery<GroupSortName>),
    responses((status = 200, body = AccountGroupList), ApiError),
)]
pub(super) async fn list_account_groups(
    session: Session,
    QueryOf(query): QueryOf<PageQuery<GroupSortName>>,
) -> Result<Json<AccountGroupList>, ApiError> {
    let groups = session.operator().account_groups().await?;
    let Part { items, total, next_cursor } = query.part_of(groups)?;
    let groups = items.into_iter().map(AccountGroupView::from).collect();
    Ok(Json(AccountGroupList { groups, total, next_cursor }))
}

impl Listed for AccountGroup {
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
