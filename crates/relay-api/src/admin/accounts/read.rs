//! `GET /api/v2/accounts/{platform}/{id}`

use relay_domain::{AccountId, Platform};

use super::find;
use super::view::{AccountView, OneAccount};
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::PathOf;
use crate::admin::revision::Revised;
use crate::admin::session::Session;

/// Shows an account, without its credential.
#[utoipa::path(
    get,
    path = "/api/v2/accounts/{platform}/{id}",
    tag = "Accounts",
    security(("bearerAuth" = [])),
    params(
        ("platform" = String, Path, description = "`claude-console` or `codex`"),
        ("id" = String, Path, description = "The account's id"),
    ),
    responses(
        (status = 200, body = OneAccount, headers(("ETag" = String, description = "Its revision"))),
        (status = 404, body = ErrorBody, description = "The platform has no such account"),
        ApiError,
    ),
)]
pub(super) async fn read_account(
    session: Session,
    PathOf((platform, id)): PathOf<(Platform, AccountId)>,
) -> Result<Revised<OneAccount>, ApiError> {
    let account = find(&session, platform, &id).await?;
    AccountView::one(&session, account).await
}
