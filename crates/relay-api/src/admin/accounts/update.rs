//! `PUT /api/v2/accounts/{platform}/{id}`

use relay_domain::{AccountId, Platform};
use relay_engine::operator::AccountChange;

use super::change::AccountChangeRecord;
use super::find;
use super::view::{AccountView, OneAccount};
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::{JsonBody, PathOf};
use crate::admin::revision::{IfMatch, Revised};
use crate::admin::self_loop;
use crate::admin::session::Session;

/// Changes an account. What is left out stays, its credential above all.
#[utoipa::path(
    put,
    path = "/api/v2/accounts/{platform}/{id}",
    tag = "Accounts",
    security(("bearerAuth" = [])),
    params(
        ("platform" = String, Path, description = "`claude-console` or `codex`"),
        ("id" = String, Path, description = "The account's id"),
        IfMatch,
    ),
    request_body = AccountChangeRecord,
    responses(
        (status = 200, body = OneAccount, headers(("ETag" = String, description = "Its revision"))),
        (status = 404, body = ErrorBody, description = "The platform has no such account"),
        IfMatch,
        ApiError,
    ),
)]
pub(super) async fn update_account(
    session: Session,
    PathOf((platform, id)): PathOf<(Platform, AccountId)>,
    IfMatch(expected): IfMatch,
    JsonBody(record): JsonBody<AccountChangeRecord>,
) -> Result<Revised<OneAccount>, ApiError> {
    find(&session, platform, &id).await?;
    let change = record.read()?;
    if let Some(proxy) = change.new_proxy() {
        self_loop::refuse(&session, proxy).await?;
    }
    let (edit, change) = change.into_parts();
    let change = AccountChange { edit: Some(&edit), ..change };
    let account = session.operator().update_account(session.actor(), &id, expected, change).await?;
    AccountView::one(&session, account).await
}
