//! `GET /api/v2/admin-tokens`

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::view::TokenView;
use crate::admin::error::ApiError;
use crate::admin::session::Session;

/// Tokens of automation.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenList {
    /// The newest first, those that have ended too.
    tokens: Vec<TokenView>,
    total: usize,
}

/// Lists the tokens of automation, without the tokens themselves.
#[utoipa::path(
    get,
    path = "/api/v2/admin-tokens",
    tag = "Admin Tokens",
    security(("bearerAuth" = [])),
    responses((status = 200, body = TokenList), ApiError),
)]
pub(super) async fn list_tokens(session: Session) -> Result<Json<TokenList>, ApiError> {
    let (tokens, now) = (session.operator().tokens().await?, session.now());
    let tokens: Vec<_> = tokens.into_iter().map(|token| TokenView::new(token, now)).collect();
    Ok(Json(TokenList { total: tokens.len(), tokens }))
}
