//! `DELETE /api/v2/prices/{model}`

use http::StatusCode;
use relay_domain::ModelName;

use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::PathOf;
use crate::admin::revision::IfMatch;
use crate::admin::session::Session;

/// Takes an override away: the model costs what the price source says again.
#[utoipa::path(
    delete,
    path = "/api/v2/prices/{model}",
    tag = "Prices",
    security(("bearerAuth" = [])),
    params(("model" = String, Path, description = "The model's name"), IfMatch),
    responses(
        (status = 204, description = "It is no longer overridden"),
        (status = 404, body = ErrorBody, description = "No override has exactly this name"),
        IfMatch,
        ApiError,
    ),
)]
pub(super) async fn remove_price(
    session: Session,
    PathOf(model): PathOf<ModelName>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, ApiError> {
    let removed = session.prices().remove_override(&model, session.actor(), expected).await?;
    removed.then_some(StatusCode::NO_CONTENT).ok_or(ApiError::NotFound("Price override"))
}
