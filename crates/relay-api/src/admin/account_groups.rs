//! `/api/v2/account-groups`: groups of accounts, to which API keys can be bound.

mod create;
mod list;
mod read;
mod record;
mod remove;
mod update;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new()
        .routes(routes!(list::list_account_groups, create::create_account_group))
        .routes(routes!(
            read::read_account_group,
            update::update_account_group,
            remove::delete_account_group
        ))
}
