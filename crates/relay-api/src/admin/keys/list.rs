//! `GET /api/v2/keys`

use axum::Json;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::new::PermissionName;
use super::view::KeyView;
use crate::admin::error::ApiError;
use crate::admin::extract::QueryOf;
use crate::admin::session::Session;

/// Which keys.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct KeyFilter {
    /// Deleted ones too.
    #[serde(default)]
    include_deleted: bool,
    /// Only those that are switched on, or off.
    is_active: Option<bool>,
    /// Only those that may use exactly this.
    permissions: Option<PermissionName>,
}

/// API keys.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyList {
    /// The newest first.
    keys: Vec<KeyView>,
    total: usize,
}

/// Lists API keys, without their secrets.
#[utoipa::path(
    get,
    path = "/api/v2/keys",
    tag = "API Keys",
    security(("bearerAuth" = [])),
    params(KeyFilter),
    responses((status = 200, body = KeyList), ApiError),
)]
pub(super) async fn list_keys(
    session: Session,
    QueryOf(filter): QueryOf<KeyFilter>,
) -> Result<Json<KeyList>, ApiError> {
    let mut keys = session.operator().keys().await?;
    keys.retain(|key| {
        (filter.include_deleted || key.deleted.is_none())
            && filter.is_active.is_none_or(|wanted| wanted == key.is_active)
            && filter.permissions.is_none_or(|wanted| wanted.is(&key.permissions))
    });
    Ok(Json(KeyList { total: keys.len(), keys: keys.into_iter().map(KeyView::from).collect() }))
}
