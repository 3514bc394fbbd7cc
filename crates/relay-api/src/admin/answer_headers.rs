//! What every answer of the admin router tells caches and browsers.
//!
//! Not among it: `Strict-Transport-Security`. Relay speaks no TLS itself, and whether all of a host's names
//! do is known only where TLS ends.

use axum::response::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue};

/// Nothing is loaded, nothing runs, and no other page may show it.
const NOTHING: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// An answer that nobody keeps, guesses at, frames or reads from another site. An answer that says
/// otherwise of its own content, such as a page that has scripts, is left to.
pub(super) async fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    // Tokens and new API keys are in these answers: nothing on the way may keep them.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    unless_said(headers, CONTENT_SECURITY_POLICY, NOTHING);
    unless_said(headers, HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    response
}

fn unless_said(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.entry(name).or_insert(HeaderValue::from_static(value));
}
