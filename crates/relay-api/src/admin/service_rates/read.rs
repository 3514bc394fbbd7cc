//! `GET /api/v2/service-rates`

use axum::Json;

use super::view::ServiceRatesView;
use crate::admin::error::ApiError;
use crate::admin::session::Session;

/// Shows by how much services' costs are multiplied before they count.
#[utoipa::path(
    get,
    path = "/api/v2/service-rates",
    tag = "Prices",
    security(("bearerAuth" = [])),
    responses((status = 200, body = ServiceRatesView), ApiError),
)]
pub(super) async fn read_service_rates(
    session: Session,
) -> Result<Json<ServiceRatesView>, ApiError> {
    Ok(Json(session.prices().stored_service_rates().await?.into()))
}
