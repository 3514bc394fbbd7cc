//! `POST /api/v2/admin-tokens`

use axum::response::Response;
use relay_domain::{Timestamp, TokenScope};
use relay_engine::operator::NewToken;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::view::{ScopeName, TokenView};
use crate::admin::error::ApiError;
use crate::admin::idempotency::{Creation, IdempotencyKey};
use crate::admin::revision::Revised;
use crate::admin::session::Session;

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewTokenRecord {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    #[schema(min_items = 1)]
    scopes: Vec<ScopeName>,
    /// When it ends by itself; never unless told otherwise.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// A new token with its secret.
#[derive(Serialize, ToSchema)]
pub(super) struct CreatedToken {
    token: TokenView,
    /// To be sent as `Authorization: Bearer`. It is shown here and never again.
    secret: String,
}

/// Makes a token for automation. It takes a login, or a token with the scope `admin`.
#[utoipa::path(
    post,
    path = "/api/v2/admin-tokens",
    tag = "Admin Tokens",
    security(("bearerAuth" = [])),
    params(IdempotencyKey),
    request_body = NewTokenRecord,
    responses(
        (status = 201, body = CreatedToken),
        IdempotencyKey,
        ApiError,
    ),
)]
pub(super) async fn create_token(
    session: Session,
    creation: Creation<NewTokenRecord>,
) -> Result<Response, ApiError> {
    creation.once(session, make).await
}

async fn make(session: Session, record: NewTokenRecord) -> Result<Revised<CreatedToken>, ApiError> {
    let text = record.expires_at.as_deref().filter(|text| !text.is_empty());
    let why = "must be a date and time such as 2030-01-31T12:00:00Z";
    let end = |text| {
        let invalid = ApiError::Invalid { field: "expiresAt", why };
        Timestamp::parse_rfc3339(text).ok_or(invalid)
    };
    let new = NewToken {
        expires_at: text.map(end).transpose()?,
        name: record.name,
        scopes: record.scopes.into_iter().map(TokenScope::from).collect(),
    };
    let (token, secret) = session.operator().mint_token(session.actor(), new).await?;
    let body = CreatedToken {
        token: TokenView::new(token, session.now()),
        secret: secret.expose_secret().to_owned(),
    };
    Ok(Revised { revision: None, body })
}
