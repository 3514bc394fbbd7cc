//! `GET /api/v2/prices/{model}`

use relay_domain::ModelName;
use relay_engine::prices::PriceKeeper;
use relay_pricing::book::FALLBACK;
use serde::Serialize;
use utoipa::ToSchema;

use super::view::PriceView;
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::PathOf;
use crate::admin::revision::Revised;
use crate::admin::session::Session;

/// What a model costs, whatever name it is found under.
#[derive(Serialize, ToSchema)]
pub(super) struct OnePrice {
    /// What was asked for.
    model: String,
    /// The price, under the name that it was found under.
    price: PriceView,
}

impl OnePrice {
    /// The price of `model`, or the fallback under its own name; `None`: unknown.
    pub(super) fn find(keeper: &PriceKeeper, model: &ModelName) -> Option<Self> {
        let (book, asked) = (keeper.prices().book(), model.as_str());
        let (matched, listed) = match asked {
            FALLBACK => (FALLBACK, book.fallback()),
            _ => book.listed(asked)?,
        };
        let price = PriceView::new(matched, listed, keeper.override_of(matched));
        Some(Self { model: asked.to_owned(), price })
    }
}

/// Shows what requests for a model cost, and under which name its price is found. `fallback` is what
/// requests of unpriced models are charged where a key's policy says that they are charged.
#[utoipa::path(
    get,
    path = "/api/v2/prices/{model}",
    tag = "Prices",
    security(("bearerAuth" = [])),
    params(("model" = String, Path, description = "The model's name")),
    responses(
        (status = 200, body = OnePrice, headers(("ETag" = String, description = "The revision of the override of exactly this name"))),
        (status = 404, body = ErrorBody, description = "Its price is unknown"),
        ApiError,
    ),
)]
pub(super) async fn read_price(
    session: Session,
    PathOf(model): PathOf<ModelName>,
) -> Result<Revised<OnePrice>, ApiError> {
    let keeper = session.prices();
    let price = OnePrice::find(keeper, &model).ok_or(ApiError::NotFound("Price"))?;
    // Without an override it is that of what nobody has written yet.
    let revision = keeper.override_of(model.as_str()).map_or(0, |stored| stored.revision());
    Ok(Revised::new(revision, price))
}
