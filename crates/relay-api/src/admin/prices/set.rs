//! `PUT /api/v2/prices/{model}`

use axum::Json;
use relay_domain::ModelName;

use super::new::NewPrice;
use super::read::OnePrice;
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::{JsonBody, PathOf};
use crate::admin::session::Session;

/// Overrides what a model of exactly this name costs, or the `fallback`.
#[utoipa::path(
    put,
    path = "/api/v2/prices/{model}",
    tag = "Prices",
    security(("bearerAuth" = [])),
    params(("model" = String, Path, description = "The model's name")),
    request_body = NewPrice,
    responses(
        (status = 200, body = OnePrice),
        (status = 415, body = ErrorBody, description = "The body is not JSON"),
        ApiError,
    ),
)]
pub(super) async fn set_price(
    session: Session,
    PathOf(model): PathOf<ModelName>,
    JsonBody(price): JsonBody<NewPrice>,
) -> Result<Json<OnePrice>, ApiError> {
    let keeper = session.prices();
    keeper.set_override(&model, price.into_override()?, session.actor()).await?;
    // Only if another operator has removed it again meanwhile is there none.
    OnePrice::find(keeper, &model).map(Json).ok_or(ApiError::NotFound("Price"))
}
