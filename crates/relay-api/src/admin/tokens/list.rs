//! `GET /api/v2/admin-tokens`

use axum::Json;
use relay_domain::AdminToken;
use relay_store::{Cursor, Order, SortValue};
use serde::Serialize;
use utoipa::ToSchema;

use super::view::TokenView;
use crate::admin::error::ApiError;
use crate::admin::extract::QueryOf;
use crate::admin::paging::{PageQuery, Part};
use crate::admin::session::Session;

/// Tokens of automation.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenList {
    /// The newest first, those that have ended too.
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
    params(PageQuery),
    responses((status = 200, body = TokenList), ApiError),
)]
pub(super) async fn list_tokens(
    session: Session,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Json<TokenList>, ApiError> {
    let (tokens, now) = (session.operator().tokens().await?, session.now());
    let place = |token: &AdminToken| Cursor {
        value: SortValue::Number(token.created_at.as_millis()),
        id: token.id.to_string(),
    };
    let Part { items, total, next_cursor } =
        query.part_of(tokens, ("createdAt", Order::Descending), place, |token| &token.name)?;
    let tokens = items.into_iter().map(|token| TokenView::new(token, now)).collect();
    Ok(Json(TokenList { tokens, total, next_cursor }))
}
