//! The front door: client routes first, the admin router for everything else.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body as RouterBody;
use bytes::Bytes;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use relay_domain::RequestId;
use relay_engine::{Endpoint, Relay, RelayBody};
use relay_protocol::anthropic::ErrorType;
use tokio::time::timeout;
use tower::ServiceExt as _;

use crate::admin::PeerAddress;
use crate::client_address::client_address;
use crate::dialect::Refusal;
use crate::heard_out::HeardOut;
use crate::observer::{AnsweredRoute, EdgeObserver, Observed};
use crate::self_service::{self, OwnRoute};
use crate::{messages, models};

/// How long a request to the admin API may take, its body included.
const ADMIN_PATIENCE: Duration = Duration::from_mins(1);

/// How the edge is set.
#[derive(Clone, Copy, Debug)]
pub struct EdgeConfig {
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// How many proxies before Relay are believed when they tell whom they speak for.
    pub trusted_proxies: usize,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self { max_body_bytes: 64 * 1024 * 1024, trusted_proxies: 0 }
    }
}

/// Serves every request of one runtime.
#[derive(Clone)]
pub struct Edge {
    relay: Relay,
    router: Router,
    config: EdgeConfig,
    observed: Observed,
}

/// Where a client's request goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Route {
    Relay(Endpoint),
    Models,
    /// The owner of a key asks about it.
    Own(OwnRoute),
    /// A client looks whether somebody is there, without a key.
    Probe,
    /// A client route with the wrong method, or something near one.
    Unknown,
    /// Not a client's.
    Router,
}

impl Route {
    fn name(self) -> AnsweredRoute {
        match self {
            Self::Relay(Endpoint::Messages) => AnsweredRoute::Messages,
            Self::Relay(Endpoint::CountTokens) => AnsweredRoute::CountTokens,
            Self::Models => AnsweredRoute::Models,
            Self::Own(_) => AnsweredRoute::SelfService,
            Self::Probe => AnsweredRoute::Probe,
            Self::Unknown => AnsweredRoute::Unknown,
            Self::Router => AnsweredRoute::Admin,
        }
    }
}

impl Edge {
    /// An edge that relays through `relay` and leaves what is not a client's to `router`.
    #[must_use]
    pub fn new(relay: Relay, router: Router, config: EdgeConfig) -> Self {
        Self { relay, router, config, observed: Observed::default() }
    }

    /// The same, with somebody who is told of every answer.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn EdgeObserver>) -> Self {
        Self { observed: Observed::by(observer), ..self }
    }

    /// Answers one request that came from `peer`.
    pub async fn serve<B>(&self, request: Request<B>, peer: IpAddr) -> Response<EdgeBody>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let route = route(request.method(), request.uri().path());
        let holds_back = request.headers().contains_key(EXPECT);
        let mut response = self.answer(route, HeardOut::request(request), peer).await;
        if holds_back && !response.status().is_success() {
            // A client that was not told to send its body may never do so.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        self.observed.answered(route.name(), &response);
        response
    }

    async fn answer<B>(&self, route: Route, request: Request<B>, peer: IpAddr) -> Response<EdgeBody>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<axum::BoxError>,
    {
        match route {
            Route::Relay(endpoint) => {
                let bounds = (self.config.max_body_bytes, &self.observed);
                messages::relay(&self.relay, endpoint, request, bounds).await.map(EdgeBody::Relay)
            }
            Route::Models => {
                models::list(&self.relay, request.headers()).await.map(EdgeBody::Relay)
            }
            Route::Own(own) => {
                self_service::answer(&self.relay, own, request).await.map(EdgeBody::Relay)
            }
            Route::Probe => somebody_is_there(),
            Route::Unknown => unknown_path(&request, self.relay.request_id()),
            Route::Router => {
                let mut request = request.map(RouterBody::new);
                let hops = self.config.trusted_proxies;
                let client = client_address(request.headers(), peer, hops);
                request.extensions_mut().insert(PeerAddress(client));
                match timeout(ADMIN_PATIENCE, self.router.clone().oneshot(request)).await {
                    Ok(Ok(response)) => response.map(EdgeBody::Router),
                    Ok(Err(never)) => match never as Infallible {},
                    Err(_elapsed) => {
                        let mut response = Response::new(EdgeBody::Router(RouterBody::empty()));
                        *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
                        response
                    }
                }
            }
        }
    }
}

