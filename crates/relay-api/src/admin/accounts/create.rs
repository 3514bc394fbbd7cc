//! `POST /api/v2/accounts/{platform}`

use axum::Json;
use http::StatusCode;
use relay_domain::{Actor, Platform};

use super::new::NewAccountRecord;
use super::view::{AccountView, OneAccount};
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::{JsonBody, PathOf};
use crate::admin::session::Session;

/// Adds an account.
#[utoipa::path(
    post,
    path = "/api/v2/accounts/{platform}",
    tag = "Accounts",
    security(("bearerAuth" = [])),
    params(("platform" = String, Path, description = "`claude-console` or `codex`")),
    request_body = NewAccountRecord,
    responses(
        (status = 201, body = OneAccount),
        (status = 415, body = ErrorBody, description = "The body is not JSON"),
        ApiError,
    ),
)]
pub(super) async fn create_account(
    session: Session,
    PathOf(platform): PathOf<Platform>,
    JsonBody(record): JsonBody<NewAccountRecord>,
) -> Result<(StatusCode, Json<OneAccount>), ApiError> {
    let (actor, new) =
        (Actor::admin(session.username.as_str()), record.into_new_account(platform)?);
    let account = session.operator().create_account(&actor, new).await?;
    let account = AccountView::new(account, session.now());
    Ok((StatusCode::CREATED, Json(OneAccount { account })))
}
