//! `GET /api/v2/events`: what an operator should hear of.

use axum::Json;
use relay_domain::{
    AccountId, EventId, EventKind, GroupId, KeyId, LimitKind, PenaltyReason, UnpricedTreatment,
};
use relay_engine::alerts::EventForm;
use relay_store::EventQuery;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::error::ApiError;
use super::extract::QueryOf;
use super::session::Session;
use super::stats::range::moment;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(list_events))
}

/// Which events. They have to meet all that is given.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
struct EventFilter {
    /// `budget_threshold`, `model_unpriced`, `account_cooled`, `account_blocked` or `account_recovered`.
    #[serde(rename = "type")]
    #[param(rename = "type", example = "budget_threshold")]
    kind: Option<String>,
    /// About this API key, by its id.
    #[param(value_type = Option<String>)]
    key: Option<KeyId>,
    /// About this group, by its id.
    #[param(value_type = Option<String>)]
    group: Option<GroupId>,
    /// About this account, by its id.
    #[param(value_type = Option<String>)]
    account: Option<AccountId>,
    /// On this day of the operator's calendar, at this moment, or later.
    #[param(example = "2026-11-01")]
    from: Option<String>,
    /// On this day or earlier, or before this moment.
    #[param(example = "2026-11-30T12:00:00Z")]
    to: Option<String>,
    /// Goes on after a page: its `next`.
    #[param(value_type = Option<String>)]
    cursor: Option<EventId>,
    /// How many; 50 unless told otherwise.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

/// Events.
#[derive(Serialize, ToSchema)]
struct EventList {
    /// The newest first.
    events: Vec<EventView>,
    /// The `cursor` to go on with. Null: there are no more. A page may be short, even empty, and yet be gone
    /// on from.
    next: Option<String>,
    /// How often since its start this instance could not hand on an event, to the store or to a webhook,
    /// because too many waited.
    missed: u64,
}

/// An event. What it does not have is null.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EventView {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    at: String,
    key: Option<String>,
    group: Option<String>,
    account: Option<String>,
    model: Option<String>,
    /// The threshold that a budget has passed.
    percent: Option<u8>,
    /// Which budget.
    #[schema(value_type = Option<String>, example = "daily_cost")]
    limit: Option<LimitKind>,
    /// Of `used`, `held` and `allowed`: `nano_usd` or `count`.
    unit: Option<&'static str>,
    used: Option<u64>,
    /// What requests in flight hold besides.
    held: Option<u64>,
    allowed: Option<u64>,
    resets_at: Option<String>,
    /// Why an account rests or is refused, or from what it has recovered.
    #[schema(value_type = Option<String>, example = "rate_limited")]
    reason: Option<PenaltyReason>,
    /// Until when. Null: until an operator says so.
    until: Option<String>,
    /// What became of the cost of the request: `unknown`, `fallback` or `refused`.
    #[schema(value_type = Option<String>, example = "unknown")]
    treatment: Option<UnpricedTreatment>,
}

impl From<EventForm> for EventView {
    fn from(form: EventForm) -> Self {
        Self {
            id: form.id,
            kind: form.kind,
            at: form.at,
            key: form.key,
            group: form.group,
            account: form.account,
            model: form.model,
            percent: form.percent,
            limit: form.limit,
            unit: form.unit,
            used: form.used,
            held: form.held,
            allowed: form.allowed,
            resets_at: form.resets_at,
            reason: form.reason,
            until: form.until,
            treatment: form.treatment,
        }
    }
}

/// Lists events that are still kept, the newest first, of all instances.
#[utoipa::path(
    get,
    path = "/api/v2/events",
    tag = "Alerts",
    security(("bearerAuth" = [])),
    params(EventFilter),
    responses((status = 200, body = EventList), ApiError),
)]
async fn list_events(
    session: Session,
    QueryOf(filter): QueryOf<EventFilter>,
) -> Result<Json<EventList>, ApiError> {
    let page = session.alerts().page(&filter.into_query(&session)?).await?;
    Ok(Json(EventList {
        events: page.events.iter().map(|event| EventForm::from(event).into()).collect(),
        next: page.next.map(|id| id.to_string()),
        missed: session.alerts().counts().missed,
    }))
}

impl EventFilter {
    fn into_query(self, session: &Session) -> Result<EventQuery, ApiError> {
        if self.kind.as_deref().is_some_and(|kind| !EventKind::NAMES.contains(&kind)) {
            let why = "must be budget_threshold, model_unpriced, account_cooled, account_blocked or \
                       account_recovered";
            return Err(ApiError::Invalid { field: "type", why });
        }
        let calendar = session.usage().calendar();
        let edge = |field, text: &Option<String>| {
            text.as_deref().map(|text| moment(field, text, calendar)).transpose()
        };
        let (from, to) = (edge("from", &self.from)?, edge("to", &self.to)?);
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(ApiError::Invalid { field: "limit", why: "must be from 1 to 500" });
        }
        Ok(EventQuery {
            kind: self.kind,
            key: self.key,
            group: self.group,
            account: self.account,
            from: from.map(|edge| edge.first()),
            to: to.map(|edge| edge.after()),
            before: self.cursor,
            limit,
        })
    }
}
