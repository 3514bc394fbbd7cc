//! `GET …/v1/requests`: the key's own requests.

use axum::extract::Query;
use http::Uri;
use relay_domain::{RequestId, RequestRecord, Timestamp};
use relay_engine::KeyOwner;
use relay_protocol::anthropic::ErrorType;
use relay_store::RecordQuery;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::dollars;
use crate::dialect::Refusal;

const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 200;

/// Which of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<RequestId>,
}

pub(super) async fn list(owner: &KeyOwner, uri: &Uri, now: Timestamp) -> Result<Value, Refusal> {
    let invalid =
        |message: String| Refusal::new(ErrorType::InvalidRequest, "invalid_request", message);
    let Query(page) =
        Query::<Page>::try_from_uri(uri).map_err(|rejection| invalid(rejection.body_text()))?;
    let limit = page.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(invalid(format!("limit: must be from 1 to {MAX_LIMIT}")));
    }
    let query = RecordQuery { after: page.cursor, limit, ..RecordQuery::default() };
    let found = owner.requests(query).await.map_err(|error| Refusal::of(&error, now))?;
    Ok(json!({
        "requests": found.records.iter().map(own_request).collect::<Vec<_>>(),
        "next_cursor": found.next.map(|next| next.to_string()),
    }))
}

/// A request as its key's owner sees it: without the account and its attempts.
fn own_request(record: &RequestRecord) -> Value {
    let tokens = record.usage;
    json!({
        "id": record.id.to_string(),
        "created_at": record.started_at.to_string(),
        "model": record.model.as_str(),
        "served_model": record.served_model.as_ref().map(|model| model.as_str()),
        "stream": record.stream,
        "status": record.status,
        "outcome": record.outcome,
        "duration_ms": record.times.end_us.map(|us| us / 1_000),
        "first_content_ms": record.times.first_content_us.map(|us| us / 1_000),
        "usage": {
            "input_tokens": tokens.input.get(),
            "output_tokens": tokens.output.get(),
            "cache_read_input_tokens": tokens.cache_read.get(),
            "cache_creation": {
                "ephemeral_5m_input_tokens": tokens.cache_write_5m.get(),
                "ephemeral_1h_input_tokens": tokens.cache_write_1h.get(),
            },
        },
        "usage_source": record.usage_source,
        "cost": record.charged.map(|charged| dollars::show(Some(charged))),
    })
}
