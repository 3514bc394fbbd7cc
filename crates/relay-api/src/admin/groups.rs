//! `/api/v2/groups`: groups of API keys, which share limits.

mod create;
mod limits;
mod list;
mod read;
mod record;
mod remove;
mod reset_limits;
mod update;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new()
        .routes(routes!(list::list_groups, create::create_group))
        .routes(routes!(read::read_group, update::update_group, remove::delete_group))
        .routes(routes!(limits::group_limits))
        .routes(routes!(reset_limits::reset_group_limits))
}
