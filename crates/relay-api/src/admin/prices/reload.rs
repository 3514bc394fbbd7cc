//! `POST /api/v2/prices/reload`

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::view::PriceStatusView;
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::session::Session;

/// How the price book is now.
#[derive(Serialize, ToSchema)]
pub(super) struct ReloadedPrices {
    status: PriceStatusView,
}

/// Reads the price source again, on this instance.
#[utoipa::path(
    post,
    path = "/api/v2/prices/reload",
    tag = "Prices",
    security(("bearerAuth" = [])),
    responses(
        (status = 200, body = ReloadedPrices),
        (status = 422, body = ErrorBody, description = "It cannot be taken; the prices in force stay"),
        ApiError,
    ),
)]
pub(super) async fn reload_prices(session: Session) -> Result<Json<ReloadedPrices>, ApiError> {
    let keeper = session.prices();
    keeper.reload_for(session.actor()).await?;
    Ok(Json(ReloadedPrices { status: keeper.status().into() }))
}
