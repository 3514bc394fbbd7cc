//! `POST /api/v2/accounts/{platform}/{id}/reset-rate-limit`

use relay_domain::{AccountId, Platform};

use super::find;
use super::view::{AccountView, ResetAccount};
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::PathOf;
use crate::admin::revision::{IfMatch, Revised};
use crate::admin::session::Session;

/// Says that an account is well: whatever kept it out ends, rests of single models too.
#[utoipa::path(
    post,
    path = "/api/v2/accounts/{platform}/{id}/reset-rate-limit",
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
pub(super) async fn reset_rate_limit(
    session: Session,
    PathOf((platform, id)): PathOf<(Platform, AccountId)>,
    IfMatch(expected): IfMatch,
) -> Result<Revised<ResetAccount>, ApiError> {
    find(&session, platform, &id).await?;
    let account = session.operator().reset_account(session.actor(), &id, expected).await?;
    let Revised { revision, body } = AccountView::one(&session, account).await?;
    let message = "Rate limit reset successfully";
    Ok(Revised { revision, body: ResetAccount { account: body.account, message } })
}
