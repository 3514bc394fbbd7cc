//! `GET /api/v2/accounts/{platform}`

use axum::Json;
use relay_domain::Platform;
use relay_store::{AccountQuery, AccountSort, Order};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::settings::AccountKindName;
use super::view::AccountView;
use crate::admin::error::ApiError;
use crate::admin::extract::{PathOf, QueryOf};
use crate::admin::paging::{self, OrderName};
use crate::admin::session::Session;

/// Which accounts, and in which order.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct AccountFilter {
    /// Only those that are switched on, or off.
    is_active: Option<bool>,
    /// Only those that the scheduler may choose, or may not.
    schedulable: Option<bool>,
    /// Only those of the pool, or only those that keys are bound to.
    account_type: Option<AccountKindName>,
    /// Only those with this text in their name or id, in whatever case.
    search: Option<String>,
    /// What they are sorted by; their priority unless told otherwise.
    #[param(inline)]
    sort: Option<SortName>,
    /// Which way; ascending unless told otherwise.
    #[param(inline)]
    order: Option<OrderName>,
    /// Goes on after a page: its `nextCursor`.
    cursor: Option<String>,
    /// How many; all unless told otherwise.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// What accounts are sorted by.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum SortName {
    #[default]
    Priority,
    Name,
    CreatedAt,
    LastUsedAt,
}

/// Accounts.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccountList {
    accounts: Vec<AccountView>,
    /// How many there are of those that were asked for, on all pages.
    total: u64,
    /// Where the next page begins; absent: this was the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl SortName {
    /// What it is called in cursors.
    fn name(self) -> &'static str {
        match self {
            Self::Priority => "priority",
            Self::Name => "name",
            Self::CreatedAt => "createdAt",
            Self::LastUsedAt => "lastUsedAt",
        }
    }
}

impl From<SortName> for AccountSort {
    fn from(name: SortName) -> Self {
        match name {
            SortName::Priority => Self::Priority,
            SortName::Name => Self::Name,
            SortName::CreatedAt => Self::CreatedAt,
            SortName::LastUsedAt => Self::LastUsedAt,
        }
    }
}

impl AccountFilter {
    /// What it is sorted by, as cursors name it, and which way.
    fn order(&self) -> (&'static str, Order) {
        let order = self.order.unwrap_or(OrderName::Asc);
        (self.sort.unwrap_or_default().name(), order.into())
    }

    fn into_query(self, platform: Platform) -> Result<AccountQuery, ApiError> {
        if self.limit.is_some_and(|limit| !(1..=1_000).contains(&limit)) {
            return Err(ApiError::Invalid { field: "limit", why: "must be from 1 to 1000" });
        }
        let (sort, order) = self.order();
        Ok(AccountQuery {
            platform: Some(platform),
            is_active: self.is_active,
            schedulable: self.schedulable,
            kind: self.account_type.map(Into::into),
            text: self.search,
            sort: self.sort.unwrap_or_default().into(),
            order,
            after: self.cursor.map(|text| paging::read(&text, sort, order)).transpose()?,
            limit: self.limit.unwrap_or(usize::MAX),
        })
    }
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
    let (sort, order) = filter.order();
    let page = session.operator().page_of_accounts(&filter.into_query(platform)?).await?;
    let next_cursor = page.next.map(|next| paging::print(sort, order, next)).transpose()?;
    let known = u64::try_from(page.items.len()).unwrap_or(u64::MAX);
    let total = page.total.unwrap_or(known);
    let accounts = AccountView::many(&session, page.items).await?;
    Ok(Json(AccountList { accounts, total, next_cursor }))
}
