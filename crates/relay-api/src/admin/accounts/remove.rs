//! `DELETE /api/v2/accounts/{platform}/{id}`

use http::StatusCode;
use relay_domain::{AccountId, Platform};

use super::find;
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::PathOf;
use crate::admin::revision::IfMatch;
use crate::admin::session::Session;

/// Removes an account. Keys that are bound to it stay so, and are refused until they are bound otherwise.
#[utoipa::path(
    delete,
    path = "/api/v2/accounts/{platform}/{id}",
    tag = "Accounts",
    security(("bearerAuth" = [])),
    params(
        ("platform" = String, Path, description = "`claude-console` or `codex`"),
        ("id" = String, Path, description = "The account's id"),
        IfMatch,
    ),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, body = ErrorBody, description = "The platform has no such account"),
        IfMatch,
        ApiError,
    ),
)]
pub(super) async fn delete_account(
    session: Session,
    PathOf((platform, id)): PathOf<(Platform, AccountId)>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, ApiError> {
    find(&session, platform, &id).await?;
    session.operator().delete_account(session.actor(), &id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}
