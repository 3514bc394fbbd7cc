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
    /// Always `admin`.
    role: &'static str,
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
    Json(Me { username: session.username, role: "admin" })
}
