//! The one guard: whatever the router leads to needs a session or a token of automation, but for what is
//! listed here; and a token needs the scope that the request takes.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::error::ApiError;
use super::session::Sessions;
use super::{PeerAddress, scopes};

/// What is open to everybody, as the router knows it. A path that is not here is closed.
pub(super) const OPEN: &[&str] = &[
    "/api/v2/auth/admin/login",
    "/health",
    "/livez",
    "/readyz",
    "/openapi.json",
    "/docs",
    "/docs/",
    "/docs/json",
    "/docs/yaml",
    "/docs/{file}",
];

/// Lets a request pass that is for an open path, or whose token stands for a session that may do what is
/// asked; the session then travels with it. Decided by the path that was routed, before anything else of the request is read.
pub(super) async fn guard(
    State(sessions): State<Arc<Sessions>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let routed = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let routed = routed.unwrap_or_default();
    if !OPEN.contains(&routed) {
        let needed = scopes::needed(request.method(), routed);
        let address = request.extensions().get::<PeerAddress>().map(|peer| peer.0);
        let session = sessions.of_request(request.headers(), address).await?;
        if !session.may(needed) {
            return Err(ApiError::Forbidden(needed));
        }
        request.extensions_mut().insert(session);
    }
    Ok(next.run(request).await)
}
