//! `POST /api/v2/account-groups`

use axum::response::Response;

use super::record::NewAccountGroupRecord;
use super::view::OneAccountGroup;
use crate::admin::error::ApiError;
use crate::admin::idempotency::{Creation, IdempotencyKey};
use crate::admin::revision::Revised;
use crate::admin::session::Session;

/// Makes a group of accounts. Keys are bound to it by `group:` and its id in their fields `claudeConsoleAccountId` or
/// `codexAccountId`, and served by its members alone.
#[utoipa::path(
    post,
    path = "/api/v2/account-groups",
    tag = "Account Groups",
    security(("bearerAuth" = [])),
    params(IdempotencyKey),
    request_body = NewAccountGroupRecord,
    responses(
        (status = 201, body = OneAccountGroup, headers(("ETag" = String, description = "Its revision"))),
        IdempotencyKey,
        ApiError,
    ),
)]
pub(super) async fn create_account_group(
    session: Session,
    creation: Creation<NewAccountGroupRecord>,
) -> Result<Response, ApiError> {
    creation.once(session, make).await
}

async fn make(
    session: Session,
    record: NewAccountGroupRecord,
) -> Result<Revised<OneAccountGroup>, ApiError> {
    Ok(session.operator().create_account_group(session.actor(), record.into()).await?.into())
}
