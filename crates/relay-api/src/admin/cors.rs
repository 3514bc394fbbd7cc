//! Browsers on other sites: let in from where the operator says, from nowhere otherwise.
//!
//! Callers present a token in a header, never a cookie, so a browser brings nothing along by itself.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderName, ORIGIN, VARY,
};
use http::{HeaderValue, Method, StatusCode};

/// Where browsers may call from.
pub(super) type Origins = Arc<[String]>;

/// Answers a browser's question whether it may call, and tells it whether it may read.
pub(super) async fn cors(State(origins): State<Origins>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let allowed = origin.filter(|origin| origins.iter().any(|known| known == origin));
    let asks = request.method() == Method::OPTIONS
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match allowed {
        Some(_) if asks => StatusCode::NO_CONTENT.into_response(),
        Some(_) | None => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("origin"));
    let Some(origin) = allowed else { return response };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let resource_policy = HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(resource_policy, HeaderValue::from_static("cross-origin"));
    let more = if asks {
        [
            (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, PATCH, DELETE"),
            (
                ACCESS_CONTROL_ALLOW_HEADERS,
                "authorization, content-type, if-match, idempotency-key",
            ),
            (ACCESS_CONTROL_MAX_AGE, "600"),
        ]
        .as_slice()
    } else {
        [(ACCESS_CONTROL_EXPOSE_HEADERS, "etag, location, retry-after")].as_slice()
    };
    for (name, value) in more {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
