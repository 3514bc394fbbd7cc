//! `GET /api/v2/accounts/{platform}`

use axum::Json;
use relay_domain::Platform;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::new::AccountKindName;
use super::view::AccountView;
use crate::admin::error::ApiError;
use crate::admin::extract::{PathOf, QueryOf};
use crate::admin::session::Session;

/// Which accounts.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AccountFilter {
    /// Only those that are switched on, or off.
    is_active: Option<bool>,
    /// Only those that the scheduler may choose, or may not.
    schedulable: Option<bool>,
    /// Only those of the pool, or only those that keys are bound to.
    account_type: Option<AccountKindName>,
}

/// Accounts.
#[derive(Serialize, ToSchema)]
pub(super) struct AccountList {
    /// By priority.
    accounts: Vec<AccountView>,
    total: usize,
}

/// Lists the accounts of a platform, without their credentials.
#[utoipa::path(
    get,
    path = "/api/v2/accounts/{platform}",
    tag = "Accounts",
    security(("bearerAuth" = [])),
    params(("platform" = String, Path, description = "`claude-console` or `codex`"), AccountFilter),
    responses((status = 200, body = AccountList), ApiError),
)]
pub(super) async fn list_accounts(
    session: Session,
    PathOf(platform): PathOf<Platform>,
    QueryOf(filter): QueryOf<AccountFilter>,
) -> Result<Json<AccountList>, ApiError> {
    let mut accounts = session.operator().accounts().await?;
    accounts.retain(|account| {
        account.platform == platform
            && filter.is_active.is_none_or(|wanted| wanted == account.is_active)
            && filter.schedulable.is_none_or(|wanted| wanted == account.schedulable)
            && filter.account_type.is_none_or(|wanted| account.kind == wanted.into())
    });
    let now = session.now();
    let accounts: Vec<_> =
        accounts.into_iter().map(|account| AccountView::new(account, now)).collect();
    Ok(Json(AccountList { total: accounts.len(), accounts }))
}
