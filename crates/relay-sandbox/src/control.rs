//! The control endpoint below `/_sandbox/`.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response, StatusCode};

use crate::body::SandboxBody;
use crate::error::SandboxError;
use crate::recorder::{Exchange, Selection};
use crate::reply::Reply;
use crate::script::Script;
use crate::server::SandboxState;
use crate::upstream::Upstream;

/// Answers a control request for `path`, the part after `/_sandbox/`. `body` is `None` when it was too long.
pub(crate) fn answer(
    upstream: &Arc<Upstream>,
    parts: &Parts,
    path: &str,
    body: Option<&Bytes>,
) -> Response<SandboxBody> {
    let exchange = Exchange::unrecorded(upstream);
    let reply = reply(upstream, parts, path, body).unwrap_or_else(|(status, message)| {
        let kind = if status == StatusCode::NOT_FOUND {
            "not_found_error"
        } else {
            "invalid_request_error"
        };
        Reply::error(status, kind, &message, exchange.sequence)
    });
    reply.send(exchange)
}

type Refusal = (StatusCode, String);

fn reply(
    upstream: &Upstream,
    parts: &Parts,
    path: &str,
    body: Option<&Bytes>,
) -> Result<Reply, Refusal> {
    match (&parts.method, path.split_once('/')) {
        (&Method::PUT, Some(("scenarios", key))) => {
            let script = body.ok_or_else(|| {
                (StatusCode::PAYLOAD_TOO_LARGE, "The script is too long.".to_owned())
            })?;
            let script: Result<Script, _> =
                serde_json::from_slice(script).map_err(SandboxError::UnreadableScript);
            let set =
                script.and_then(|script| upstream.scenarios.set(percent_decoded(key), script));
            set.map_err(|problem| (StatusCode::BAD_REQUEST, problem.to_string()))?;
            Ok(done())
        }
        (&Method::DELETE, Some(("scenarios", key))) => {
            upstream.scenarios.remove(&percent_decoded(key));
            Ok(done())
        }
        (&Method::GET, None) if path == "requests" => {
            let query = parts.uri.query().unwrap_or_default();
            let key = parameter(query, "key");
            let include_body = parameter(query, "include_body")
                .is_some_and(|value| value == "1" || value == "true");
            json(&upstream.recorder.select(&Selection { key: key.as_deref(), include_body }))
        }
        (&Method::DELETE, None) if path == "requests" => {
            upstream.recorder.clear();
            Ok(done())
        }
        (&Method::GET, None) if path == "state" => json(&SandboxState::of(upstream)),
        _ => Err((StatusCode::NOT_FOUND, "There is no such control request.".to_owned())),
    }
}

fn done() -> Reply {
    Reply::json(StatusCode::OK, Bytes::from_static(b"{}"))
}

fn json(value: &impl serde::Serialize) -> Result<Reply, Refusal> {
    let json = serde_json::to_vec(value);
    let json = json.map_err(|problem| (StatusCode::INTERNAL_SERVER_ERROR, problem.to_string()))?;
    Ok(Reply::json(StatusCode::OK, json.into()))
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| percent_decoded(value)).next()
}

/// `%XX` becomes its byte; anything malformed stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped =
            tail.get(..2).filter(|_| *first == b'%').and_then(|digits| hex::decode(digits).ok());
        if let Some(byte) = escaped {
            bytes.extend(byte);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_urls_may_be_percent_encoded() {
        let cases = [
            ("plain", "sk-ant-api03_x", "sk-ant-api03_x"),
            ("a slash and a space", "a%2Fb%20c", "a/b c"),
            ("two-byte character", "caf%C3%A9", "café"),
            ("not an escape", "100%", "100%"),
            ("not hexadecimal", "%zz1", "%zz1"),
        ];
        for (name, text, expected) in cases {
            assert_eq!(percent_decoded(text), expected, "{name}");
        }
        assert_eq!(parameter("a=1&key=k%2B&b", "key"), Some("k+".to_owned()));
        assert_eq!(parameter("monkey=1", "key"), None);
    }
}
