//! A request's record as operators see it.

use relay_domain::{
    AttemptOutcome, AttemptRecord, CostBreakdown, Edit, NanoUsd, Outcome, RequestRecord,
    RequestTimes, ServedTerms, ServiceTier, TokenUsage, UsageSource, VerdictRecord,
};
use serde::Serialize;
use utoipa::ToSchema;

/// What happened to one request.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RequestView {
    id: String,
    key_id: String,
    /// The key's group.
    group_id: Option<String>,
    /// `claude-console` or `codex`.
    platform: &'static str,
    /// The model that the client asked for.
    model: String,
    /// The model that the provider says it used.
    served_model: Option<String>,
    /// The account that gave the answer, or the last one tried.
    account_id: Option<String>,
    stream: bool,
    /// `completed`, `rejected`, `no_account`, `client_gone`, `upstream_failed`, `budget_exhausted` or
    /// `orphaned`.
    #[schema(value_type = String)]
    outcome: Outcome,
    /// The status that the client got; 0 if it left before there was one.
    status: u16,
    started_at: String,
    times: TimesView,
    usage: RequestUsage,
    /// `final`, `partial` (the provider's last word before the end), `estimated` or `none`.
    #[schema(value_type = String)]
    usage_source: UsageSource,
    /// Decimal dollars, exact. Null: the model has no price, which is not the same as free.
    cost: Option<String>,
    /// The same in nano-dollars.
    cost_nanos: Option<i64>,
    /// What the budgets of the account count where the cost is not known, in decimal dollars; null where it is.
    presumed_cost: Option<String>,
    /// The same in nano-dollars.
    presumed_cost_nanos: Option<i64>,
    /// The cost by kind; the kinds add up to it. Null where the cost is not known, or not by kind.
    cost_by_kind: Option<CostByKindView>,
    /// On which terms it was served, by what the answer said.
    terms: TermsView,
    /// When it was settled: it counts in that hour, day and month. Null in old records.
    settled_at: Option<String>,
    /// What of it counts against the budgets of the key and its group, in decimal dollars.
    charged: Option<String>,
    /// The same in nano-dollars.
    charged_nanos: Option<i64>,
    /// In order.
    attempts: Vec<AttemptView>,
    /// What Relay changed in the request's body.
    edits: Vec<EditView>,
    /// What was decided about the accounts, those that came first at the front.
    decision: Vec<VerdictView>,
}

/// What was decided about one account.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct VerdictView {
    account_id: String,
    /// What gave it its place (`bound`, `sticky`, `priority`), or what kept it out.
    verdict: String,
    /// Until when it is kept out, as far as that is known.
    until: Option<String>,
}

/// Where the time went, in microseconds after the request's arrival. Null: it did not get there.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "in JSON a number needs its unit in its name")]
pub(super) struct TimesView {
    /// How long it waited in a queue.
    queued_us: Option<u64>,
    admitted_us: Option<u64>,
    /// The winning attempt was sent.
    sent_us: Option<u64>,
    /// A connection for the winning attempt was there.
    connected_us: Option<u64>,
    /// The head of the winning answer came.
    head_us: Option<u64>,
    first_content_us: Option<u64>,
    end_us: Option<u64>,
    /// The longest silence of the upstream within the answer.
    longest_stall_us: u64,
    /// Relay's own share of the time to the first content.
    added_us: Option<u64>,
}

/// Tokens by kind. The kinds do not overlap.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "in JSON a number needs its unit in its name")]
pub(super) struct RequestUsage {
    input_tokens: u64,
    output_tokens: u64,
    cache_read_tokens: u64,
    #[serde(rename = "cacheWrite5mTokens")]
    cache_write_5m_tokens: u64,
    #[serde(rename = "cacheWrite1hTokens")]
    cache_write_1h_tokens: u64,
    total_tokens: u64,
}

/// A cost by what it was charged for, in nano-dollars.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "in JSON a number needs its unit in its name")]
pub(super) struct CostByKindView {
    input_nanos: i64,
    output_nanos: i64,
    cache_read_nanos: i64,
    #[serde(rename = "cacheWrite5mNanos")]
    cache_write_5m_nanos: i64,
    #[serde(rename = "cacheWrite1hNanos")]
    cache_write_1h_nanos: i64,
    web_search_nanos: i64,
}

/// On which terms a request was served.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TermsView {
    /// `standard`, `priority`, `flex` or `batch`.
    #[schema(value_type = String)]
    tier: ServiceTier,
    /// In the fast mode.
    fast: bool,
    /// Kept to the United States.
    us_residency: bool,
    /// Web searches that the provider ran.
    web_searches: u64,
}

