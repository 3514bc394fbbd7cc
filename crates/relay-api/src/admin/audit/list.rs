//! `GET /api/v2/audit`

use axum::Json;
use relay_domain::{Actor, AuditEntry};
use relay_store::AuditQuery;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::admin::error::ApiError;
use crate::admin::extract::QueryOf;
use crate::admin::session::Session;
use crate::admin::stats::range::moment;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

/// Which changes. They have to meet all that is given.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct ChangeFilter {
    /// Made by this operator, by their name, or with this token, by its id.
    actor: Option<String>,
    /// Of this kind, such as `key.update`, or of all that begin so: `key.`.
    #[param(example = "key.update")]
    action: Option<String>,
    /// Made to this kind of thing, `account`, or to this one thing, `account:` and its id.
    #[param(example = "account")]
    target: Option<String>,
    /// Made on this day of the operator's calendar, at this moment, or later.
    #[param(example = "2026-11-01")]
    from: Option<String>,
    /// Made on this day or earlier, or before this moment.
    #[param(example = "2026-11-30T12:00:00Z")]
    to: Option<String>,
    /// Goes on after a page: its `nextCursor`.
    cursor: Option<u64>,
    /// How many; 50 unless told otherwise.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

/// A part of the trail of changes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChangeList {
    /// The newest first. May be fewer than asked for though there are more.
    entries: Vec<ChangeView>,
    /// Absent: that was all.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<u64>,
}

/// A change.
#[derive(Serialize, ToSchema)]
struct ChangeView {
    /// Its number; later changes have greater ones.
    seq: u64,
    at: String,
    actor: ActorView,
    action: String,
    target: TargetView,
    /// How it was before, without secrets; `null`: there was none, or nothing that can be shown.
    before: Value,
    /// How it was afterwards.
    after: Value,
}

/// Who made a change.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ActorView {
    /// `admin`, `token`, `shell` or `system`.
    kind: &'static str,
    /// The operator's name, or the id of a token.
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

/// What a change was made to.
#[derive(Serialize, ToSchema)]
struct TargetView {
    kind: String,
    id: String,
}

/// Shows who changed what, and how it was before and afterwards.
#[utoipa::path(
    get,
    path = "/api/v2/audit",
    tag = "Audit",
    security(("bearerAuth" = [])),
    params(ChangeFilter),
    responses((status = 200, body = ChangeList), ApiError),
)]
pub(super) async fn list_changes(
    session: Session,
    QueryOf(filter): QueryOf<ChangeFilter>,
) -> Result<Json<ChangeList>, ApiError> {
    let limit = filter.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::Invalid { field: "limit", why: "must be from 1 to 500" });
    }
    let calendar = session.usage().calendar();
    let edge =
        |field, text: Option<&String>| text.map(|text| moment(field, text, calendar)).transpose();
    let (target_kind, target_id) = match filter.target {
        None => (None, None),
        Some(target) => match target.split_once(':') {
            None => (Some(target), None),
            Some((kind, id)) => (Some(kind.to_owned()), Some(id.to_owned())),
        },
    };
    let query = AuditQuery {
        from: edge("from", filter.from.as_ref())?.map(|edge| edge.first()),
        to: edge("to", filter.to.as_ref())?.map(|edge| edge.after()),
        actor: filter.actor,
        action: filter.action,
        target_kind,
        target_id,
        before: filter.cursor,
        limit,
    };
    let page = session.operator().audit(&query).await?;
    let entries = page.entries.into_iter().map(ChangeView::from).collect();
    Ok(Json(ChangeList { entries, next_cursor: page.next }))
}

impl From<AuditEntry> for ChangeView {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { seq, at, actor, action, target_kind, target_id, before, after } = entry;
        let Actor { kind, name, address, request_id } = actor;
        let value = |json: Option<String>| {
            json.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or(Value::Null)
        };
        Self {
            seq,
            at: at.to_string(),
            actor: ActorView { kind: kind.as_str(), name, address, request_id },
            action,
            target: TargetView { kind: target_kind, id: target_id },
            before: value(before),
            after: value(after),
        }
    }
}
