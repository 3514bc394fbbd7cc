//! `POST /api/v2/keys`

use axum::Json;
use http::StatusCode;
use relay_domain::Actor;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use utoipa::ToSchema;

use super::new::NewKeyRecord;
use super::view::KeyView;
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::JsonBody;
use crate::admin::session::Session;

/// A new key with its secret.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreatedKey {
    key: KeyView,
    /// What clients present. It is shown here and never again.
    raw_key: String,
}

/// Makes an API key.
#[utoipa::path(
    post,
    path = "/api/v2/keys",
    tag = "API Keys",
    security(("bearerAuth" = [])),
    request_body = NewKeyRecord,
    responses(
        (status = 201, body = CreatedKey),
        (status = 415, body = ErrorBody, description = "The body is not JSON"),
        ApiError,
    ),
)]
pub(super) async fn create_key(
    session: Session,
    JsonBody(record): JsonBody<NewKeyRecord>,
) -> Result<(StatusCode, Json<CreatedKey>), ApiError> {
    let new = record.into_new_key(session.username.clone())?;
    let actor = Actor::admin(session.username.as_str());
    let (key, secret) = session.operator().create_key(&actor, new).await?;
    let raw_key = secret.expose_secret().to_owned();
    Ok((StatusCode::CREATED, Json(CreatedKey { key: key.into(), raw_key })))
}
