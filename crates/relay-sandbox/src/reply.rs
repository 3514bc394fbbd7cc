//! Response heads in Anthropic's form, and the reply to requests that need no script.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::body::SandboxBody;
use crate::connection::Link;
use crate::delivery::{self, Framing};
use crate::envelope;
use crate::recorder::Exchange;
use crate::scenario::PreparedStep;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Headers about the account, which a relay must not show to its clients.
const ACCOUNT_HEADERS: [(&str, &str); 10] = [
    ("anthropic-organization-id", "5a4d0b0c-0000-4000-8000-73616e64626f"),
    ("anthropic-ratelimit-requests-limit", "4000"),
    ("anthropic-ratelimit-requests-remaining", "3999"),
    ("anthropic-ratelimit-requests-reset", "2030-01-01T00:00:00Z"),
    ("anthropic-ratelimit-input-tokens-limit", "2000000"),
    ("anthropic-ratelimit-input-tokens-remaining", "1999000"),
    ("anthropic-ratelimit-input-tokens-reset", "2030-01-01T00:00:00Z"),
    ("anthropic-ratelimit-output-tokens-limit", "400000"),
    ("anthropic-ratelimit-output-tokens-remaining", "399000"),
    ("anthropic-ratelimit-output-tokens-reset", "2030-01-01T00:00:00Z"),
];

static JSON_HEAD: LazyLock<HeaderMap> = LazyLock::new(|| account_headers(JSON));
static STREAM_HEAD: LazyLock<HeaderMap> = LazyLock::new(|| {
    let mut headers = account_headers(EVENT_STREAM);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers
});

/// A reply whose frames are still to be sent.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) framing: Framing,
    pub(crate) frames: Vec<Bytes>,
}

impl Reply {
    /// A JSON body.
    pub(crate) fn json(status: StatusCode, body: Bytes) -> Self {
        Self { status, framing: Framing::Length, frames: vec![body] }
    }

    /// An error in Anthropic's form, to the request with number `sequence`.
    pub(crate) fn error(status: StatusCode, kind: &str, message: &str, sequence: u64) -> Self {
        Self::json(status, envelope::error_body(kind, message, &request_id(sequence)))
    }

    /// Sends the frames at once.
    pub(crate) fn send(self, exchange: Exchange) -> Response<SandboxBody> {
        let headers = self.headers(&exchange);
        respond(self.status, headers, SandboxBody::free(self.frames, exchange))
    }

    /// Sends the frames as the script says.
    pub(crate) fn send_scripted(
        self,
        prepared: &PreparedStep,
        link: &Arc<Link>,
        exchange: Exchange,
    ) -> Response<SandboxBody> {
        let mut headers = self.headers(&exchange);
        for (name, value) in &prepared.headers {
            headers.insert(name, value.clone());
        }
        let body = if prepared.is_paced {
            let actions = delivery::actions(self.frames, &prepared.step, self.framing);
            SandboxBody::scripted(actions, Arc::clone(link), exchange)
        } else {
            SandboxBody::free(self.frames, exchange)
        };
        respond(self.status, headers, body)
    }

    fn headers(&self, exchange: &Exchange) -> HeaderMap {
        let mut headers = match self.framing {
            Framing::Chunked => STREAM_HEAD.clone(),
            Framing::Length => {
                let length: usize = self.frames.iter().map(Bytes::len).sum();
                let mut headers = JSON_HEAD.clone();
                headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
                headers
            }
        };
        if let Ok(id) = HeaderValue::try_from(request_id(exchange.sequence)) {
            headers.insert(REQUEST_ID, id);
        }
        headers
    }
}

fn respond(status: StatusCode, headers: HeaderMap, body: SandboxBody) -> Response<SandboxBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn request_id(sequence: u64) -> String {
    format!("req_sandbox_{sequence:016x}")
}

fn account_headers(content_type: HeaderValue) -> HeaderMap {
    // Room for what is added to each reply, so that the copy does not grow.
    let mut headers = HeaderMap::with_capacity(ACCOUNT_HEADERS.len() + 6);
    headers.insert(CONTENT_TYPE, content_type);
    headers.extend(
        ACCOUNT_HEADERS
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))),
    );
    headers
}
