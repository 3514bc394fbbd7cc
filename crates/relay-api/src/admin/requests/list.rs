//! `GET /api/v2/requests`

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use relay_domain::{AccountId, KeyId, ModelName, NanoUsd, Outcome, RequestId};
use relay_store::RecordQuery;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::table::table;
use super::view::RequestView;
use crate::admin::error::ApiError;
use crate::admin::extract::QueryOf;
use crate::admin::session::Session;
use crate::admin::stats::FormatName;
use crate::admin::stats::range::moment;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

/// Which requests. They have to meet all that is given.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct RequestFilter {
    /// Of this API key, by its id.
    #[param(value_type = Option<String>)]
    key: Option<KeyId>,
    /// Answered by this account, or last tried on it.
    #[param(value_type = Option<String>)]
    account: Option<AccountId>,
    /// Of this model, asked for or served.
    #[param(value_type = Option<String>, example = "claude-sonnet-4-5")]
    model: Option<ModelName>,
    /// Answered with this status; 0: the client left before there was one.
    #[param(example = 529)]
    status: Option<u16>,
    /// `completed`, `rejected`, `no_account`, `client_gone`, `upstream_failed` or `orphaned`.
    #[param(value_type = Option<String>, example = "completed")]
    outcome: Option<Outcome>,
    /// Arrived on this day of the operator's calendar, at this moment, or later.
    #[param(example = "2026-11-01")]
    from: Option<String>,
    /// Arrived on this day or earlier, or before this moment.
    #[param(example = "2026-11-30T12:00:00Z")]
    to: Option<String>,
    /// Cost so many dollars, or more.
    #[param(example = "0.25")]
    min_cost: Option<String>,
    /// With this text in its id.
    #[param(example = "req_019ac")]
    id: Option<String>,
    /// Goes on after a page: its `next`.
    #[param(value_type = Option<String>)]
    cursor: Option<RequestId>,
    /// How many; 50 unless told otherwise.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// JSON, unless told otherwise here or by `Accept: text/csv`.
    #[param(inline)]
    format: Option<FormatName>,
}

/// Requests.
#[derive(Serialize, ToSchema)]
pub(super) struct RequestList {
    /// The latest arrival first.
    requests: Vec<RequestView>,
    /// The `cursor` to go on with. Null: there are no more. A page may be short, even empty, and yet be
    /// gone on from.
    next: Option<String>,
}

/// Lists requests that are still on record, the latest first. CSV has the `cursor` to go on with in its
/// header `x-next-cursor`.
#[utoipa::path(
    get,
    path = "/api/v2/requests",
    tag = "Requests",
    security(("bearerAuth" = [])),
    params(RequestFilter),
    responses(
        (status = 200, description = "Requests", content((RequestList = "application/json"), (String = "text/csv"))),
        ApiError,
    ),
)]
pub(super) async fn list_requests(
    session: Session,
    headers: HeaderMap,
    QueryOf(filter): QueryOf<RequestFilter>,
) -> Result<Response, ApiError> {
    let format = FormatName::of_request(filter.format, &headers);
    let page = session.usage().search(&filter.into_query(&session)?).await?;
    let next = page.next.map(|id| id.to_string());
    Ok(match format {
        FormatName::Json => {
            let requests = page.records.into_iter().map(RequestView::from).collect();
            Json(RequestList { requests, next }).into_response()
        }
        FormatName::Csv => {
            let mut response = table(&page.records).into_response();
            if let Some(next) = next.and_then(|next| next.try_into().ok()) {
                response.headers_mut().insert("x-next-cursor", next);
            }
            response
        }
    })
}

impl RequestFilter {
    fn into_query(self, session: &Session) -> Result<RecordQuery, ApiError> {
        let calendar = session.usage().calendar();
        let edge = |field, text: &Option<String>| {
            text.as_deref().map(|text| moment(field, text, calendar)).transpose()
        };
        let (from, to) = (edge("from", &self.from)?, edge("to", &self.to)?);
        let why = "must be an amount of dollars with up to nine decimals, such as 0.25";
        let min_cost = self.min_cost.as_deref().map(NanoUsd::parse_dollars).transpose();
        let min_cost = min_cost.map_err(|_| ApiError::Invalid { field: "minCost", why })?;
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(ApiError::Invalid { field: "limit", why: "must be from 1 to 500" });
        }
        Ok(RecordQuery {
            key: self.key,
            account: self.account,
            model: self.model,
            status: self.status,
            outcome: self.outcome,
            from: from.map(|edge| edge.first()),
            to: to.map(|edge| edge.after()),
            min_cost,
            id_contains: self.id.map(|id| id.to_ascii_lowercase()).filter(|id| !id.is_empty()),
            after: self.cursor,
            limit,
        })
    }
}
