//! `PUT /api/v2/prices/{model}`

use relay_domain::ModelName;

use super::new::NewPrice;
use super::read::OnePrice;
use crate::admin::error::ApiError;
use crate::admin::extract::{JsonBody, PathOf};
use crate::admin::revision::{IfMatch, Revised};
use crate::admin::session::Session;

/// Overrides what a model of exactly this name costs, or the `fallback`.
#[utoipa::path(
    put,
    path = "/api/v2/prices/{model}",
    tag = "Prices",
    security(("bearerAuth" = [])),
    params(("model" = String, Path, description = "The model's name"), IfMatch),
    request_body = NewPrice,
    responses(
        (status = 200, body = OnePrice, headers(("ETag" = String, description = "Its revision"))),
        IfMatch,
        ApiError,
    ),
)]
pub(super) async fn set_price(
    session: Session,
    PathOf(model): PathOf<ModelName>,
    IfMatch(expected): IfMatch,
    JsonBody(price): JsonBody<NewPrice>,
) -> Result<Revised<OnePrice>, ApiError> {
    let keeper = session.prices();
    let price = price.into_override()?;
    let stored = keeper.set_override(&model, price, session.actor(), expected).await?;
    // Only if another operator has removed it again meanwhile is there none.
    let price = OnePrice::find(keeper, &model).ok_or(ApiError::NotFound("Price"))?;
    Ok(Revised::new(stored.revision(), price))
}
