//! `POST …/v1/messages` and `…/count_tokens`: read the request, hand it to the engine, say what came of it.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::BodyExt as _;
use relay_domain::RequestId;
use relay_engine::{
    Caller, Departure, Endpoint, Incoming, LateBody, Relay, RelayBody, Relaying, WaitSign,
    before_keep_alive,
};
use relay_protocol::anthropic::ErrorType;
use tokio::time::timeout;

use crate::dialect::{Refusal, write_id};
use crate::observer::Observed;

/// How long a client may pause within its request's body.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// A body that says its length gets that much room at once, up to this.
const TRUSTED_LENGTH: usize = 1024 * 1024;

/// Relays one request.
pub(crate) async fn relay<B>(
    relay: &Relay,
    endpoint: Endpoint,
    request: Request<B>,
    (limit, observed): (usize, &Observed),
) -> Response<RelayBody>
where
    B: Body<Data = Bytes> + Unpin,
{
    let (id, arrived) = (relay.request_id(), Instant::now());
    match answer(relay, endpoint, (id, arrived), request, (limit, observed)).await {
        Ok(response) => response,
        Err(refusal) => observed.answer(refusal, id),
    }
}

async fn answer<B>(
    relay: &Relay,
    endpoint: Endpoint,
    (id, arrived): (RequestId, Instant),
    request: Request<B>,
    (limit, observed): (usize, &Observed),
) -> Result<Response<RelayBody>, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    let refuse = |error| observed.refusal(&error, relay);
    let (head, body) = request.into_parts();
    // The key comes first: a stranger's 64 MiB are not read.
    let caller = relay.authenticate(presented_keys(&head.headers)).await.map_err(refuse)?;
    if head.headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        let message = "content-encoding: send the request body uncompressed";
        return Err(Refusal::new(
            ErrorType::InvalidRequest,
            "unsupported_content_encoding",
            message,
        ));
    }
    let body = read(&head.headers, body, limit).await?;
    if endpoint == Endpoint::Messages {
        let asked = Asked { endpoint, id, arrived, head, body };
        return message(relay, caller, asked, observed).await;
    }
    let incoming = Incoming {
        endpoint,
        id,
        arrived,
        headers: &head.headers,
        query: head.uri.query(),
        body: &body,
        waits: None,
        departure: None,
    };
    relay.relay(caller, &incoming).await.map_err(refuse)
}

/// A request for a message, with all that it needs until it is answered.
struct Asked {
    endpoint: Endpoint,
    id: RequestId,
    arrived: Instant,
    head: Parts,
    body: Bytes,
}

/// Relays a request that may have to wait, or to go on without its client. A client that wants a stream and
/// has waited for as long as it may be left without a word gets the head, and signs of life; what comes of
/// the request follows.
async fn message(
    relay: &Relay,
    caller: Caller,
    asked: Asked,
    observed: &Observed,
) -> Result<Response<RelayBody>, Refusal> {
    let (id, keep_alive, may_wait) = (asked.id, relay.keep_alive(), caller.may_wait());
    let (sign, departure) = (WaitSign::default(), Departure::default());
    let (seen, left) = (sign.clone(), departure.clone());
    let relaying: Relaying<Refusal> = Box::pin({
        let (relay, told) = (relay.clone(), observed.clone());
        async move {
            let Asked { endpoint, id, arrived, head, body } = asked;
            let incoming = Incoming {
                endpoint,
                id,
                arrived,
                headers: &head.headers,
                query: head.uri.query(),
                body: &body,
                waits: Some(&sign),
                departure: Some(&departure),
            };
            let result = relay.relay(caller, &incoming).await;
            result.map_err(|error| told.refusal(&error, &relay))
        }
    });
    let relaying = relay.outlast(relaying, left);
    if !may_wait {
        return relaying.await;
    }
    match before_keep_alive(relaying, &seen, keep_alive).await {
        Ok(result) => result,
        Err(relaying) => {
            let observed = observed.clone();
            let behind = async move {
                relaying.await.map_err(|refusal| {
                    observed.refused(&refusal);
                    refusal.into_event(id)
                })
            };
            let body = LateBody::new(Box::pin(behind), keep_alive);
            let mut response = Response::new(RelayBody::Late(Box::new(body)));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            write_id(id, headers);
            Ok(response)
        }
    }
}

/// What may be the client's key, in the order in which it is believed: newer SDKs send API keys as bearer
/// tokens, and some clients fill both headers, with different values.
pub(crate) fn presented_keys(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let bearer = text(AUTHORIZATION.as_str()).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    });
    [text("x-api-key"), bearer].into_iter().flatten().map(str::trim).filter(|key| !key.is_empty())
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read<B: Body<Data = Bytes> + Unpin>(
    headers: &HeaderMap,
    mut body: B,
    limit: usize,
) -> Result<Bytes, Refusal> {
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok());
    if length.is_some_and(|length: usize| limit < length) {
        return Err(too_large(limit));
    }
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    loop {
        let Ok(next) = timeout(BODY_PATIENCE, body.frame()).await else {
            let message = "the request body stopped coming; send it again, all of it";
            return Err(Refusal::new(ErrorType::InvalidRequest, "incomplete_body", message));
        };
        let Some(frame) = next else { break };
        let Ok(frame) = frame else {
            let message = "the request body broke off; send all of it";
            return Err(Refusal::new(ErrorType::InvalidRequest, "incomplete_body", message));
        };
        let Ok(chunk) = frame.into_data() else { continue };
        if limit < first.len() + all.len() + chunk.len() {
            return Err(too_large(limit));
        }
        if first.is_empty() && all.is_empty() {
            first = chunk;
            continue;
        }
        if all.is_empty() {
            all.reserve(length.unwrap_or(0).min(TRUSTED_LENGTH).max(first.len() + chunk.len()));
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&chunk);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

fn too_large(limit: usize) -> Refusal {
    let message = format!("the request body is larger than the limit of {limit} bytes");
    Refusal::new(ErrorType::RequestTooLarge, "request_too_large", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it is, the headers, the keys in the order in which they are believed.
    type Case = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

    #[test]
    fn keys_are_found_wherever_clients_put_them() {
        let cases: [Case; 6] = [
            ("none", &[], &[]),
            ("x-api-key", &[("x-api-key", " cr_a ")], &["cr_a"]),
            ("bearer, any case", &[("authorization", "bEARER cr_a")], &["cr_a"]),
            ("both", &[("authorization", "Bearer cr_b"), ("x-api-key", "cr_a")], &["cr_a", "cr_b"]),
            ("another scheme", &[("authorization", "Basic abc")], &[]),
            ("blank", &[("x-api-key", " "), ("authorization", "Bearer ")], &[]),
        ];
        for (name, headers, expected) in cases {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| {
                    (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap())
                })
                .collect();
            assert_eq!(presented_keys(&headers).collect::<Vec<_>>(), expected, "{name}");
        }
    }
}
