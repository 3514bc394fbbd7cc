//! `/api/v2/accounts`: upstream accounts.

mod availability;
mod change;
mod create;
mod list;
mod new;
mod proxy;
mod read;
mod record;
mod remove;
mod reset_limits;
mod reset_rate_limit;
mod settings;
mod stats;
mod test;
mod toggle_schedulable;
mod update;
mod view;

use relay_domain::{Account, AccountId, Platform};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::error::ApiError;
use super::session::Session;

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new()
        .routes(routes!(list::list_accounts, create::create_account))
        .routes(routes!(read::read_account, update::update_account, remove::delete_account))
        .routes(routes!(toggle_schedulable::toggle_schedulable))
        .routes(routes!(reset_rate_limit::reset_rate_limit))
        .routes(routes!(reset_limits::reset_account_limits))
        .routes(routes!(stats::show_account_stats))
        .routes(routes!(availability::account_availability))
        .routes(routes!(test::test_account))
}

/// The account of this platform with this id.
async fn find(session: &Session, platform: Platform, id: &AccountId) -> Result<Account, ApiError> {
    let account = session.operator().account(id).await?;
    account.filter(|account| account.platform == platform).ok_or(ApiError::NotFound("Account"))
}
