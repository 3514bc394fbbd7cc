//! What finished requests came to, taken from their records: each counts once, when the store says that it is
//! settled.

use prometheus_client::registry::Registry;
use relay_domain::{AttemptOutcome, NanoUsd, Outcome, Platform, RequestRecord, UsageSource};

use crate::counter_grid::{CounterGrid, Counts};
use crate::durations::Durations;
use crate::label_counts::LabelCounts;

/// Unpriced models that get a series of their own: clients choose these names.
const MOST_MODELS: usize = 50;

/// By [`Platform`].
const PLATFORMS: &[&str] = &["claude-console", "codex"];
/// By [`Platform`] as well: what its clients speak.
const DIALECTS: &[&str] = &["anthropic", "openai"];
/// By [`Outcome`].
const OUTCOMES: &[&str] = &[
    "completed",
    "rejected",
    "no_account",
    "client_gone",
    "upstream_failed",
    "budget_exhausted",
    "orphaned",
];
/// By [`AttemptOutcome`].
const ATTEMPTS: &[&str] = &[
    "answered",
    "client_fault",
    "unreachable",
    "broke_off",
    "broke_off_mid_stream",
    "timed_out",
    "unauthorized",
    "blocked",
    "model_unknown",
    "rate_limited",
    "overloaded",
    "server_error",
    "client_gone",
];
/// By the first digit of a status; `none`: the client left before there was one.
pub(crate) const CLASSES: &[&str] = &["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
const KINDS: &[&str] = &["input", "output", "cache_read", "cache_write_5m", "cache_write_1h"];
const STREAMED: &[&str] = &["false", "true"];

const MILLIS: u64 = 1_000;
const SECONDS: u64 = 1_000 * MILLIS;
const LASTED: &[u64] = &[
    50 * MILLIS,
    100 * MILLIS,
    250 * MILLIS,
    500 * MILLIS,
    SECONDS,
    2_500 * MILLIS,
    5 * SECONDS,
    10 * SECONDS,
    30 * SECONDS,
    60 * SECONDS,
    120 * SECONDS,
    300 * SECONDS,
    600 * SECONDS,
];
const FIRST_CONTENT: &[u64] = &[
    50 * MILLIS,
    100 * MILLIS,
    250 * MILLIS,
    500 * MILLIS,
    SECONDS,
    2_500 * MILLIS,
    5 * SECONDS,
    10 * SECONDS,
    20 * SECONDS,
    60 * SECONDS,
    120 * SECONDS,
];
const ADDED: &[u64] = &[
    100,
    250,
    500,
    MILLIS,
    2_500,
    5 * MILLIS,
    10 * MILLIS,
    25 * MILLIS,
    100 * MILLIS,
    500 * MILLIS,
];
const QUEUED: &[u64] = &[
    100 * MILLIS,
    500 * MILLIS,
    SECONDS,
    2_500 * MILLIS,
    5 * SECONDS,
    10 * SECONDS,
    30 * SECONDS,
    60 * SECONDS,
    120 * SECONDS,
];

/// What finished requests came to.
#[derive(Debug)]
pub(crate) struct RequestMetrics {
    ended: CounterGrid<3>,
    attempts: CounterGrid<2>,
    tokens: CounterGrid<2>,
    cost: CounterGrid<1>,
    charged: CounterGrid<1>,
    unpriced: LabelCounts,
    lasted: Durations,
    first_content: Durations,
    added: Durations,
    queued: Durations,
}

impl RequestMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let (platform, stream) = (("platform", PLATFORMS), ("stream", STREAMED));
        let ended = [("dialect", DIALECTS), ("outcome", OUTCOMES), ("status", CLASSES)];
        let new = Self {
            ended: CounterGrid::new(ended, Counts::Whole),
            attempts: CounterGrid::new([platform, ("outcome", ATTEMPTS)], Counts::Whole),
            tokens: CounterGrid::new([platform, ("kind", KINDS)], Counts::Whole),
            cost: CounterGrid::new([platform], Counts::NanoDollars),
            charged: CounterGrid::new([platform], Counts::NanoDollars),
            unpriced: LabelCounts::new("model", MOST_MODELS),
            lasted: Durations::new(stream, LASTED),
            first_content: Durations::new(stream, FIRST_CONTENT),
            added: Durations::new(stream, ADDED),
            queued: Durations::new(stream, QUEUED),
        };
        let Self { ended, attempts, tokens, cost, charged, .. } = &new;
        registry.register("requests", "Requests that were let in and have ended", ended.clone());
        registry.register("attempts", "Attempts on upstream accounts", attempts.clone());
        registry.register("tokens", "Tokens of all requests that count", tokens.clone());
        registry.register("cost_dollars", "What requests cost at the provider", cost.clone());
        let help = "What counts against the budgets of keys and groups";
        registry.register("charged_dollars", help, charged.clone());
        let help = "Requests for models without a price, served or refused";
        registry.register("unpriced_requests", help, new.unpriced.clone());
        let help = "From a request's arrival to the last byte of its answer";
        registry.register("request_duration_seconds", help, new.lasted.clone());
        let help = "From a request's arrival to the first content of its answer";
        registry.register("first_content_seconds", help, new.first_content.clone());
        let help = "Relay's own share of the time to the first content";
        registry.register("added_latency_seconds", help, new.added.clone());
        let help = "How long requests that had to wait in a queue did so";
        registry.register("queue_wait_seconds", help, new.queued.clone());
        new
    }

    /// Counts a request that has just been settled.
    pub(crate) fn count(&self, record: &RequestRecord) {
        let platform = place(record.platform);
        let outcome = outcome_place(record.outcome);
        self.ended.add([platform, outcome, class(record.status)], 1);
        for attempt in &record.attempts {
            self.attempts.add([platform, attempt_place(attempt.outcome)], 1);
        }
        let usage = &record.usage;
        let kinds = [
            usage.input,
            usage.output,
            usage.cache_read,
            usage.cache_write_5m,
            usage.cache_write_1h,
        ];
        for (kind, tokens) in kinds.into_iter().enumerate() {
            self.tokens.add([platform, kind], tokens.get());
        }
        self.cost.add([platform], nanos(record.cost));
        self.charged.add([platform], nanos(record.charged));
        if record.usage_source != UsageSource::None && record.cost.is_none() {
            self.count_unpriced(record.served_model.as_ref().unwrap_or(&record.model).as_str());
        }
        let (stream, times) = (usize::from(record.stream), &record.times);
        for (durations, micros) in [
            (&self.lasted, times.end_us),
            (&self.first_content, times.first_content_us),
            (&self.added, times.added_us),
            (&self.queued, times.queued_us),
        ] {
            if let Some(micros) = micros {
                durations.observe_us(stream, micros);
            }
        }
    }

    /// Counts a request for a model without a price.
    pub(crate) fn count_unpriced(&self, model: &str) {
        self.unpriced.count(model);
    }
}

