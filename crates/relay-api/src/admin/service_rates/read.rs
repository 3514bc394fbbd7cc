//! `GET /api/v2/service-rates`

use super::view::ServiceRatesView;
use crate::admin::error::ApiError;
use crate::admin::revision::Revised;
use crate::admin::session::Session;

/// Shows by how much services' costs are multiplied before they count.
#[utoipa::path(
    get,
    path = "/api/v2/service-rates",
    tag = "Prices",
    security(("bearerAuth" = [])),
    responses((status = 200, body = ServiceRatesView, headers(("ETag" = String, description = "Their revision"))), ApiError),
)]
pub(super) async fn read_service_rates(
    session: Session,
) -> Result<Revised<ServiceRatesView>, ApiError> {
    let (rates, revision) = session.prices().stored_service_rates().await?;
    Ok(Revised::new(revision, rates.into()))
}
