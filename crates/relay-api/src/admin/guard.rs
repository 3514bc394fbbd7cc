//! The one guard: whatever the router leads to needs a session, but for what is listed here.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::error::ApiError;
use super::session::Sessions;

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
    "/docs/{file}",
];

/// Lets a request pass that is for an open path, or whose token stands for a session; the session then
/// travels with it. Decided by the path that was routed, before anything else of the request is read.
pub(super) async fn guard(
    State(sessions): State<Arc<Sessions>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let routed = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    if !routed.is_some_and(|path| OPEN.contains(&path)) {
        let session = sessions.of_request(request.headers()).await?;
        request.extensions_mut().insert(session);
    }
    Ok(next.run(request).await)
}
