//! `POST /api/v2/accounts/{platform}/{id}/toggle-schedulable`

use relay_domain::{AccountId, Platform};
use serde::Deserialize;
use utoipa::ToSchema;

use super::find;
use super::view::{AccountView, OneAccount};
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::{JsonBody, PathOf};
use crate::admin::revision::{IfMatch, Revised};
use crate::admin::session::Session;

/// Whether the scheduler may choose an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Scheduling {
    schedulable: bool,
}

/// Takes an account into scheduling or out of it.
#[utoipa::path(
    post,
    path = "/api/v2/accounts/{platform}/{id}/toggle-schedulable",
    tag = "Accounts",
    security(("bearerAuth" = [])),
    params(
        ("platform" = String, Path, description = "`claude-console` or `codex`"),
        ("id" = String, Path, description = "The account's id"),
        IfMatch,
    ),
    request_body = Scheduling,
    responses(
        (status = 200, body = OneAccount, headers(("ETag" = String, description = "Its revision"))),
        (status = 404, body = ErrorBody, description = "The platform has no such account"),
        IfMatch,
        ApiError,
    ),
)]
pub(super) async fn toggle_schedulable(
    session: Session,
    PathOf((platform, id)): PathOf<(Platform, AccountId)>,
    IfMatch(expected): IfMatch,
    JsonBody(Scheduling { schedulable }): JsonBody<Scheduling>,
) -> Result<Revised<OneAccount>, ApiError> {
    find(&session, platform, &id).await?;
    let operator = session.operator();
    let account = operator.schedule_account(session.actor(), &id, expected, schedulable).await?;
    AccountView::one(&session, account).await
}
