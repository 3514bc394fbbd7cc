//! What an attempt's failure means: one table, three independent answers.
//!
//! What the client would get, whether another account may try, and whom to penalise until when. A
//! fault of the client's own penalises nobody; one blip penalises nobody either.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use relay_domain::{AttemptOutcome, HealthEvent, ModelName, Timestamp};
use relay_protocol::anthropic::{ErrorType, ProviderError, names_model};

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
    Suspicion,
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
        401 => certain(Unauthorized, HealthEvent::Unauthorized),
        402 | 403 => certain(Blocked, HealthEvent::Blocked),
        429 => {
            let until = limit_ends(refusal.headers, now);
            let retry = if until.is_some() { Retry::Freely } else { Retry::Once };
            let event = HealthEvent::RateLimited { until, rest, model: None };
            Judgement { outcome: RateLimited, retry, lesson: Lesson::Certain(event) }
        }
        503 | 529 => certain(Overloaded, HealthEvent::Overloaded),
        500.. => {
            Judgement { outcome: ServerError, retry: Retry::Freely, lesson: Lesson::Suspicion }
        }
        400 | 404 if names_model(status, refusal.body) => {
            certain(ModelUnknown, HealthEvent::ModelUnknown(model.clone()))
        }
        _ => Judgement { outcome: ClientFault, retry: Retry::Never, lesson: Lesson::Nothing },
    }
}

/// Judges an `error` event in a stream whose status was 200.
pub(crate) fn judge_event(error: &ProviderError) -> Judgement {
    let judgement = |outcome, retry, lesson| Judgement { outcome, retry, lesson };
    match error.error_type() {
        Some(ErrorType::Overloaded) => judgement(
            AttemptOutcome::Overloaded,
            Retry::Freely,
            Lesson::Certain(HealthEvent::Overloaded),
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
            Lesson::Certain(HealthEvent::Unauthorized),
        ),
        Some(ErrorType::Billing | ErrorType::Permission) => {
            judgement(AttemptOutcome::Blocked, Retry::Freely, Lesson::Certain(HealthEvent::Blocked))
        }
        Some(ErrorType::Api | ErrorType::Timeout) | None => {
            judgement(AttemptOutcome::ServerError, Retry::Freely, Lesson::Suspicion)
        }
    }
}

/// When a provider says that a limit ends: `retry-after` in seconds or as a date, else the latest reset
/// of a limit that has nothing remaining.
fn limit_ends(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds = |text: &str| text.parse::<u64>().ok().map(Duration::from_secs);
    if let Some(after) = text("retry-after") {
        return seconds(after)
            .map(|wait| now.plus(wait))
            .or_else(|| Timestamp::parse_http_date(after));
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
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (http::HeaderName::from_static(name), HeaderValue::from_static(value))
            })
            .collect();
        let status = StatusCode::from_u16(status).unwrap();
        judge(&Refusal { status, headers: &headers, body: body.as_bytes() }, &model(), None, NOW)
    }

    #[test]
    fn the_table_of_outcomes() {
        use AttemptOutcome as O;
        let bad = r#"{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: required"}}"#;
        let gone = r#"{"type":"error","error":{"type":"not_found_error","message":"model: claude-sonnet-5"}}"#;
        let certain = Lesson::Certain;
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
                certain(HealthEvent::Unauthorized),
            ),
            ("402", judged(402, &[], ""), O::Blocked, Retry::Freely, certain(HealthEvent::Blocked)),
            ("403", judged(403, &[], ""), O::Blocked, Retry::Freely, certain(HealthEvent::Blocked)),
            (
                "404 that names the model",
                judged(404, &[], gone),
                O::ModelUnknown,
                Retry::Freely,
                certain(HealthEvent::ModelUnknown(model())),
            ),
            ("500", judged(500, &[], ""), O::ServerError, Retry::Freely, Lesson::Suspicion),
            (
                "502 in HTML",
                judged(502, &[], "<html>"),
                O::ServerError,
                Retry::Freely,
                Lesson::Suspicion,
            ),
            (
                "503",
                judged(503, &[], ""),
                O::Overloaded,
                Retry::Freely,
                certain(HealthEvent::Overloaded),
            ),
            (
                "529",
                judged(529, &[], ""),
                O::Overloaded,
                Retry::Freely,
                certain(HealthEvent::Overloaded),
            ),
        ];
        for (name, found, outcome, retry, lesson) in cases {
            assert_eq!(found, Judgement { outcome, retry, lesson }, "{name}");
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
