//! The admin REST: what an operator asks and changes over HTTP.
//!
//! A file for each endpoint, named by its verb below its resource. One guard stands before them all. Whom it
//! lets in is a value: all that an endpoint can reach hangs on the `Session` that it takes as an argument, so
//! one that forgets to ask for it has nothing to show. Secrets go in and never come out, but for the new
//! API key's, once.

mod account_groups;
mod accounts;
mod answer_headers;
mod audit;
mod auth;
mod cors;
pub(crate) mod dollars;
pub(crate) mod error;
mod events;
mod extract;
mod given_limits;
mod groups;
mod guard;
mod idempotency;
mod keys;
mod limit_view;
mod limits_view;
mod long_list;
mod paging;
mod patch;
mod prices;
mod requests;
mod revision;
mod scopes;
mod self_loop;
mod service_rates;
mod session;
mod short_list;
mod stats;
mod takes;
mod throttle;
mod tokens;
mod webhooks;
mod wording;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use axum::middleware::{from_fn_with_state, map_response};
use http::{Method, Uri};
use relay_crypto::TokenSigner;
use relay_engine::alerts::Alerts;
use relay_engine::operator::Operator;
use relay_engine::prices::PriceKeeper;
use relay_engine::{Clock, Engine};
use relay_store::Stores;
use utoipa_axum::router::OpenApiRouter;

use self::error::ApiError;
use self::session::Sessions;
use crate::health::{Draining, HealthProbe};
use crate::{documentation, openapi};

/// The largest body of an admin request, in bytes.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// How the admin REST is set.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// How long a login lasts.
    pub session_ttl: Duration,
    /// What the operator calls this installation; `GET /health` shows it.
    pub environment: Option<String>,
    /// From where browsers may call, each as `https://host`; nowhere unless it is said.
    pub cors_origins: Vec<String>,
    /// Where Relay itself listens, if it does: no account's proxy may be there.
    pub listens_on: Option<SocketAddr>,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            session_ttl: Duration::from_hours(24),
            environment: None,
            cors_origins: Vec::new(),
            listens_on: None,
        }
    }
}

/// What the admin REST works with.
pub struct AdminParts {
    /// Its settings.
    pub config: AdminConfig,
    /// What an operator does.
    pub operator: Arc<Operator>,
    /// Knows how accounts fare.
    pub engine: Arc<Engine>,
    /// Keeps the prices.
    pub prices: Arc<PriceKeeper>,
    /// Shows events, and tries webhooks.
    pub alerts: Arc<Alerts>,
    /// Where everything is kept.
    pub stores: Stores,
    /// Which kind of store that is, for `GET /health`: `sqlite` or `redis`.
    pub store_kind: &'static str,
    /// Signs sessions.
    pub signer: TokenSigner,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Whether the process is about to stop.
    pub draining: Draining,
}

/// The address of whoever sent a request: as the listener saw it, or as the proxies tell it that the operator
/// trusts. The edge puts it into the request's extensions; no header besides is believed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PeerAddress(pub IpAddr);

/// What the handlers find.
#[derive(Clone)]
pub(crate) struct AdminState {
    sessions: Arc<Sessions>,
    health: Arc<HealthProbe>,
}

impl FromRef<AdminState> for Arc<Sessions> {
    fn from_ref(state: &AdminState) -> Self {
        Self::clone(&state.sessions)
    }
}

impl FromRef<AdminState> for Arc<HealthProbe> {
    fn from_ref(state: &AdminState) -> Self {
        Self::clone(&state.health)
    }
}

/// The admin REST, the health endpoints and `/openapi.json`. Every other path is a 404 in the shape of
/// the admin REST.
pub fn router(parts: AdminParts) -> Router {
    let origins: cors::Origins = parts.config.cors_origins.clone().into();
    let state = AdminState {
        health: Arc::new(HealthProbe::new(&parts)),
        sessions: Arc::new(Sessions::new(parts)),
    };
    let (router, document) = openapi::routes().split_for_parts();
    let router = router
        .merge(documentation::router(&openapi::print(&document)))
        .route_layer(from_fn_with_state(takes::Takes::of(&document), takes::refuse_untaken))
        .route_layer(from_fn_with_state(state.clone(), guard::guard))
        .fallback(no_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(map_response(answer_headers::protect));
    let router = if origins.is_empty() {
        router
    } else {
        router.layer(from_fn_with_state(origins, cors::cors))
    };
    router.with_state(state)
}

/// The routes of the admin REST with their documentation.
pub(crate) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new()
        .merge(auth::routes())
        .merge(keys::routes())
        .merge(accounts::routes())
        .merge(account_groups::routes())
        .merge(groups::routes())
        .merge(tokens::routes())
        .merge(audit::routes())
        .merge(requests::routes())
        .merge(prices::routes())
        .merge(service_rates::routes())
        .merge(stats::routes())
        .merge(events::routes())
        .merge(webhooks::routes())
}

async fn no_route(method: Method, uri: Uri) -> ApiError {
    ApiError::NoRoute { method, path: uri.path().to_owned() }
}

async fn wrong_method(method: Method) -> ApiError {
    ApiError::MethodNotAllowed(method)
}

#[cfg(test)]
mod tests;
