//! `/api/v2/auth`: logging in.

mod change_password;
mod login;
mod me;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new()
        .routes(routes!(login::login))
        .routes(routes!(me::me))
        .routes(routes!(change_password::change_password))
}
