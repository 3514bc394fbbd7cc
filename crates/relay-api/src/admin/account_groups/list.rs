//! `GET /api/v2/account-groups`

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::view::AccountGroupView;
use crate::admin::error::ApiError;
use crate::admin::session::Session;

/// Groups of accounts.
#[derive(Serialize, ToSchema)]
pub(super) struct AccountGroupList {
    /// By name.
    groups: Vec<AccountGroupView>,
    total: usize,
}

/// Lists the groups of accounts.
#[utoipa::path(
    get,
    path = "/api/v2/account-groups",
    tag = "Account Groups",
    security(("bearerAuth" = [])),
    responses((status = 200, body = AccountGroupList), ApiError),
)]
pub(super) async fn list_account_groups(
    session: Session,
) -> Result<Json<AccountGroupList>, ApiError> {
    let groups = session.operator().account_groups().await?;
    let groups: Vec<_> = groups.into_iter().map(AccountGroupView::from).collect();
    Ok(Json(AccountGroupList { total: groups.len(), groups }))
}
