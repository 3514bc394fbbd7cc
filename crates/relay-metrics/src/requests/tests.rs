use relay_domain::{
    AccountId, AttemptRecord, KeyId, ModelName, RequestId, RequestTimes, ServedTerms, TokenCount,
    TokenUsage,
};
use relay_testkit::NOW;

use super::*;
use crate::text::tests::text_of_registry;

/// A request that was answered after one account had failed.
pub(crate) fn record() -> RequestRecord {
    let attempt = |outcome| AttemptRecord {
        account: AccountId::try_from("an-account").unwrap(),
        outcome,
        status: Some(200),
        started_us: 0,
        took_us: 1,
    };
    RequestRecord {
        id: RequestId::new(NOW, 7),
        key: KeyId::try_from("a-key").unwrap(),
        group: None,
        platform: Platform::ClaudeConsole,
        model: ModelName::try_from("model-asked").unwrap(),
        served_model: Some(ModelName::try_from("model-served").unwrap()),
        account: None,
        stream: true,
        outcome: Outcome::Completed,
        status: 200,
        started_at: NOW,
        times: RequestTimes {
            end_us: Some(3_500_000),
            first_content_us: Some(200_000),
            added_us: Some(300),
            ..RequestTimes::default()
        },
        usage: TokenUsage {
            input: TokenCount::new(11),
            output: TokenCount::new(12),
            cache_read: TokenCount::new(13),
            cache_write_5m: TokenCount::new(14),
            cache_write_1h: TokenCount::new(15),
        },
        usage_source: UsageSource::Final,
        terms: ServedTerms::default(),
        settled_at: None,
        cost: Some(NanoUsd::from_nanos(1_500_000_000)),
        presumed_cost: None,
        cost_by_kind: None,
        charged: Some(NanoUsd::from_nanos(2_500_000_000)),
        attempts: vec![attempt(AttemptOutcome::RateLimited), attempt(AttemptOutcome::Answered)],
        edits: Vec::new(),
        decision: Vec::new(),
    }
}

fn shown(records: &[RequestRecord]) -> String {
    let mut registry = Registry::default();
    let metrics = RequestMetrics::register(&mut registry);
    for record in records {
        metrics.count(record);
    }
    text_of_registry(&registry)
}

#[test]
fn a_record_counts_in_every_metric_that_it_is_about() {
    let text = shown(&[record()]);
    for line in [
        r#"requests_total{dialect="anthropic",outcome="completed",status="2xx"} 1"#,
        r#"attempts_total{platform="claude-console",outcome="rate_limited"} 1"#,
        r#"attempts_total{platform="claude-console",outcome="answered"} 1"#,
        r#"tokens_total{platform="claude-console",kind="input"} 11"#,
        r#"tokens_total{platform="claude-console",kind="output"} 12"#,
        r#"tokens_total{platform="claude-console",kind="cache_read"} 13"#,
        r#"tokens_total{platform="claude-console",kind="cache_write_5m"} 14"#,
        r#"tokens_total{platform="claude-console",kind="cache_write_1h"} 15"#,
        r#"cost_dollars_total{platform="claude-console"} 1.5"#,
        r#"charged_dollars_total{platform="claude-console"} 2.5"#,
        r#"unpriced_requests_total{model="other"} 0"#,
        r#"request_duration_seconds_sum{stream="true"} 3.5"#,
        r#"first_content_seconds_bucket{stream="true",le="0.25"} 1"#,
        r#"added_latency_seconds_bucket{stream="true",le="0.00025"} 0"#,
        r#"added_latency_seconds_bucket{stream="true",le="0.0005"} 1"#,
        r#"queue_wait_seconds_count{stream="true"} 0"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    for secret in ["a-key", "an-account", "model-asked", "model-served"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[test]
fn a_model_without_a_price_is_named_and_what_used_nothing_is_not() {
    let unpriced = RequestRecord { cost: None, charged: None, ..record() };
    let asked = RequestRecord { served_model: None, ..unpriced.clone() };
    let unused = RequestRecord { usage_source: UsageSource::None, ..asked.clone() };
    let text = shown(&[unpriced, asked, unused]);
    assert!(text.contains(r#"unpriced_requests_total{model="model-served"} 1"#), "{text}");
    assert!(text.contains(r#"unpriced_requests_total{model="model-asked"} 1"#), "{text}");
}

#[test]
fn clients_cannot_make_more_series_than_there_may_be() {
    let records: Vec<_> = (0..MOST_MODELS + 9)
        .map(|n| RequestRecord {
            served_model: Some(ModelName::try_from(format!("model-{n}")).unwrap()),
            cost: None,
            ..record()
        })
        .collect();
    let text = shown(&records);
    let series = text.lines().filter(|line| line.starts_with("unpriced_requests_total{"));
    assert_eq!(series.count(), MOST_MODELS + 1);
    assert!(text.contains(r#"unpriced_requests_total{model="other"} 9"#), "{text}");
}

#[test]
fn statuses_fall_into_their_classes() {
    let cases = [
        (0, "none"),
        (99, "none"),
        (200, "2xx"),
        (299, "2xx"),
        (404, "4xx"),
        (529, "5xx"),
        (999, "5xx"),
    ];
    for (status, expected) in cases {
        assert_eq!(CLASSES[class(status)], expected, "{status}");
    }
}

#[test]
fn outcomes_have_the_names_that_records_give_them() {
    let outcomes = [
        Outcome::Completed,
        Outcome::Rejected,
        Outcome::NoAccount,
        Outcome::ClientGone,
        Outcome::UpstreamFailed,
        Outcome::BudgetExhausted,
        Outcome::Orphaned,
    ];
    for outcome in outcomes {
        let name = serde_json::to_value(outcome).unwrap();
        assert_eq!(name, OUTCOMES[outcome_place(outcome)]);
    }
    let attempts = [
        AttemptOutcome::Answered,
        AttemptOutcome::ClientFault,
        AttemptOutcome::Unreachable,
        AttemptOutcome::BrokeOff,
        AttemptOutcome::BrokeOffMidStream,
        AttemptOutcome::TimedOut,
        AttemptOutcome::Unauthorized,
        AttemptOutcome::Blocked,
        AttemptOutcome::ModelUnknown,
        AttemptOutcome::RateLimited,
        AttemptOutcome::Overloaded,
        AttemptOutcome::ServerError,
        AttemptOutcome::ClientGone,
    ];
    for attempt in attempts {
        let name = serde_json::to_value(attempt).unwrap();
        assert_eq!(name, ATTEMPTS[attempt_place(attempt)]);
    }
    for platform in [Platform::ClaudeConsole, Platform::Codex] {
        assert_eq!(PLATFORMS[place(platform)], platform.as_str());
    }
}
