//! `/api/v2/keys`: API keys.

mod bulk_create;
mod bulk_edit;
mod create;
mod fields;
mod filter;
mod limits;
mod list;
mod put_on;
mod read;
mod remove;
mod reset_limits;
mod restore;
mod rotate;
mod stats;
mod update;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new()
        .routes(routes!(list::list_keys, create::create_key))
        .routes(routes!(bulk_create::create_keys))
        .routes(routes!(bulk_edit::edit_keys))
        .routes(routes!(read::read_key, update::update_key, remove::remove_key))
        .routes(routes!(restore::restore_key))
        .routes(routes!(rotate::rotate_key))
        .routes(routes!(limits::show_key_limits))
        .routes(routes!(reset_limits::reset_key_limits))
        .routes(routes!(stats::show_key_stats))
}
