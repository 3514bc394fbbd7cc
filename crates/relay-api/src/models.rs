//! `GET …/v1/models`: answered here and at once, with what the caller's key may use.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response};
use relay_engine::{Relay, RelayBody};
use serde::Serialize;

use crate::dialect::Refusal;
use crate::messages::presented_keys;

/// Anthropic's list of models.
#[derive(Serialize)]
struct ModelList<'a> {
    data: Vec<Model<'a>>,
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    display_name: &'a str,
    created_at: &'static str,
}

/// When a model was released is not known here, and clients want a date.
const UNKNOWN_DATE: &str = "1970-01-01T00:00:00Z";

/// The models that the caller's key may use, by name.
pub(crate) async fn list(relay: &Relay, headers: &HeaderMap) -> Response<RelayBody> {
    let names = match relay.models(presented_keys(headers)).await {
        Ok(names) => names,
        Err(error) => return Refusal::of(&error, relay.now()).into_response(relay.request_id()),
    };
    let model = |id| Model { id, kind: "model", display_name: id, created_at: UNKNOWN_DATE };
    let list = ModelList {
        data: names.iter().map(|name| model(name.as_str())).collect(),
        has_more: false,
        first_id: names.first().map(String::as_str),
        last_id: names.last().map(String::as_str),
    };
    let body = serde_json::to_vec(&list).unwrap_or_default();
    let mut response = Response::new(RelayBody::whole(Bytes::from(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
