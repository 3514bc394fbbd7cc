//! `POST /api/v2/keys/bulk`

use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::create::CreatedKey;
use super::fields::KeyFields;
use crate::admin::error::ApiError;
use crate::admin::idempotency::{Creation, IdempotencyKey};
use crate::admin::revision::Revised;
use crate::admin::session::Session;

/// Keys that are alike.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ManyKeys {
    /// How many.
    #[schema(minimum = 1, maximum = 1000)]
    count: usize,
    /// What they are like. A number from 1 on follows the name.
    #[serde(default)]
    template: KeyFields,
}

/// New keys with their secrets.
#[derive(Serialize, ToSchema)]
pub(super) struct CreatedKeys {
    keys: Vec<CreatedKey>,
    total: usize,
}

/// Makes many API keys from a template.
#[utoipa::path(
    post,
    path = "/api/v2/keys/bulk",
    tag = "API Keys",
    security(("bearerAuth" = [])),
    params(IdempotencyKey),
    request_body = ManyKeys,
    responses(
        (status = 201, body = CreatedKeys),
        IdempotencyKey,
        ApiError,
    ),
)]
pub(super) async fn create_keys(
    session: Session,
    creation: Creation<ManyKeys>,
) -> Result<Response, ApiError> {
    creation.once(session, make).await
}

async fn make(session: Session, asked: ManyKeys) -> Result<Revised<CreatedKeys>, ApiError> {
    let template = asked.template.into_new_key(session.username.clone(), session.now())?;
    let made = session.operator().create_keys(session.actor(), template, asked.count).await?;
    let keys: Vec<_> =
        made.into_iter().map(|(key, secret)| CreatedKey::new(key, &secret)).collect();
    Ok(Revised { revision: None, body: CreatedKeys { total: keys.len(), keys } })
}
