//! `/api/v2/service-rates`: by how much services' costs count, as in v1.

mod read;
mod set;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) use self::set::NewRateOfServices;
use super::AdminState;

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(read::read_service_rates, set::set_service_rates))
}
