//! `/api/v2/prices`: what models cost, where that comes from, and what an operator says instead.

mod list;
mod new;
mod read;
mod reload;
mod remove;
mod set;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new()
        .routes(routes!(list::list_prices))
        .routes(routes!(read::read_price, set::set_price, remove::remove_price))
        .routes(routes!(reload::reload_prices))
}
