//! `POST /api/v2/accounts/{platform}/{id}/test`

use axum::Json;
use relay_domain::{AccountId, Platform};
use relay_engine::inspection::{ProbeReport, StepReport};
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::extract::PathOf;
use crate::admin::session::Session;

/// What came of a call to an account.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TestView {
    /// Whether the provider answers it.
    ok: bool,
    /// A stable code: `well`, `credential_refused`, `blocked`, `not_found`, `rate_limited`, `refused`,
    /// `server_error`, `unreachable`, `no_answer`, `proxy_unusable`, `address_unusable` or
    /// `secret_unreadable`.
    verdict: &'static str,
    /// The same as a sentence.
    message: String,
    /// What was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    called: Option<String>,
    /// The status of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// What went wrong, in detail.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The steps of the call, in their order; the last is the one that failed, if one did.
    phases: Vec<PhaseView>,
}

/// One step of a call.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PhaseView {
    /// `lookup`, `connect`, `proxy`, `tls`, `head` or `body`.
    phase: &'static str,
    ok: bool,
    /// How long it took, in microseconds.
    took_us: u64,
}

/// Makes one free call to an account, the way its requests go, and reports every step. Nothing about the
/// account is changed by what it learns.
#[utoipa::path(
    post,
    path = "/api/v2/accounts/{platform}/{id}/test",
    tag = "Accounts",
    security(("bearerAuth" = [])),
    params(
        ("platform" = String, Path, description = "`claude-console` or `codex`"),
        ("id" = String, Path, description = "The account's id"),
    ),
    responses(
        (status = 200, body = TestView),
        (status = 404, body = ErrorBody, description = "The platform has no such account"),
        ApiError,
    ),
)]
pub(super) async fn test_account(
    session: Session,
    PathOf((platform, id)): PathOf<(Platform, AccountId)>,
) -> Result<Json<TestView>, ApiError> {
    let account = session.operator().account(&id).await?;
    account.filter(|account| account.platform == platform).ok_or(ApiError::NotFound("Account"))?;
    let report = session.engine().probe(&id).await?.ok_or(ApiError::NotFound("Account"))?;
    tracing::info!(account.id = %id, verdict = report.verdict.code(), "account tested");
    Ok(Json(report.into()))
}

impl From<ProbeReport> for TestView {
    fn from(report: ProbeReport) -> Self {
        Self {
            ok: report.verdict == relay_engine::inspection::ProbeVerdict::Well,
            verdict: report.verdict.code(),
            message: report.verdict.to_string(),
            called: report.called,
            status: report.status,
            error: report.error,
            phases: report.steps.into_iter().map(PhaseView::from).collect(),
        }
    }
}

impl From<StepReport> for PhaseView {
    fn from(StepReport { step, took, well }: StepReport) -> Self {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        Self { phase: step.code(), ok: well, took_us }
    }
}
