//! `/api/v2/admin-tokens`: tokens of automation.

mod create;
mod list;
mod revoke;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new()
        .routes(routes!(list::list_tokens, create::create_token))
        .routes(routes!(revoke::revoke_token))
}
