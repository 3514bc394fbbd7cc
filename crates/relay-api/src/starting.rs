//! What is answered while Relay starts: it lives, is not ready, and lets nobody in. Where things are kept may
//! start later than Relay, and who asks in between is told so.

use std::sync::Arc;

use axum::Json;
use axum::response::IntoResponse as _;
use http::{Request, Response, StatusCode};
use relay_crypto::random_u128;
use relay_domain::RequestId;
use relay_engine::Clock;

use crate::dialect::Refusal;
use crate::edge::{EdgeBody, Route, route, somebody_is_there, unknown_path};
use crate::health::Readiness;

/// Answers in the place of an [`Edge`](crate::Edge) that is not there yet. Clones are the same.
#[derive(Clone)]
pub struct Starting {
    clock: Arc<dyn Clock>,
}

impl Starting {
    /// Numbers requests by the time of `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }

    /// Answers a request by its method and its path alone.
    pub fn answer<B>(&self, request: &Request<B>) -> Response<EdgeBody> {
        let id = RequestId::new(self.clock.now(), random_u128());
        match route(request.method(), request.uri().path()) {
            Route::Relay(_) | Route::Models | Route::Own(_) => {
                Refusal::store_unavailable().into_response(id).map(EdgeBody::Relay)
            }
            Route::Probe => somebody_is_there(),
            Route::Unknown => unknown_path(request, id),
            Route::Router if request.uri().path() == "/livez" => told(StatusCode::OK, "live"),
            Route::Router => {
                told(StatusCode::SERVICE_UNAVAILABLE, "starting: the store is not open yet")
            }
        }
    }
}

fn told(code: StatusCode, status: &'static str) -> Response<EdgeBody> {
    (code, Json(Readiness { status })).into_response().map(EdgeBody::Router)
}

#[cfg(test)]
mod tests {
    use http::Method;
    use relay_engine::SystemClock;

    use super::*;

    #[test]
    fn who_comes_too_early_is_told_so() {
        let starting = Starting::new(Arc::new(SystemClock));
        let cases = [
            (Method::GET, "/livez", 200),
            (Method::GET, "/readyz", 503),
            (Method::GET, "/health", 503),
            (Method::GET, "/api/v2/keys", 503),
            (Method::POST, "/v1/messages", 503),
            (Method::GET, "/v1/models", 503),
            (Method::GET, "/api/v1/key-info", 503),
            (Method::HEAD, "/", 204),
            (Method::POST, "/v1/complete", 404),
        ];
        for (method, path, expected) in cases {
            let request = Request::builder().method(&method).uri(path).body(()).unwrap();
            let answer = starting.answer(&request);
            assert_eq!(answer.status(), expected, "{method} {path}");
            let is_client = matches!(route(&method, path), Route::Relay(_) | Route::Models);
            assert_eq!(
                answer.headers().contains_key("retry-after"),
                is_client || expected == 503 && path.contains("key-info"),
                "{path}"
            );
        }
    }
}
