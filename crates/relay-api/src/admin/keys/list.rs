//! `GET /api/v2/keys`

use axum::response::Response;
use relay_domain::GroupId;
use relay_store::{KeyQuery, KeySort, Order, Page};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fields::PermissionName;
use super::filter::KeySelection;
use super::view::KeyView;
use crate::admin::error::ApiError;
use crate::admin::extract::QueryOf;
use crate::admin::long_list;
use crate::admin::paging::{self, OrderName};
use crate::admin::session::Session;

/// Which keys, and how many.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct KeyListQuery {
    /// Deleted ones too.
    #[serde(default)]
    include_deleted: bool,
    /// Only those that are switched on, or off.
    is_active: Option<bool>,
    /// Only those that may use exactly this.
    permissions: Option<PermissionName>,
    /// Only those with this tag.
    tag: Option<String>,
    /// Only those of this group.
    #[param(value_type = Option<String>)]
    group_id: Option<GroupId>,
    /// Only those with this text in their name or id, in any case.
    search: Option<String>,
    /// Only those whose time is over, or is not.
    expired: Option<bool>,
    /// How many at most. Left out: all of them.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// Where the page begins: the `nextCursor` of the one before, asked for with the same filters and order.
    cursor: Option<String>,
    /// What they are sorted by; by when they were made unless told otherwise.
    #[serde(default)]
    #[param(inline)]
    sort: KeySortName,
    /// Which way; the greatest and newest first unless told otherwise.
    #[serde(default)]
    #[param(inline)]
    order: OrderName,
}

/// What keys are sorted by.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "camelCase")]
enum KeySortName {
    #[default]
    CreatedAt,
    Name,
    LastUsedAt,
}

impl KeySortName {
    fn as_str(self) -> &'static str {
        match self {
            Self::CreatedAt => "createdAt",
            Self::Name => "name",
            Self::LastUsedAt => "lastUsedAt",
        }
    }
}

impl From<KeySortName> for KeySort {
    fn from(name: KeySortName) -> Self {
        match name {
            KeySortName::CreatedAt => Self::CreatedAt,
            KeySortName::Name => Self::Name,
            KeySortName::LastUsedAt => Self::LastUsedAt,
        }
    }
}

// Written out without the keys, which are put in one after the other.
/// API keys.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeyList {
    keys: Vec<KeyView>,
    /// How many there are of those that were asked for, on all pages.
    total: u64,
    /// Where the next page begins. Left out on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Lists API keys, without their secrets.
#[utoipa::path(
    get,
    path = "/api/v2/keys",
    tag = "API Keys",
    security(("bearerAuth" = [])),
    params(KeyListQuery),
    responses((status = 200, body = KeyList), ApiError),
)]
pub(super) async fn list_keys(
    session: Session,
    QueryOf(query): QueryOf<KeyListQuery>,
) -> Result<Response, ApiError> {
    let (sort, order) = (query.sort.as_str(), Order::from(query.order));
    let selection = KeySelection {
        is_active: query.is_active,
        permissions: query.permissions,
        tag: query.tag,
        group_id: query.group_id,
        search: query.search,
        expired: query.expired,
    };
    let is_deleted = (!query.include_deleted).then_some(false);
    let limit = paging::check_limit(query.limit)?;
    let after = query.cursor.map(|cursor| paging::read(&cursor, sort, order)).transpose()?;
    let asked = KeyQuery {
        filter: selection.into_filter(is_deleted, session.now()),
        sort: query.sort.into(),
        order,
        after,
        limit: limit.unwrap_or(usize::MAX),
    };
    let page: Page<KeyView> = match limit {
        Some(_) => session.operator().page_of_keys(&asked).await?.map(KeyView::from),
        None => session.operator().all_keys(&asked).await?.map(KeyView::from),
    };
    let next_cursor = page.next.map(|next| paging::print(sort, order, next)).transpose()?;
    let total = page.total.unwrap_or(page.items.len() as u64);
    let shell = KeyList { keys: Vec::new(), total, next_cursor };
    Ok(long_list::answer(&shell, page.items)?)
}
