//! What an attempt's failure means: one table, three independent answers.
//!
//! What the client would get, whether another account may try, and whom to penalise until when. A
//! fault of the client's own penalises nobody; one blip penalises nobody either.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use relay_domain::{AttemptOutcome, HealthEvent, ModelName, Rest, Timestamp};
use relay_protocol::anthropic::{ErrorType, ProviderError, names_model, says_disabled};

use crate::RestPolicy;

/// What follows from a failed attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Judgement {
    /// What the record says.
    pub(crate) outcome: AttemptOutcome,
    /// Whether another account may try.
    pub(crate) retry: Retry,
    /// What it tells about the account.
    pub(crate) lesson: Lesson,
}

/// Whether another account may try.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Retry {
    /// No: the client gets this answer.
    Never,
    /// Once: it may be about the request rather than the account.
    Once,
    /// As long as there are accounts and attempts left.
    Freely,
}

/// What a failed attempt tells about its account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Lesson {
    /// Nothing.
    Nothing,
    /// Something certain.
    Certain(HealthEvent),
    /// A failure that counts only together with others.
    Suspicion(Trouble),
}

/// What kind of failure counts only together with others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Trouble {
    /// The upstream failed, or the connection to it broke off.
    Failing,
    /// No answer came in time.
    TimingOut,
}

impl Trouble {
    /// The event that follows when it has happened too often.
    pub(crate) fn too_often(self, policy: &RestPolicy) -> HealthEvent {
        HealthEvent::BreakerOpened(match self {
            Self::Failing => policy.failing,
            Self::TimingOut => policy.timing_out,
        })
    }
}

/// An answer that is not the message.
pub(crate) struct Refusal<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

/// Judges an upstream's answer with an error status. `rest` is how long the operator lets a limited
/// account rest where the provider names no end.
pub(crate) fn judge(
    refusal: &Refusal<'_>,
    model: &ModelName,
    rest: Option<Duration>,
    policy: &RestPolicy,
    now: Timestamp,
) -> Judgement {
    use AttemptOutcome::{
        Blocked, ClientFault, ModelUnknown, Overloaded, RateLimited, ServerError, Unauthorized,
    };
    let certain = |outcome, event| Judgement {
        outcome,
        retry: Retry::Freely,
        lesson: Lesson::Certain(event),
    };
    let status = refusal.status.as_u16();
    match status {
        401 => certain(Unauthorized, unauthorized(policy)),
        402 | 403 => certain(Blocked, HealthEvent::Blocked(policy.refused)),
        429 => {
            let until = limit_ends(refusal.headers, policy, now);
            let retry = if until.is_some() { Retry::Freely } else { Retry::Once };
            let event = HealthEvent::RateLimited { until, rest, model: None };
            Judgement { outcome: RateLimited, retry, lesson: Lesson::Certain(event) }
        }
        503 => certain(Overloaded, HealthEvent::Overloaded(policy.unavailable)),
        529 => certain(Overloaded, HealthEvent::Overloaded(policy.overloaded)),
        500.. => {
            let trouble = if status == 504 { Trouble::TimingOut } else { Trouble::Failing };
            let lesson = Lesson::Suspicion(trouble);
            Judgement { outcome: ServerError, retry: Retry::Freely, lesson }
        }
        400 | 404 if names_model(status, refusal.body) => {
            certain(ModelUnknown, HealthEvent::ModelUnknown(model.clone()))
        }
        400 if policy.disabled.is_some() && says_disabled(refusal.body) => {
            let rest = Rest::Fixed(policy.disabled.unwrap_or_default());
            certain(Blocked, HealthEvent::Blocked(rest))
        }
        _ => Judgement { outcome: ClientFault, retry: Retry::Never, lesson: Lesson::Nothing },
    }
}

/// Judges an `error` event in a stream whose status was 200.
pub(crate) fn judge_event(error: &ProviderError, policy: &RestPolicy) -> Judgement {
    let judgement = |outcome, retry, lesson| Judgement { outcome, retry, lesson };
    match error.error_type() {
        Some(ErrorType::Overloaded) => judgement(
            AttemptOutcome::Overloaded,
            Retry::Freely,
            Lesson::Certain(HealthEvent::Overloaded(policy.overloaded)),
        ),
        Some(ErrorType::RateLimit) => {
            judgement(AttemptOutcome::RateLimited, Retry::Freely, Lesson::Nothing)
        }
        Some(ErrorType::InvalidRequest | ErrorType::RequestTooLarge | ErrorType::NotFound) => {
            judgement(AttemptOutcome::ClientFault, Retry::Never, Lesson::Nothing)
        }
        Some(ErrorType::Authentication) => judgement(
            AttemptOutcome::Unauthorized,
            Retry::Freely,
            Lesson::Certain(unauthorized(policy)),
        ),
        Some(ErrorType::Billing | ErrorType::Permission) => judgement(
            AttemptOutcome::Blocked,
            Retry::Freely,
            Lesson::Certain(HealthEvent::Blocked(policy.refused)),
        ),
        Some(ErrorType::Timeout) => judgement(
            AttemptOutcome::ServerError,
            Retry::Freely,
            Lesson::Suspicion(Trouble::TimingOut),
        ),
        Some(ErrorType::Api) | None => judgement(
            AttemptOutcome::ServerError,
            Retry::Freely,
            Lesson::Suspicion(Trouble::Failing),
        ),
    }
}

