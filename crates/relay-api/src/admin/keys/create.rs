//! `POST /api/v2/keys`

use axum::response::Response;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use utoipa::ToSchema;

use super::new::NewKeyRecord;
use super::view::KeyView;
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::idempotency::{Creation, IdempotencyKey};
use crate::admin::revision::Revised;
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
    params(IdempotencyKey),
    request_body = NewKeyRecord,
    responses(
        (status = 201, body = CreatedKey, headers(("ETag" = String, description = "Its revision"))),
        (status = 415, body = ErrorBody, description = "The body is not JSON"),
        IdempotencyKey,
        ApiError,
    ),
)]
pub(super) async fn create_key(
    session: Session,
    creation: Creation<NewKeyRecord>,
) -> Result<Response, ApiError> {
    creation.once(session, make).await
}

async fn make(session: Session, record: NewKeyRecord) -> Result<Revised<CreatedKey>, ApiError> {
    let new = record.into_new_key(session.username.clone())?;
    let (key, secret) = session.operator().create_key(session.actor(), new).await?;
    let raw_key = secret.expose_secret().to_owned();
    Ok(Revised::new(key.revision, CreatedKey { key: key.into(), raw_key }))
}
