//! `POST /api/v2/keys`

use axum::response::Response;
use relay_domain::ApiKey;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use utoipa::ToSchema;

use super::fields::KeyFields;
use super::view::KeyView;
use crate::admin::error::ApiError;
use crate::admin::idempotency::{Creation, IdempotencyKey};
use crate::admin::revision::Revised;
use crate::admin::session::Session;

/// A key with its new secret.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreatedKey {
    key: KeyView,
    /// What clients present. It is shown here and never again.
    raw_key: String,
}

impl CreatedKey {
    /// A key, and the secret that was made for it.
    pub(super) fn new(key: ApiKey, secret: &SecretString) -> Self {
        Self { key: key.into(), raw_key: secret.expose_secret().to_owned() }
    }
}

/// Makes an API key.
#[utoipa::path(
    post,
    path = "/api/v2/keys",
    tag = "API Keys",
    security(("bearerAuth" = [])),
    params(IdempotencyKey),
    request_body = KeyFields,
    responses(
        (status = 201, body = CreatedKey, headers(("ETag" = String, description = "Its revision"))),
        IdempotencyKey,
        ApiError,
    ),
)]
pub(super) async fn create_key(
    session: Session,
    creation: Creation<KeyFields>,
) -> Result<Response, ApiError> {
    creation.once(session, make).await
}

async fn make(session: Session, fields: KeyFields) -> Result<Revised<CreatedKey>, ApiError> {
    let new = fields.into_new_key(session.username.clone(), session.now())?;
    let (key, secret) = session.operator().create_key(session.actor(), new).await?;
    Ok(Revised::new(key.revision, CreatedKey::new(key, &secret)))
}
