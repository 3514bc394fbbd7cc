//! `GET /api/v2/keys/{id}/limits`

use axum::Json;
use relay_domain::{GroupId, KeyId, LimitState};
use relay_engine::operator::KeyStanding;
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::PathOf;
use crate::admin::limit_view::LimitView;
use crate::admin::session::Session;

/// How far the limits are used that hold for an API key.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyLimits {
    /// Its own. One that it does not have is not here.
    limits: Vec<LimitView>,
    /// Those of its group, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<GroupLimits>,
}

/// How far the limits of a group are used, by all of its keys.
#[derive(Serialize, ToSchema)]
struct GroupLimits {
    id: String,
    limits: Vec<LimitView>,
}

impl From<KeyStanding> for KeyLimits {
    fn from(standing: KeyStanding) -> Self {
        let views = |states: Vec<LimitState>| states.into_iter().map(LimitView::from).collect();
        let of_group =
            |(id, states): (GroupId, _)| GroupLimits { id: id.into(), limits: views(states) };
        Self { limits: views(standing.key), group: standing.group.map(of_group) }
    }
}

/// Shows how far the limits of an API key and of its group are used.
#[utoipa::path(
    get,
    path = "/api/v2/keys/{id}/limits",
    tag = "API Keys",
    security(("bearerAuth" = [])),
    params(("id" = String, Path, description = "The key's id")),
    responses(
        (status = 200, body = KeyLimits),
        (status = 404, body = ErrorBody, description = "There is no such key"),
        ApiError,
    ),
)]
pub(super) async fn show_key_limits(
    session: Session,
    PathOf(id): PathOf<KeyId>,
) -> Result<Json<KeyLimits>, ApiError> {
    Ok(Json(session.operator().key_standing(&id).await?.into()))
}
