//! `POST /api/v2/accounts/{platform}/{id}/reset-limits`

use relay_domain::{AccountId, Platform};

use super::find;
use super::view::{AccountView, ResetAccount};
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::PathOf;
use crate::admin::revision::{IfMatch, Revised};
use crate::admin::session::Session;

/// Starts every limit of an account's own anew. What requests in flight hold still weighs; statistics stay.
#[utoipa::path(
    post,
    path = "/api/v2/accounts/{platform}/{id}/reset-limits",
    tag = "Accounts",
    security(("bearerAuth" = [])),
    params(
        ("platform" = String, Path, description = "`claude-console` or `codex`"),
        ("id" = String, Path, description = "The account's id"),
        IfMatch,
    ),
    responses(
        (status = 200, body = ResetAccount, headers(("ETag" = String, description = "Its revision"))),
        (status = 404, body = ErrorBody, description = "The platform has no such account"),
        IfMatch,
        ApiError,
    ),
)]
pub(super) async fn reset_account_limits(
    session: Session,
    PathOf((platform, id)): PathOf<(Platform, AccountId)>,
    IfMatch(expected): IfMatch,
) -> Result<Revised<ResetAccount>, ApiError> {
    find(&session, platform, &id).await?;
    let account = session.operator().restart_account_limits(session.actor(), &id, expected).await?;
    let Revised { revision, body } = AccountView::one(&session, account).await?;
    let message = "Limits reset successfully";
    Ok(Revised { revision, body: ResetAccount { account: body.account, message } })
}
