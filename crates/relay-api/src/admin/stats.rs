//! `/api/v2/stats`: what was used, in any range, by key, group, account, model and period.

mod cost;
mod csv;
pub(super) mod key;
mod overview;
pub(super) mod range;
pub(super) mod usage;
pub(super) mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;

pub(super) use csv::{Csv, Field, FormatName};

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new()
        .routes(routes!(overview::show_overview))
        .routes(routes!(usage::show_usage))
        .routes(routes!(cost::show_cost))
        .routes(routes!(key::show_key_usage))
}
