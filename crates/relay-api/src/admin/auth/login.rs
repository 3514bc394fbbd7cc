//! `POST /api/v2/auth/admin/login`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::{JsonBody, Origin, secret};
use crate::admin::session::Sessions;

/// Who wants in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginRequest {
    #[schema(min_length = 1, max_length = 100)]
    username: String,
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, format = Password, min_length = 1)]
    password: SecretString,
}

/// A session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LoginAnswer {
    /// To be sent as `Authorization: Bearer`.
    token: String,
    /// How long the token is good, in milliseconds.
    expires_in: u64,
}

/// Begins a session. With the token of an earlier one in `Authorization`, expired or not, the attempt is
/// not slowed down by what others have tried.
#[utoipa::path(
    post,
    path = "/api/v2/auth/admin/login",
    tag = "Authentication",
    request_body = LoginRequest,
    responses(
        (status = 200, body = LoginAnswer),
        (status = 400, body = ErrorBody, description = "Something in the request is wrong"),
        (status = 401, body = ErrorBody, description = "The username or the password is wrong"),
        (status = 429, body = ErrorBody, description = "Too many failed attempts; `retry-after` says when to try again"),
        (status = 503, body = ErrorBody, description = "The store cannot be reached"),
    ),
)]
pub(super) async fn login(
    State(sessions): State<Arc<Sessions>>,
    origin: Origin,
    headers: HeaderMap,
    JsonBody(request): JsonBody<LoginRequest>,
) -> Result<Json<LoginAnswer>, ApiError> {
    if !(1..=100).contains(&request.username.chars().count()) {
        return Err(ApiError::Invalid { field: "username", why: "must have 1 to 100 characters" });
    }
    if request.password.expose_secret().is_empty() {
        return Err(ApiError::Invalid { field: "password", why: "must not be empty" });
    }
    let token = sessions.begin(request.username, &request.password, origin, &headers).await?;
    let expires_in = u64::try_from(sessions.ttl().as_millis()).unwrap_or(u64::MAX);
    Ok(Json(LoginAnswer { token: token.expose_secret().to_owned(), expires_in }))
}
