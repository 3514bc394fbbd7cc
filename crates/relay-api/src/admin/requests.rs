//! `/api/v2/requests`: what happened to requests. Numbers only: nothing that they said is kept.

mod list;
mod read;
mod table;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(list::list_requests)).routes(routes!(read::read_request))
}
