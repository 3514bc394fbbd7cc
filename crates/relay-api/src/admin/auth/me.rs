//! `GET /api/v2/auth/me`

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::error::ApiError;
use crate::admin::session::Session;

/// Who is logged in.
#[derive(Serialize, ToSchema)]
pub(super) struct Me {
    username: String,
    /// `admin`, or `token` of a token of automation.
    role: &'static str,
    /// What the token may do; whoever is logged in may do everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<&'static str>>,
}

/// Tells who is logged in.
#[utoipa::path(
    get,
    path = "/api/v2/auth/me",
    tag = "Authentication",
    security(("bearerAuth" = [])),
    responses((status = 200, body = Me), ApiError),
)]
pub(super) async fn me(session: Session) -> Json<Me> {
    let scopes =
        session.token().map(|token| token.scopes.iter().map(|scope| scope.as_str()).collect());
    let role = if scopes.is_some() { "token" } else { "admin" };
    Json(Me { username: session.username, role, scopes })
}
