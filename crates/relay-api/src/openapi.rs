//! The `OpenAPI` document, made from the handlers, so that it cannot say what they do not do.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, OpenApi};
use utoipa::{Modify, OpenApi as _};
use utoipa_axum::router::OpenApiRouter;

use crate::admin::error::document_bodies;
use crate::admin::{self, AdminState};
use crate::health;

/// What the handlers do not say of themselves.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Relay",
        description = "The admin REST of Relay, the relay between AI coding clients and model providers.",
    ),
    modifiers(&Bearer),
    tags(
        (name = "Authentication", description = "Logging in"),
        (name = "API Keys", description = "What clients present"),
        (name = "Accounts", description = "Where requests go"),
        (name = "Account Groups", description = "Accounts that alone serve the keys that are bound to them"),
        (name = "Groups", description = "API keys that share limits"),
        (name = "Admin Tokens", description = "What automation presents"),
        (name = "Audit", description = "Who changed what"),
        (name = "Requests", description = "What happened to them"),
        (name = "Prices", description = "What models cost"),
        (name = "Statistics", description = "What was used, and what it cost"),
        (name = "Alerts", description = "What an operator should hear of"),
        (name = "Health", description = "How Relay is"),
    ),
)]
struct Frame;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = document.components.get_or_insert_with(Components::new);
        components.add_security_scheme("bearerAuth", SecurityScheme::Http(scheme));
    }
}

/// The document as pretty JSON, its entries in an order of their own that only a change of the API
/// changes.
#[must_use]
pub fn document() -> String {
    print(&routes().into_openapi())
}

/// Every documented route: all there are but the document's own.
pub(crate) fn routes() -> OpenApiRouter<AdminState> {
    let frame = OpenApiRouter::with_openapi(Frame::openapi());
    let mut routes = frame.merge(admin::routes()).merge(health::routes());
    document_bodies(routes.get_openapi_mut());
    routes
}

/// The document as pretty JSON.
#[expect(clippy::expect_used, reason = "maps with text for keys are always JSON")]
pub(crate) fn print(document: &OpenApi) -> String {
    document.to_pretty_json().expect("the document is JSON")
}
