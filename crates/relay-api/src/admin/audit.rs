//! `/api/v2/audit`: the trail of changes.

mod list;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(list::list_changes))
}
