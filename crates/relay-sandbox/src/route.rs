//! Where a request goes.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::body::SandboxBody;
use crate::connection::Link;
use crate::control;
use crate::error::SandboxError;
use crate::messages;
use crate::recorder::{Exchange, Outcome, presented_key};
use crate::reply::Reply;
use crate::request;
use crate::upstream::Upstream;

/// Requests longer than this are refused unread. Above every limit that a relay in front may want to test.
const MAX_BODY_BYTES: usize = 128 * 1024 * 1024;

const MODELS: &str = r#"{"data":[{"type":"model","id":"claude-opus-5-5","display_name":"Claude Opus 5.5","created_at":"2026-08-01T00:00:00Z"},{"type":"model","id":"claude-sonnet-5-5","display_name":"Claude Sonnet 5.5","created_at":"2026-08-01T00:00:00Z"},{"type":"model","id":"claude-haiku-5-5","display_name":"Claude Haiku 5.5","created_at":"2026-08-01T00:00:00Z"}],"has_more":false,"first_id":"claude-opus-5-5","last_id":"claude-haiku-5-5"}"#;

/// Reads one request and answers it.
pub(crate) async fn handle(
    upstream: Arc<Upstream>,
    link: Arc<Link>,
    request: Request<Incoming>,
) -> Result<Response<SandboxBody>, SandboxError> {
    let (parts, body) = request.into_parts();
    let body = read(body).await?;
    if let Some(path) = parts.uri.path().strip_prefix("/_sandbox/") {
        return Ok(control::answer(&upstream, &parts, path, body.as_ref()));
    }
    let Some(body) = body else {
        // What was not read to its end has no digest, so it is not recorded either.
        let message = "Request exceeds the maximum allowed number of bytes.";
        let exchange = Exchange::unrecorded(&upstream);
        return Ok(refuse(exchange, StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message));
    };
    let mut exchange = Exchange::begin(&upstream, link.id, &parts, &body);
    if parts.method == Method::HEAD {
        exchange.finish(Outcome::Complete); // The body of this reply is never asked for.
    }
    let Some(endpoint) = Endpoint::of(&parts) else {
        return Ok(refuse(exchange, StatusCode::NOT_FOUND, "not_found_error", "Not found"));
    };
    let Some(key) = presented_key(&parts) else {
        let message = "x-api-key header is required";
        return Ok(refuse(exchange, StatusCode::UNAUTHORIZED, "authentication_error", message));
    };
    match endpoint {
        Endpoint::Messages => {
            messages::answer(&upstream.scenarios.next(key), &link, exchange, &body).await
        }
        Endpoint::CountTokens => Ok(count_tokens(exchange, &body)),
        Endpoint::Models => {
            Ok(Reply::json(StatusCode::OK, Bytes::from_static(MODELS.as_bytes())).send(exchange))
        }
    }
}

enum Endpoint {
    CountTokens,
    Messages,
    Models,
}

impl Endpoint {
    fn of(parts: &Parts) -> Option<Self> {
        let path = parts.uri.path();
        match parts.method {
            Method::POST if path.ends_with("/v1/messages") => Some(Self::Messages),
            Method::POST if path.ends_with("/v1/messages/count_tokens") => Some(Self::CountTokens),
            Method::GET if path.ends_with("/v1/models") => Some(Self::Models),
            _ => None,
        }
    }
}

fn count_tokens(exchange: Exchange, body: &Bytes) -> Response<SandboxBody> {
    match request::parse(body) {
        Ok(request) => {
            let json = format!(r#"{{"input_tokens":{}}}"#, request.input_tokens());
            Reply::json(StatusCode::OK, json.into()).send(exchange)
        }
        Err(problem) => refuse(exchange, StatusCode::BAD_REQUEST, "invalid_request_error", problem),
    }
}

fn refuse(
    exchange: Exchange,
    status: StatusCode,
    kind: &str,
    message: &str,
) -> Response<SandboxBody> {
    Reply::error(status, kind, message, exchange.sequence).send(exchange)
}

/// The whole body, or `None` when it is too long.
async fn read(mut body: Incoming) -> Result<Option<Bytes>, SandboxError> {
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(SandboxError::RequestBody)?.into_data() else { continue };
        if joined.len() + first.len() + data.len() > MAX_BODY_BYTES {
            return Ok(None);
        }
        // Most bodies come in one piece, which is passed on without a copy.
        if first.is_empty() && joined.is_empty() {
            first = data;
            continue;
        }
        if joined.is_empty() {
            let rest = usize::try_from(http_body::Body::size_hint(&body).lower()).unwrap_or(0);
            joined.reserve(first.len() + data.len() + rest.min(MAX_BODY_BYTES));
            joined.extend_from_slice(&std::mem::take(&mut first));
        }
        joined.extend_from_slice(&data);
    }
    Ok(Some(if joined.is_empty() { first } else { joined.freeze() }))
}
