//! `GET /api/v2/stats/usage`

use axum::response::Response;
use http::HeaderMap;
use relay_domain::{AccountId, GroupId, KeyId, ModelName};
use relay_store::statistics::{MAX_ROWS, Statistics, StatisticsFilter};
use serde::Deserialize;

use super::csv::FormatName;
use super::range::{AskedRange, Distinctions, question};
use super::view::UsageView;
use crate::admin::error::ApiError;
use crate::admin::extract::QueryOf;
use crate::admin::session::Session;

const DEFAULT_LIMIT: usize = 1_000;

/// Which usage.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UsageQuery {
    /// The first day, in the operator's calendar, or the moment from whose hour on; 29 days before today
    /// unless told otherwise.
    #[param(example = "2026-11-01")]
    pub(super) from: Option<String>,
    /// The last day, or the moment before which it ends; today unless told otherwise.
    #[param(example = "2026-11-30")]
    pub(super) to: Option<String>,
    /// What to tell apart: any of `key`, `group`, `account`, `model`, and one of `month`, `day`, `hour`,
    /// separated by commas.
    #[param(example = "day,model")]
    pub(super) by: Option<String>,
    /// Only of this key.
    #[param(value_type = Option<String>)]
    key: Option<KeyId>,
    /// Only of keys that were in this group.
    #[param(value_type = Option<String>)]
    group: Option<GroupId>,
    /// Only through this account.
    #[param(value_type = Option<String>)]
    account: Option<AccountId>,
    /// Only of this model, by the name that the provider served it under.
    #[param(value_type = Option<String>, example = "claude-sonnet-4-5-20250929")]
    model: Option<ModelName>,
    /// How many rows at most; 1000 unless told otherwise.
    #[param(minimum = 1, maximum = 50_000)]
    pub(super) limit: Option<usize>,
    /// JSON, unless told otherwise here or by `Accept: text/csv`.
    #[param(inline)]
    pub(super) format: Option<FormatName>,
}

impl UsageQuery {
    pub(super) fn filter(&self) -> StatisticsFilter {
        StatisticsFilter {
            key: self.key.clone(),
            group: self.group.clone(),
            account: self.account.clone(),
            model: self.model.clone(),
        }
    }

    pub(super) fn range(&self) -> AskedRange<'_> {
        AskedRange { from: self.from.as_deref(), to: self.to.as_deref() }
    }

    /// What it asks for, and how many rows of that are to be shown at most.
    pub(super) async fn ask(&self, session: &Session) -> Result<(Statistics, usize), ApiError> {
        let limit = row_limit(self.limit)?;
        let distinctions = Distinctions::parse(self.by.as_deref().unwrap_or(""))?;
        let question = question(session, self.range(), &distinctions, self.filter())?;
        Ok((session.usage().statistics(&question).await?, limit))
    }
}

/// How many rows are asked for.
pub(crate) fn row_limit(asked: Option<usize>) -> Result<usize, ApiError> {
    let limit = asked.unwrap_or(DEFAULT_LIMIT);
    let why = "must be from 1 to 50000";
    (1..=MAX_ROWS)
        .contains(&limit)
        .then_some(limit)
        .ok_or(ApiError::Invalid { field: "limit", why })
}

/// Shows what was used in a range.
#[utoipa::path(
    get,
    path = "/api/v2/stats/usage",
    tag = "Statistics",
    security(("bearerAuth" = [])),
    params(UsageQuery),
    responses(
        (status = 200, description = "What was used", content((UsageView = "application/json"), (String = "text/csv"))),
        ApiError,
    ),
)]
pub(super) async fn show_usage(
    session: Session,
    headers: HeaderMap,
    QueryOf(query): QueryOf<UsageQuery>,
) -> Result<Response, ApiError> {
    let (statistics, limit) = query.ask(&session).await?;
    let answer = UsageView::new(statistics, limit)?;
    Ok(FormatName::of_request(query.format, &headers).write(answer, UsageView::into_csv))
}
