//! `PUT /api/v2/account-groups/{id}`

use relay_domain::{AccountGroup, AccountGroupId};

use super::record::AccountGroupChange;
use super::view::OneAccountGroup;
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::{JsonBody, PathOf};
use crate::admin::revision::{IfMatch, Revised};
use crate::admin::session::Session;

/// Changes a group of accounts, its members too. What is left out stays. It holds from the next request on.
#[utoipa::path(
    put,
    path = "/api/v2/account-groups/{id}",
    tag = "Account Groups",
    security(("bearerAuth" = [])),
    params(("id" = String, Path, description = "The group's id"), IfMatch),
    request_body = AccountGroupChange,
    responses(
        (status = 200, body = OneAccountGroup, headers(("ETag" = String, description = "Its revision"))),
        (status = 404, body = ErrorBody, description = "There is no such group of accounts"),
        IfMatch,
        ApiError,
    ),
)]
pub(super) async fn update_account_group(
    session: Session,
    PathOf(id): PathOf<AccountGroupId>,
    IfMatch(expected): IfMatch,
    JsonBody(change): JsonBody<AccountGroupChange>,
) -> Result<Revised<OneAccountGroup>, ApiError> {
    let edit = |group: &mut AccountGroup| change.put_on(group);
    let operator = session.operator();
    Ok(operator.update_account_group(session.actor(), &id, expected, &edit).await?.into())
}