fn unauthorized(policy: &RestPolicy) -> HealthEvent {
    HealthEvent::Unauthorized { recheck: policy.unauthorized_recheck }
}

/// When a provider says that a limit ends: `retry-after` in seconds or as a date, else the latest reset
/// of a limit that has nothing remaining.
fn limit_ends(headers: &HeaderMap, policy: &RestPolicy, now: Timestamp) -> Option<Timestamp> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds = |text: &str| text.parse::<u64>().ok().map(Duration::from_secs);
    if let Some(after) = text("retry-after") {
        let until =
            seconds(after).map(|wait| now.plus(wait)).or_else(|| Timestamp::parse_http_date(after));
        let latest = policy.longest_retry_after.map(|longest| now.plus(longest));
        return until.map(|until| latest.map_or(until, |latest| until.min(latest)));
    }
    if let Some(reset) = text("anthropic-ratelimit-unified-reset") {
        let epoch = seconds(reset).map(|since| Timestamp::EPOCH.plus(since));
        return epoch.or_else(|| Timestamp::parse_rfc3339(reset));
    }
    ["requests", "tokens", "input-tokens", "output-tokens"]
        .into_iter()
        .filter(|kind| text(&format!("anthropic-ratelimit-{kind}-remaining")) == Some("0"))
        .filter_map(|kind| text(&format!("anthropic-ratelimit-{kind}-reset")))
        .filter_map(Timestamp::parse_rfc3339)
        .max()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn model() -> ModelName {
        ModelName::try_from("claude-sonnet-5").unwrap()
    }

    fn judged(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Judgement {
        judged_by(&RestPolicy::default(), status, headers, body)
    }

    fn judged_by(
        policy: &RestPolicy,
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: &str,
    ) -> Judgement {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (http::HeaderName::from_static(name), HeaderValue::from_static(value))
            })
            .collect();
        let status = StatusCode::from_u16(status).unwrap();
        let refusal = Refusal { status, headers: &headers, body: body.as_bytes() };
        judge(&refusal, &model(), None, policy, NOW)
    }

    #[test]
    fn the_table_of_outcomes() {
        use AttemptOutcome as O;
        let bad = r#"{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: required"}}"#;
        let gone = r#"{"type":"error","error":{"type":"not_found_error","message":"model: claude-sonnet-5"}}"#;
        let certain = Lesson::Certain;
        let blocked = certain(HealthEvent::Blocked(Rest::LONG));
        let overloaded = certain(HealthEvent::Overloaded(Rest::BRIEF));
        let cases = [
            (
                "a bad request is the client's",
                judged(400, &[], bad),
                O::ClientFault,
                Retry::Never,
                Lesson::Nothing,
            ),
            (
                "so is one that is too large",
                judged(413, &[], bad),
                O::ClientFault,
                Retry::Never,
                Lesson::Nothing,
            ),
            (
                "so is one out of time",
                judged(408, &[], ""),
                O::ClientFault,
                Retry::Never,
                Lesson::Nothing,
            ),
            (
                "401",
                judged(401, &[], ""),
                O::Unauthorized,
                Retry::Freely,
                certain(unauthorized(&RestPolicy::default())),
            ),
            ("402", judged(402, &[], ""), O::Blocked, Retry::Freely, blocked.clone()),
            ("403", judged(403, &[], ""), O::Blocked, Retry::Freely, blocked),
            (
                "404 that names the model",
                judged(404, &[], gone),
                O::ModelUnknown,
                Retry::Freely,
                certain(HealthEvent::ModelUnknown(model())),
            ),
            (
                "500",
                judged(500, &[], ""),
                O::ServerError,
                Retry::Freely,
                Lesson::Suspicion(Trouble::Failing),
            ),
            (
                "502 in HTML",
                judged(502, &[], "<html>"),
                O::ServerError,
                Retry::Freely,
                Lesson::Suspicion(Trouble::Failing),
            ),
            (
                "504",
                judged(504, &[], ""),
                O::ServerError,
                Retry::Freely,
                Lesson::Suspicion(Trouble::TimingOut),
            ),
            ("503", judged(503, &[], ""), O::Overloaded, Retry::Freely, overloaded.clone()),
            ("529", judged(529, &[], ""), O::Overloaded, Retry::Freely, overloaded.clone()),
        ];
        for (name, found, outcome, retry, lesson) in cases {
            assert_eq!(found, Judgement { outcome, retry, lesson }, "{name}");
        }
    }

    #[test]
    fn the_operator_decides_how_long_accounts_rest() {
        let fixed = |seconds| Rest::Fixed(Duration::from_secs(seconds));
        let policy = RestPolicy {
            overloaded: fixed(1),
            unavailable: fixed(2),
            failing: fixed(3),
            timing_out: fixed(4),
            refused: fixed(5),
            unauthorized_recheck: Duration::from_secs(6),
            disabled: Some(Duration::from_secs(7)),
            longest_retry_after: Some(Duration::from_secs(8)),
        };
        let disabled = r#"{"type":"error","error":{"type":"invalid_request_error","message":"This organization has been disabled."}}"#;
        let limited = HealthEvent::RateLimited {
            until: Some(NOW.plus(Duration::from_secs(8))),
            rest: None,
            model: None,
        };
        let cases = [
            (529, "", HealthEvent::Overloaded(fixed(1))),
            (503, "", HealthEvent::Overloaded(fixed(2))),
            (403, "", HealthEvent::Blocked(fixed(5))),
            (401, "", HealthEvent::Unauthorized { recheck: Duration::from_secs(6) }),
            (400, disabled, HealthEvent::Blocked(fixed(7))),
            (429, "", limited),
        ];
        for (status, body, event) in cases {
            let found = judged_by(&policy, status, &[("retry-after", "3600")], body);
            assert_eq!((found.lesson, found.retry), (Lesson::Certain(event), Retry::Freely));
        }
        assert_eq!(Trouble::Failing.too_often(&policy), HealthEvent::BreakerOpened(fixed(3)));
        assert_eq!(Trouble::TimingOut.too_often(&policy), HealthEvent::BreakerOpened(fixed(4)));
        assert_eq!(judged(400, &[], disabled).retry, Retry::Never, "unless the operator says so");
        let reset = [("anthropic-ratelimit-unified-reset", "1700000090")];
        let HealthEvent::RateLimited { until, .. } = event_of(judged_by(&policy, 429, &reset, ""))
        else {
            panic!("it is a limit")
        };
        assert_eq!(until, Some(NOW.plus(Duration::from_secs(90))), "a reset is no guess");
    }

    fn event_of(judgement: Judgement) -> HealthEvent {
        match judgement.lesson {
            Lesson::Certain(event) => event,
            other @ (Lesson::Nothing | Lesson::Suspicion(_)) => panic!("{other:?}"),
        }
    }

    /// What it is, the answer's headers, when the limit ends.
    type LimitCase = (&'static str, &'static [(&'static str, &'static str)], Option<Timestamp>);

    #[test]
    fn a_limit_lasts_as_long_as_the_provider_says() {
        let at = |seconds| Some(NOW.plus(Duration::from_secs(seconds)));
        let cases: [LimitCase; 7] = [
            ("no header", &[], None),
            ("seconds", &[("retry-after", "30")], at(30)),
            ("a date", &[("retry-after", "Tue, 14 Nov 2023 22:13:50 GMT")], at(30)),
            (
                "seconds beat a reset",
                &[("retry-after", "30"), ("anthropic-ratelimit-unified-reset", "1700000090")],
                at(30),
            ),
            ("a unified reset", &[("anthropic-ratelimit-unified-reset", "1700000090")], at(90)),
            (
                "the reset of what is used up",
                &[
                    ("anthropic-ratelimit-requests-remaining", "5"),
                    ("anthropic-ratelimit-requests-reset", "2023-11-14T22:14:20Z"),
                    ("anthropic-ratelimit-tokens-remaining", "0"),
                    ("anthropic-ratelimit-tokens-reset", "2023-11-14T22:13:30Z"),
                ],
                at(10),
            ),
            ("nonsense", &[("retry-after", "soon")], None),
        ];
        for (name, headers, until) in cases {
            let found = judged(429, headers, "");
            let event = HealthEvent::RateLimited { until, rest: None, model: None };
            let retry = if until.is_some() { Retry::Freely } else { Retry::Once };
            let expected = Judgement {
                outcome: AttemptOutcome::RateLimited,
                retry,
                lesson: Lesson::Certain(event),
            };
            assert_eq!(found, expected, "{name}");
        }
    }
}
