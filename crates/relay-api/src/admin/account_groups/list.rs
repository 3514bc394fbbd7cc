//! `GET /api/v2/account-groups`

use axum::Json;
use relay_domain::AccountGroup;
use relay_store::{Cursor, Order, SortValue};
use serde::Serialize;
use utoipa::ToSchema;

use super::view::AccountGroupView;
use crate::admin::error::ApiError;
use crate::admin::extract::QueryOf;
use crate::admin::paging::{PageQuery, Part};
use crate::admin::session::Session;

/// Groups of accounts.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccountGroupList {
    /// By name.
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
    params(PageQuery),
    responses((status = 200, body = AccountGroupList), ApiError),
)]
pub(super) async fn list_account_groups(
    session: Session,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Json<AccountGroupList>, ApiError> {
    let groups = session.operator().account_groups().await?;
    let place = |group: &AccountGroup| Cursor {
        value: SortValue::Text(group.name.clone()),
        id: group.id.to_string(),
    };
    let Part { items, total, next_cursor } =
        query.part_of(groups, ("name", Order::Ascending), place, |group| &group.name)?;
    let groups = items.into_iter().map(AccountGroupView::from).collect();
    Ok(Json(AccountGroupList { groups, total, next_cursor }))
}