/// The position of a status in [`CLASSES`].
pub(crate) fn class(status: u16) -> usize {
    usize::from(status / 100).min(CLASSES.len() - 1)
}

fn nanos(money: Option<NanoUsd>) -> u64 {
    money.map_or(0, |money| u64::try_from(money.as_nanos()).unwrap_or(0))
}

fn place(platform: Platform) -> usize {
    match platform {
        Platform::ClaudeConsole => 0,
        Platform::Codex => 1,
    }
}

fn outcome_place(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Completed => 0,
        Outcome::Rejected => 1,
        Outcome::NoAccount => 2,
        Outcome::ClientGone => 3,
        Outcome::UpstreamFailed => 4,
        Outcome::BudgetExhausted => 5,
        Outcome::Orphaned => 6,
    }
}

fn attempt_place(outcome: AttemptOutcome) -> usize {
    match outcome {
        AttemptOutcome::Answered => 0,
        AttemptOutcome::ClientFault => 1,
        AttemptOutcome::Unreachable => 2,
        AttemptOutcome::BrokeOff => 3,
        AttemptOutcome::BrokeOffMidStream => 4,
        AttemptOutcome::TimedOut => 5,
        AttemptOutcome::Unauthorized => 6,
        AttemptOutcome::Blocked => 7,
        AttemptOutcome::ModelUnknown => 8,
        AttemptOutcome::RateLimited => 9,
        AttemptOutcome::Overloaded => 10,
        AttemptOutcome::ServerError => 11,
        AttemptOutcome::ClientGone => 12,
    }
}

#[cfg(test)]
pub(crate) mod tests;
