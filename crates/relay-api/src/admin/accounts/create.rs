//! `POST /api/v2/accounts/{platform}`

use axum::response::Response;
use relay_domain::Platform;

use super::new::NewAccountRecord;
use super::view::{AccountView, OneAccount};
use crate::admin::error::ApiError;
use crate::admin::extract::PathOf;
use crate::admin::idempotency::{Creation, IdempotencyKey};
use crate::admin::revision::Revised;
use crate::admin::self_loop;
use crate::admin::session::Session;

/// Adds an account.
#[utoipa::path(
    post,
    path = "/api/v2/accounts/{platform}",
    tag = "Accounts",
    security(("bearerAuth" = [])),
    params(
        ("platform" = String, Path, description = "`claude-console` or `codex`"),
        IdempotencyKey,
    ),
    request_body = NewAccountRecord,
    responses(
        (status = 201, body = OneAccount, headers(("ETag" = String, description = "Its revision"))),
        IdempotencyKey,
        ApiError,
    ),
)]
pub(super) async fn create_account(
    session: Session,
    PathOf(platform): PathOf<Platform>,
    creation: Creation<NewAccountRecord>,
) -> Result<Response, ApiError> {
    creation.once(session, |session, record| make(session, platform, record)).await
}

async fn make(
    session: Session,
    platform: Platform,
    record: NewAccountRecord,
) -> Result<Revised<OneAccount>, ApiError> {
    let new = record.into_new_account(platform)?;
    if let Some(proxy) = &new.proxy {
        self_loop::refuse(&session, proxy).await?;
    }
    let account = session.operator().create_account(session.actor(), new).await?;
    AccountView::one(&session, account).await
}
