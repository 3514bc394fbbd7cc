//! `/api/v2/keys`: API keys.

mod create;
mod list;
mod new;
mod read;
mod stats;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new()
        .routes(routes!(list::list_keys, create::create_key))
        .routes(routes!(read::read_key))
        .routes(routes!(stats::show_key_stats))
}
