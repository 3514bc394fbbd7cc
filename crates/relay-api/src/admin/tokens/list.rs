//! `GET /api/v2/admin-tokens`

use axum::Json;
use relay_domain::AdminToken;
use relay_store::{Order, SortValue};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::view::TokenView;
use crate::admin::error::ApiError;
use crate::admin::extract::QueryOf;
use crate::admin::session::Session;
use crate::admin::short_list::{Listed, PageQuery, Part, by_moment, by_name};

/// What tokens are sorted by.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum TokenSortName {
    #[default]
    CreatedAt,
    Name,
    LastUsedAt,
}

impl From<TokenSortName> for &'static str {
    fn from(name: TokenSortName) -> Self {
        match name {
            TokenSortName::CreatedAt => "createdAt",
            TokenSortName::Name => "name",
            TokenSortName::LastUsedAt => "lastUsedAt",
        }
    }
}

/// Tokens of automation.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenList {
    /// Those that have ended too.
    tokens: Vec<TokenView>,
    /// How many there are of those that were asked for, on all pages.
    total: usize,
    /// Where the next page begins. Left out on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Lists the tokens of automation, without the tokens themselves.
#[utoipa::path(
    get,
    path = "/api/v2/admin-tokens",
    tag = "Admin Tokens",
    security(("bearerAuth" = [])),
    params(PageQuery<TokenSortName>),
    responses((status = 200, body = TokenList), ApiError),
)]
pub(super) async fn list_tokens(
    session: Session,
    QueryOf(query): QueryOf<PageQuery<TokenSortName>>,
) -> Result<Json<TokenList>, ApiError> {
    let (tokens, now) = (session.operator().tokens().await?, session.now());
    let Part { items, total, next_cursor } = query.part_of(tokens)?;
    let tokens = items.into_iter().map(|token| TokenView::new(token, now)).collect();
    Ok(Json(TokenList { tokens, total, next_cursor }))
}

impl Listed for AdminToken {
    type Sort = TokenSortName;

    const ORDER: Order = Order::Descending;

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn value(&self, sort: TokenSortName) -> SortValue {
        match sort {
            TokenSortName::CreatedAt => by_moment(Some(self.created_at)),
            TokenSortName::Name => by_name(&self.name),
            TokenSortName::LastUsedAt => by_moment(self.last_used_at),
        }
    }
}