/// One attempt on one account.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AttemptView {
    account_id: String,
    /// What came of it: `answered`, or what went wrong.
    #[schema(value_type = String)]
    outcome: AttemptOutcome,
    /// The upstream's status, if there was one.
    status: Option<u16>,
    /// Microseconds after the request's arrival.
    started_us: u64,
    took_us: u64,
}

/// A change to the request's body.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub(super) enum EditView {
    /// The model's name was replaced by the account's.
    Model {
        /// The name that was sent on.
        to: String,
    },
}

impl From<RequestRecord> for RequestView {
    fn from(record: RequestRecord) -> Self {
        Self {
            id: record.id.to_string(),
            key_id: record.key.into(),
            group_id: record.group.map(String::from),
            platform: record.platform.as_str(),
            model: record.model.into(),
            served_model: record.served_model.map(String::from),
            account_id: record.account.map(String::from),
            stream: record.stream,
            outcome: record.outcome,
            status: record.status,
            started_at: record.started_at.to_string(),
            times: record.times.into(),
            usage: record.usage.into(),
            usage_source: record.usage_source,
            cost: record.cost.map(|cost| cost.to_string()),
            cost_nanos: record.cost.map(NanoUsd::as_nanos),
            presumed_cost: record.presumed_cost.map(|cost| cost.to_string()),
            presumed_cost_nanos: record.presumed_cost.map(NanoUsd::as_nanos),
            cost_by_kind: record.cost_by_kind.map(CostByKindView::from),
            terms: record.terms.into(),
            settled_at: record.settled_at.map(|at| at.to_string()),
            charged: record.charged.map(|charged| charged.to_string()),
            charged_nanos: record.charged.map(NanoUsd::as_nanos),
            attempts: record.attempts.into_iter().map(AttemptView::from).collect(),
            edits: record.edits.into_iter().map(EditView::from).collect(),
            decision: record.decision.into_iter().map(VerdictView::from).collect(),
        }
    }
}

impl From<RequestTimes> for TimesView {
    fn from(times: RequestTimes) -> Self {
        Self {
            queued_us: times.queued_us,
            admitted_us: times.admitted_us,
            sent_us: times.sent_us,
            connected_us: times.connected_us,
            head_us: times.head_us,
            first_content_us: times.first_content_us,
            end_us: times.end_us,
            longest_stall_us: times.longest_stall_us,
            added_us: times.added_us,
        }
    }
}

impl From<TokenUsage> for RequestUsage {
    fn from(usage: TokenUsage) -> Self {
        Self {
            input_tokens: usage.input.get(),
            output_tokens: usage.output.get(),
            cache_read_tokens: usage.cache_read.get(),
            cache_write_5m_tokens: usage.cache_write_5m.get(),
            cache_write_1h_tokens: usage.cache_write_1h.get(),
            total_tokens: usage.total().get(),
        }
    }
}

impl From<CostBreakdown> for CostByKindView {
    fn from(cost: CostBreakdown) -> Self {
        Self {
            input_nanos: cost.input.as_nanos(),
            output_nanos: cost.output.as_nanos(),
            cache_read_nanos: cost.cache_read.as_nanos(),
            cache_write_5m_nanos: cost.cache_write_5m.as_nanos(),
            cache_write_1h_nanos: cost.cache_write_1h.as_nanos(),
            web_search_nanos: cost.web_search.as_nanos(),
        }
    }
}

impl From<ServedTerms> for TermsView {
    fn from(terms: ServedTerms) -> Self {
        let ServedTerms { tier, fast, us_residency, web_searches } = terms;
        Self { tier, fast, us_residency, web_searches }
    }
}

impl From<AttemptRecord> for AttemptView {
    fn from(attempt: AttemptRecord) -> Self {
        Self {
            account_id: attempt.account.into(),
            outcome: attempt.outcome,
            status: attempt.status,
            started_us: attempt.started_us,
            took_us: attempt.took_us,
        }
    }
}

impl From<VerdictRecord> for VerdictView {
    fn from(decided: VerdictRecord) -> Self {
        Self {
            account_id: decided.account.into(),
            verdict: decided.verdict.into_owned(),
            until: decided.until.map(|until| until.to_string()),
        }
    }
}

impl From<Edit> for EditView {
    fn from(edit: Edit) -> Self {
        match edit {
            Edit::Model { to } => Self::Model { to },
        }
    }
}
