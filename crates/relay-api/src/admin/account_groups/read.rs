//! `GET /api/v2/account-groups/{id}`

use relay_domain::AccountGroupId;

use super::view::OneAccountGroup;
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::PathOf;
use crate::admin::revision::Revised;
use crate::admin::session::Session;

/// Shows a group of accounts.
#[utoipa::path(
    get,
    path = "/api/v2/account-groups/{id}",
    tag = "Account Groups",
    security(("bearerAuth" = [])),
    params(("id" = String, Path, description = "The group's id")),
    responses(
        (status = 200, body = OneAccountGroup, headers(("ETag" = String, description = "Its revision"))),
        (status = 404, body = ErrorBody, description = "There is no such group of accounts"),
        ApiError,
    ),
)]
pub(super) async fn read_account_group(
    session: Session,
    PathOf(id): PathOf<AccountGroupId>,
) -> Result<Revised<OneAccountGroup>, ApiError> {
    Ok(session.operator().account_group(&id).await?.into())
}