/// To a client that looks whether somebody is there.
pub(crate) fn somebody_is_there() -> Response<EdgeBody> {
    let mut response = Response::new(EdgeBody::Relay(RelayBody::whole(Bytes::new())));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// To a client that asks for what there is not.
pub(crate) fn unknown_path<B>(request: &Request<B>, id: RequestId) -> Response<EdgeBody> {
    let message = format!("no such endpoint: {} {}", request.method(), request.uri().path());
    let refusal = Refusal::new(ErrorType::NotFound, "unknown_path", message);
    refusal.into_response(id).map(EdgeBody::Relay)
}

/// Tells the routes apart. The paths are matched whole: nothing is passed on that is not listed here.
pub(crate) fn route(method: &Method, path: &str) -> Route {
    let below_mount =
        ["/api/v1/", "/claude/v1/", "/v1/"].iter().find_map(|mount| path.strip_prefix(mount));
    match (method, below_mount) {
        (&Method::POST, Some("messages")) => Route::Relay(Endpoint::Messages),
        (&Method::POST, Some("messages/count_tokens")) => Route::Relay(Endpoint::CountTokens),
        (&Method::GET, Some("models")) => Route::Models,
        (&Method::GET, Some(own)) if OwnRoute::below_mount(own).is_some() => {
            OwnRoute::below_mount(own).map_or(Route::Unknown, Route::Own)
        }
        (_, Some(_)) => Route::Unknown,
        (&Method::HEAD, None) if path == "/" || path == "/api/hello" => Route::Probe,
        (&Method::GET, None) if path == "/api/hello" => Route::Probe,
        (&Method::POST, None) if path == "/apiStats/api/get-key-id" => Route::Own(OwnRoute::KeyId),
        (&Method::POST, None) if path == "/apiStats/api/user-stats" => Route::Own(OwnRoute::Stats),
        (_, None) => Route::Router,
    }
}

/// The body of any answer.
pub enum EdgeBody {
    /// Of a client route.
    Relay(RelayBody),
    /// Of the admin router.
    Router(RouterBody),
}

impl Body for EdgeBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        match self.get_mut() {
            Self::Relay(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Router(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Relay(body) => body.is_end_stream(),
            Self::Router(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Relay(body) => body.size_hint(),
            Self::Router(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_paths_are_relayed() {
        let relay = Route::Relay;
        let cases = [
            (Method::POST, "/v1/messages", relay(Endpoint::Messages)),
            (Method::POST, "/api/v1/messages", relay(Endpoint::Messages)),
            (Method::POST, "/claude/v1/messages", relay(Endpoint::Messages)),
            (Method::POST, "/v1/messages/count_tokens", relay(Endpoint::CountTokens)),
            (Method::GET, "/v1/models", Route::Models),
            (Method::GET, "/v1/key-info", Route::Own(OwnRoute::KeyInfo)),
            (Method::GET, "/api/v1/usage", Route::Own(OwnRoute::Usage)),
            (Method::GET, "/claude/v1/me", Route::Own(OwnRoute::Me)),
            (Method::GET, "/api/v1/requests", Route::Own(OwnRoute::Requests)),
            (Method::GET, "/v1/organizations/o/usage", Route::Own(OwnRoute::Organization)),
            (Method::GET, "/v1/organizations//usage", Route::Unknown),
            (Method::GET, "/v1/organizations/a/b/usage", Route::Unknown),
            (Method::POST, "/v1/usage", Route::Unknown),
            (Method::POST, "/apiStats/api/get-key-id", Route::Own(OwnRoute::KeyId)),
            (Method::POST, "/apiStats/api/user-stats", Route::Own(OwnRoute::Stats)),
            (Method::GET, "/apiStats/api/user-stats", Route::Router),
            (Method::GET, "/v1/messages", Route::Unknown),
            (Method::POST, "/v1/messages/", Route::Unknown),
            (Method::POST, "/v1//messages", Route::Unknown),
            (Method::POST, "/v1/Messages", Route::Unknown),
            (Method::POST, "/v1/messages%2f", Route::Unknown),
            (Method::POST, "/v1/complete", Route::Unknown),
            (Method::HEAD, "/", Route::Probe),
            (Method::HEAD, "/api/hello", Route::Probe),
            (Method::GET, "/api/v2/keys", Route::Router),
            (Method::POST, "//v1/messages", Route::Router),
        ];
        for (method, path, expected) in cases {
            assert_eq!(route(&method, path), expected, "{method} {path}");
        }
    }
}
