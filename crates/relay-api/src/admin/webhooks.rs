//! `POST /api/v2/webhooks/test`: whether those who are to be told of events can be.

use axum::Json;
use relay_engine::alerts::WebhookReport;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::error::ApiError;
use super::session::Session;

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(test_webhooks))
}

/// What came of trying the webhooks.
#[derive(Serialize, ToSchema)]
struct WebhookTest {
    /// In the order of `webhooks.urls`; empty: there are none.
    webhooks: Vec<WebhookView>,
}

/// What came of trying one.
#[derive(Serialize, ToSchema)]
struct WebhookView {
    /// Scheme and host.
    #[schema(example = "https://hooks.example")]
    url: String,
    /// What it answered. Null: nothing.
    status: Option<u16>,
    /// Why it does not count as told. Null: it does.
    error: Option<String>,
}

impl From<WebhookReport> for WebhookView {
    fn from(report: WebhookReport) -> Self {
        let WebhookReport { url, status, error } = report;
        Self { url, status, error }
    }
}

/// Sends every webhook an event of the type `webhook_test`, once, from this instance.
#[utoipa::path(
    post,
    path = "/api/v2/webhooks/test",
    tag = "Alerts",
    security(("bearerAuth" = [])),
    responses((status = 200, body = WebhookTest), ApiError),
)]
async fn test_webhooks(session: Session) -> Result<Json<WebhookTest>, ApiError> {
    let reports = session.alerts().test_webhooks().await;
    Ok(Json(WebhookTest { webhooks: reports.into_iter().map(WebhookView::from).collect() }))
}
