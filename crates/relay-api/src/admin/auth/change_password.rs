//! `POST /api/v2/auth/change-password`

use axum::Json;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::{JsonBody, secret};
use crate::admin::session::Session;

/// A password to be replaced.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PasswordChange {
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, format = Password, min_length = 1)]
    current_password: SecretString,
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, format = Password, min_length = 8)]
    new_password: SecretString,
}

/// What was done.
#[derive(Serialize, ToSchema)]
pub(super) struct Done {
    message: &'static str,
}

/// Replaces the password and ends every session, this one too.
#[utoipa::path(
    post,
    path = "/api/v2/auth/change-password",
    tag = "Authentication",
    security(("bearerAuth" = [])),
    request_body = PasswordChange,
    responses(
        (status = 200, body = Done),
        (status = 429, body = ErrorBody, description = "Too many failed attempts; `retry-after` says when to try again"),
        ApiError,
    ),
)]
pub(super) async fn change_password(
    session: Session,
    JsonBody(change): JsonBody<PasswordChange>,
) -> Result<Json<Done>, ApiError> {
    session.change_password(&change.current_password, &change.new_password).await?;
    Ok(Json(Done { message: "Password changed successfully" }))
}
