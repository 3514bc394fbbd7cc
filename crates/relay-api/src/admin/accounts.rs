//! `/api/v2/accounts`: upstream accounts.

mod availability;
mod create;
mod list;
mod new;
mod read;
mod stats;
mod test;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) use self::availability::LimitView;
use super::AdminState;

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new()
        .routes(routes!(list::list_accounts, create::create_account))
        .routes(routes!(read::read_account))
        .routes(routes!(stats::show_account_stats))
        .routes(routes!(availability::account_availability))
        .routes(routes!(test::test_account))
}
