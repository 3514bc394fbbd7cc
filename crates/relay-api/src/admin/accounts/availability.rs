//! `GET /api/v2/accounts/{platform}/{id}/availability`

use axum::Json;
use relay_domain::{AccountId, KeyId, Platform};
use relay_engine::inspection::{Availability, FilterVerdict};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::{PathOf, QueryOf};
use crate::admin::limit_view::LimitView;
use crate::admin::session::Session;

/// For which request.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AvailabilityQuery {
    /// A model, by the client's name of it. Left out: no model in particular.
    model: Option<String>,
    /// The id of an API key. Left out: one that may use the account.
    #[serde(rename = "keyId")]
    #[param(rename = "keyId", value_type = Option<String>)]
    key_id: Option<KeyId>,
}

/// Whether the scheduler would choose an account now.
#[derive(Serialize, ToSchema)]
pub(super) struct AvailabilityView {
    available: bool,
    /// The first reason why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// When it is available again, if all that is in the way ends by itself at a known time.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// What every filter says, in the order in which they count.
    filters: Vec<FilterView>,
    /// How far the account's own limits are used.
    limits: Vec<LimitView>,
}

/// What one filter says.
#[derive(Serialize, ToSchema)]
pub(super) struct FilterView {
    filter: &'static str,
    passed: bool,
    /// A stable code of the reason why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// The same as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

/// Explains whether the scheduler would choose an account now: every filter's verdict, and until when.
#[utoipa::path(
    get,
    path = "/api/v2/accounts/{platform}/{id}/availability",
    tag = "Accounts",
    security(("bearerAuth" = [])),
    params(
        ("platform" = String, Path, description = "`claude-console` or `codex`"),
        ("id" = String, Path, description = "The account's id"),
        AvailabilityQuery,
    ),
    responses(
        (status = 200, body = AvailabilityView),
        (status = 404, body = ErrorBody, description = "The platform has no such account, or there is no such key"),
        ApiError,
    ),
)]
pub(super) async fn account_availability(
    session: Session,
    PathOf((platform, id)): PathOf<(Platform, AccountId)>,
    QueryOf(query): QueryOf<AvailabilityQuery>,
) -> Result<Json<AvailabilityView>, ApiError> {
    let account = session.operator().account(&id).await?;
    account.filter(|account| account.platform == platform).ok_or(ApiError::NotFound("Account"))?;
    let key = match &query.key_id {
        Some(id) => Some(session.operator().key(id).await?.ok_or(ApiError::NotFound("API Key"))?),
        None => None,
    };
    let model = query.model.as_deref();
    let found = session.engine().availability(&id, model, key.as_ref()).await?;
    Ok(Json(found.ok_or(ApiError::NotFound("Account"))?.into()))
}

impl From<Availability> for AvailabilityView {
    fn from(availability: Availability) -> Self {
        Self {
            available: availability.obstacle().is_none(),
            reason: availability.obstacle().map(ToString::to_string),
            until: availability.until().map(|until| until.to_string()),
            filters: availability.verdicts.into_iter().map(FilterView::from).collect(),
            limits: availability.limits.into_iter().map(LimitView::from).collect(),
        }
    }
}

impl From<FilterVerdict> for FilterView {
    fn from(FilterVerdict { filter, exclusion }: FilterVerdict) -> Self {
        Self {
            filter: filter.code(),
            passed: exclusion.is_none(),
            code: exclusion.map(|exclusion| exclusion.code()),
            reason: exclusion.map(|exclusion| exclusion.to_string()),
            until: exclusion.and_then(|exclusion| exclusion.until()).map(|until| until.to_string()),
        }
    }
}
