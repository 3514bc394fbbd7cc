//! `GET /api/v2/requests/{id}`

use axum::Json;
use relay_domain::RequestId;
use serde::Serialize;
use utoipa::ToSchema;

use super::view::RequestView;
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::PathOf;
use crate::admin::session::Session;

/// One request.
#[derive(Serialize, ToSchema)]
pub(super) struct OneRequest {
    request: RequestView,
}

/// Shows what happened to a request.
#[utoipa::path(
    get,
    path = "/api/v2/requests/{id}",
    tag = "Requests",
    security(("bearerAuth" = [])),
    params(("id" = String, Path, description = "The request's id, as its answer carried it in `request-id`")),
    responses(
        (status = 200, body = OneRequest),
        (status = 404, body = ErrorBody, description = "There is no record of such a request, or no longer"),
        ApiError,
    ),
)]
pub(super) async fn read_request(
    session: Session,
    PathOf(id): PathOf<RequestId>,
) -> Result<Json<OneRequest>, ApiError> {
    let record = session.usage().record(id).await?.ok_or(ApiError::NotFound("Request"))?;
    Ok(Json(OneRequest { request: record.into() }))
}
