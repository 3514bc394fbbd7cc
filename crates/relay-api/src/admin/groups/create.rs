//! `POST /api/v2/groups`

use axum::response::Response;

use super::record::NewGroupRecord;
use super::view::OneGroup;
use crate::admin::error::ApiError;
use crate::admin::idempotency::{Creation, IdempotencyKey};
use crate::admin::revision::Revised;
use crate::admin::session::Session;

/// Makes a group. Keys join it by their field `group`.
#[utoipa::path(
    post,
    path = "/api/v2/groups",
    tag = "Groups",
    security(("bearerAuth" = [])),
    params(IdempotencyKey),
    request_body = NewGroupRecord,
    responses(
        (status = 201, body = OneGroup, headers(("ETag" = String, description = "Its revision"))),
        IdempotencyKey,
        ApiError,
    ),
)]
pub(super) async fn create_group(
    session: Session,
    creation: Creation<NewGroupRecord>,
) -> Result<Response, ApiError> {
    creation.once(session, make).await
}

async fn make(session: Session, record: NewGroupRecord) -> Result<Revised<OneGroup>, ApiError> {
    let new = record.into_new_group()?;
    Ok(session.operator().create_group(session.actor(), new).await?.into())
}
