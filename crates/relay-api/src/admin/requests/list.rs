//! `GET /api/v2/requests`

use axum::Json;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::view::RequestView;
use crate::admin::error::ApiError;
use crate::admin::extract::QueryOf;
use crate::admin::session::Session;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

/// Which requests.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RequestFilter {
    /// How many; 50 unless told otherwise.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

/// Requests.
#[derive(Serialize, ToSchema)]
pub(super) struct RequestList {
    /// The newest first.
    requests: Vec<RequestView>,
}

/// Lists the newest requests.
#[utoipa::path(
    get,
    path = "/api/v2/requests",
    tag = "Requests",
    security(("bearerAuth" = [])),
    params(RequestFilter),
    responses((status = 200, body = RequestList), ApiError),
)]
pub(super) async fn list_requests(
    session: Session,
    QueryOf(filter): QueryOf<RequestFilter>,
) -> Result<Json<RequestList>, ApiError> {
    let limit = filter.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::Invalid { field: "limit", why: "must be from 1 to 500" });
    }
    let records = session.usage().recent(limit).await?;
    Ok(Json(RequestList { requests: records.into_iter().map(RequestView::from).collect() }))
}
