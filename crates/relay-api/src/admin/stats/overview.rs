//! `GET /api/v2/stats/overview`

use axum::Json;
use relay_store::statistics::{Dimension, Grain, StatisticsFilter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::range::{AskedRange, Distinctions, question};
use super::view::{TotalsView, UsageView};
use crate::admin::error::ApiError;
use crate::admin::extract::QueryOf;
use crate::admin::session::Session;

/// How many keys, groups, accounts and models an overview names.
const NAMED: usize = 10;
/// A day for each row.
const MAX_DAYS: usize = 5_000;

/// Of which range.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OverviewQuery {
    /// The first day, in the operator's calendar, or the moment from whose hour on; 29 days before today
    /// unless told otherwise.
    #[param(example = "2026-11-01")]
    from: Option<String>,
    /// The last day, or the moment before which it ends; today unless told otherwise.
    #[param(example = "2026-11-30")]
    to: Option<String>,
}

/// How Relay was used.
#[derive(Serialize, ToSchema)]
pub(super) struct Overview {
    /// Today, in the operator's calendar, whatever the range.
    today: TotalsView,
    /// The range, day by day.
    days: UsageView,
    /// The ten keys that cost most.
    keys: UsageView,
    /// The ten groups that cost most.
    groups: UsageView,
    /// The ten accounts that cost most.
    accounts: UsageView,
    /// The ten models that cost most.
    models: UsageView,
}

/// Shows how Relay was used: today, day by day, and by whom most.
#[utoipa::path(
    get,
    path = "/api/v2/stats/overview",
    tag = "Statistics",
    security(("bearerAuth" = [])),
    params(OverviewQuery),
    responses((status = 200, body = Overview), ApiError),
)]
pub(super) async fn show_overview(
    session: Session,
    QueryOf(query): QueryOf<OverviewQuery>,
) -> Result<Json<Overview>, ApiError> {
    let range = AskedRange { from: query.from.as_deref(), to: query.to.as_deref() };
    let today = session.usage().calendar().period(relay_domain::PeriodKind::Day, session.now());
    let today = today.to_string();
    let this_day = AskedRange { from: Some(&today), to: Some(&today) };
    let ask_total = async |range| {
        let distinctions = Distinctions { grain: Grain::Whole, by: Vec::new() };
        let question = question(&session, range, &distinctions, StatisticsFilter::default())?;
        Ok(TotalsView::from(session.usage().statistics(&question).await?.total))
    };
    let ask = async |range: AskedRange<'_>, grain, by: Option<Dimension>, limit| {
        let distinctions = Distinctions { grain, by: by.into_iter().collect() };
        let question = question(&session, range, &distinctions, StatisticsFilter::default())?;
        UsageView::new(session.usage().statistics(&question).await?, limit)
    };
    let named = async |by| ask(range, Grain::Whole, Some(by), NAMED).await;
    let (today, days, keys, groups, accounts, models) = tokio::try_join!(
        ask_total(this_day),
        ask(range, Grain::Day, None, MAX_DAYS),
        named(Dimension::Key),
        named(Dimension::Group),
        named(Dimension::Account),
        named(Dimension::Model),
    )?;
    Ok(Json(Overview { today, days, keys, groups, accounts, models }))
}
