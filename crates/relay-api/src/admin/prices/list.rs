//! `GET /api/v2/prices`

use axum::Json;
use relay_pricing::book::FALLBACK;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::view::{PriceOrigin, PriceStatusView, PriceView};
use crate::admin::error::ApiError;
use crate::admin::extract::QueryOf;
use crate::admin::session::Session;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

/// Which prices.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PriceFilter {
    /// Only models with this in their name, in whatever case.
    search: Option<String>,
    /// Only prices that came from there.
    origin: Option<PriceOrigin>,
    /// Only models whose name comes after this one: the last of the page before.
    after: Option<String>,
    /// How many; 100 unless told otherwise.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Prices.
#[derive(Serialize, ToSchema)]
pub(super) struct PriceList {
    status: PriceStatusView,
    /// By name.
    prices: Vec<PriceView>,
    /// How many there are of those that were asked for, on all pages.
    total: usize,
    /// What requests of unpriced models are charged where a key's policy says that they are charged.
    fallback: PriceView,
}

/// Lists what models cost, and says how the price book is.
#[utoipa::path(
    get,
    path = "/api/v2/prices",
    tag = "Prices",
    security(("bearerAuth" = [])),
    params(PriceFilter),
    responses((status = 200, body = PriceList), ApiError),
)]
pub(super) async fn list_prices(
    session: Session,
    QueryOf(filter): QueryOf<PriceFilter>,
) -> Result<Json<PriceList>, ApiError> {
    let limit = filter.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::Invalid { field: "limit", why: "must be from 1 to 1000" });
    }
    let keeper = session.prices();
    let book = keeper.prices().book();
    let search = filter.search.unwrap_or_default().to_lowercase();
    let mut found: Vec<_> = book
        .models()
        .filter(|(model, listed)| {
            model.to_lowercase().contains(&search)
                && filter.origin.is_none_or(|wanted| wanted == listed.origin.into())
        })
        .collect();
    let total = found.len();
    found.retain(|(model, _)| filter.after.as_deref().is_none_or(|after| after < *model));
    found.sort_unstable_by_key(|(model, _)| *model);
    found.truncate(limit);
    let view = |(model, listed)| PriceView::new(model, listed, keeper.override_of(model));
    Ok(Json(PriceList {
        status: keeper.status().into(),
        prices: found.into_iter().map(view).collect(),
        total,
        fallback: view((FALLBACK, book.fallback())),
    }))
}
