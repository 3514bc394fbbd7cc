//! What a client reads when it is refused: Anthropic's error shape, always with a request id.
//!
//! The one place where an [`EngineError`] becomes a status, a type and a message. There is no catch-all
//! arm: a new variant does not compile until someone decides what a client may know of it.

mod denial;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use relay_domain::{KeyRefusal, LimitKind, LimitState, RequestId, Timestamp};
use relay_engine::{EngineError, LONGEST_RETRY_AFTER_S, RelayBody, write_own_limits};
use relay_protocol::anthropic::{ErrorType, error_body_with, error_event};
use relay_scheduler::Shortage;

use denial::{denial_members, denial_type, own_limit};

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const RELAY_REQUEST_ID: HeaderName = HeaderName::from_static("x-relay-request-id");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// A refusal, before it is written out.
pub(crate) struct Refusal {
    kind: ErrorType,
    code: &'static str,
    message: String,
    /// What stands in the body beside the error, for clients that know it: names and JSON values.
    more: Vec<(&'static str, String)>,
    /// The limit of the key that is in the way, told in headers too.
    own_limit: Option<LimitState>,
    /// Seconds after which a retry may help; `None`: no retry mends it.
    retry: Retry,
}

/// Whether trying again can help.
enum Retry {
    /// It cannot.
    Never,
    /// It can, whenever the client likes.
    Freely,
    /// It can, after so many seconds.
    After(u64),
}

impl Refusal {
    /// A refusal that no retry mends.
    pub(crate) fn new(kind: ErrorType, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, code, message, more: Vec::new(), own_limit: None, retry: Retry::Never }
    }

    /// What a client reads of `error`.
    pub(crate) fn of(error: &EngineError, now: Timestamp) -> Self {
        let message = || error.to_string();
        let fault = |kind, code| Self::new(kind, code, message());
        match error {
            EngineError::MissingKey => fault(ErrorType::Authentication, "missing_api_key"),
            EngineError::UnknownKey => fault(ErrorType::Authentication, "invalid_api_key"),
            EngineError::Key(refusal) => match refusal {
                KeyRefusal::Deleted => fault(ErrorType::Authentication, "api_key_deleted"),
                KeyRefusal::Disabled => fault(ErrorType::Authentication, "api_key_disabled"),
                KeyRefusal::Expired { .. } => fault(ErrorType::Authentication, "api_key_expired"),
                KeyRefusal::UserDisabled => fault(ErrorType::Authentication, "user_disabled"),
                KeyRefusal::NotPermitted => fault(ErrorType::Permission, "platform_not_permitted"),
                KeyRefusal::ModelRestricted => fault(ErrorType::Permission, "model_restricted"),
            },
            EngineError::GroupGone(_) => fault(ErrorType::Permission, "key_group_missing"),
            EngineError::ModelUnpriced(_) => fault(ErrorType::Permission, "model_unpriced"),
            EngineError::Request(_) | EngineError::NoMessages | EngineError::NotSendable(_) => {
                fault(ErrorType::InvalidRequest, "invalid_request")
            }
            EngineError::Denied { denial, needed } => {
                let kind = denial_type(denial.limit);
                let retry = match (denial.limit, denial.resets_at) {
                    (LimitKind::Concurrency, None) => Retry::After(1),
                    (_, Some(at)) => wait_until(at, now),
                    (_, None) => Retry::Never,
                };
                let more = denial_members(denial, *needed, now);
                let own_limit = own_limit(denial);
                Self { more, own_limit, retry, ..fault(kind, denial.limit.code()) }
            }
            EngineError::QueueFull { .. } => {
                Self { retry: Retry::After(1), ..fault(ErrorType::RateLimit, "queue_full") }
            }
            EngineError::QueueTimeout { .. } => {
                Self { retry: Retry::After(5), ..fault(ErrorType::RateLimit, "queue_timeout") }
            }
            EngineError::HoldLost => {
                Self { retry: Retry::After(1), ..fault(ErrorType::Api, "hold_lost") }
            }
            EngineError::Backlogged => {
                Self { retry: Retry::After(5), ..fault(ErrorType::Api, "backlogged") }
            }
            EngineError::NoAccount { shortage, retry_at } => no_account(*shortage, *retry_at, now),
            EngineError::HeadTimeout(_) => fault(ErrorType::Timeout, "upstream_timeout"),
            EngineError::AnswerUnusable(_) => fault(ErrorType::Api, "upstream_answer_unusable"),
            EngineError::ProxyUnusable => fault(ErrorType::Overloaded, "no_account_available"),
            EngineError::Keyring(_) => fault(ErrorType::Api, "keyring"),
            EngineError::Store(cause) => {
                // The cause may name hosts and files: it is for the operator.
                tracing::error!(error = cause as &dyn std::error::Error, "store failed");
                Self::store_unavailable()
            }
        }
    }

    /// The stable code that says what it is.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// The store is away.
    pub(crate) fn store_unavailable() -> Self {
        let message = "the store is not available; try again shortly";
        Self { retry: Retry::After(1), ..Self::new(ErrorType::Api, "store_unavailable", message) }
    }

    /// The answer, with the id of the request.
    pub(crate) fn into_response(self, request_id: RequestId) -> Response<RelayBody> {
        let id = request_id.to_string();
        let message = format!("Relay: {}", self.message);
        let body = error_body_with(self.kind, &message, &id, Some(self.code), &self.more);
        let mut response = Response::new(RelayBody::whole(Bytes::from(body)));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        write_id(request_id, headers);
        write_own_limits(self.own_limit.as_slice(), headers);
        match self.retry {
            Retry::Never => {
                headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
            }
            Retry::Freely => {}
            Retry::After(seconds) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
        }
        response
    }

    /// The same as the last event of a stream whose head is out already.
    pub(crate) fn into_event(self, id: RequestId) -> Bytes {
        let message = format!("Relay: {}", self.message);
        error_event(self.kind, &message, &id.to_string(), Some(self.code)).into()
    }

    fn status(&self) -> StatusCode {
        let status = match self.code {
            "store_unavailable" | "hold_lost" | "backlogged" => 503,
            "upstream_answer_unusable" => 502,
            _ => self.kind.status(),
        };
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// Writes the id of a request that Relay answers itself.
pub(crate) fn write_id(id: RequestId, headers: &mut HeaderMap) {
    if let Ok(id) = HeaderValue::try_from(id.to_string()) {
        headers.insert(REQUEST_ID, id.clone());
        headers.insert(RELAY_REQUEST_ID, id);
    }
}

fn no_account(shortage: Shortage, retry_at: Option<Timestamp>, now: Timestamp) -> Refusal {
    // An account that comes back later does not keep a client from one that is free in a moment.
    let retry = match shortage {
        Shortage::Busy | Shortage::RoomHeld => Retry::After(1),
        Shortage::RoomTooSmall { .. } => retry_at.map_or(Retry::Never, |at| wait_until(at, now)),
        Shortage::NoAccounts
        | Shortage::NoMembers
        | Shortage::ModelNotServed
        | Shortage::ModelRestricted
        | Shortage::RateLimited { .. }
        | Shortage::Overloaded { .. }
        | Shortage::Unavailable => retry_at.map_or(Retry::Freely, |at| wait_until(at, now)),
    };
    let message = shortage.to_string();
    match shortage {
        Shortage::RoomHeld => {
            Refusal { retry, ..Refusal::new(ErrorType::RateLimit, "accounts_room_held", message) }
        }
        Shortage::RoomTooSmall { .. } => Refusal {
            retry,
            ..Refusal::new(ErrorType::RateLimit, "accounts_room_too_small", message)
        },
        Shortage::RateLimited { .. } => Refusal {
            retry,
            ..Refusal::new(ErrorType::RateLimit, "accounts_rate_limited", message)
        },
        Shortage::ModelNotServed => Refusal::new(ErrorType::NotFound, "model_not_served", message),
        Shortage::ModelRestricted => {
            Refusal::new(ErrorType::Permission, "model_restricted", message)
        }
        Shortage::Overloaded { .. } | Shortage::Busy => {
            Refusal { retry, ..Refusal::new(ErrorType::Overloaded, "accounts_overloaded", message) }
        }
        Shortage::NoAccounts | Shortage::NoMembers | Shortage::Unavailable => {
            let message =
                format!("{message}; the operator of this relay can add one or look at its state");
            Refusal {
                retry,
                ..Refusal::new(ErrorType::Overloaded, "no_account_available", message)
            }
        }
    }
}

/// Whole seconds until `at`, rounded up; a wait that is too long is no reason to wait.
fn wait_until(at: Timestamp, now: Timestamp) -> Retry {
    let seconds = at.since(now).as_millis().div_ceil(1_000).max(1);
    match u64::try_from(seconds) {
        Ok(seconds) if seconds <= LONGEST_RETRY_AFTER_S => Retry::After(seconds),
        Ok(_) | Err(_) => Retry::Never,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt as _;
    use relay_domain::{KeyId, LimitScope};
    use relay_store::{Denial, StoreError};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn at(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    fn concurrency() -> EngineError {
        let scope = LimitScope::Key(KeyId::try_from("k").unwrap());
        let limit = LimitKind::Concurrency;
        let denial = Denial { scope, limit, used: 3, held: 3, allowed: 3, resets_at: None };
        EngineError::Denied { denial, needed: 0 }
    }

    fn no_account(shortage: Shortage, retry_at: Option<Timestamp>) -> EngineError {
        EngineError::NoAccount { shortage, retry_at }
    }

    #[test]
    fn a_denial_tells_its_numbers_under_v1s_names_and_relays_own() {
        let denial = Denial {
            scope: LimitScope::Key(KeyId::try_from("k").unwrap()),
            limit: LimitKind::DailyCost,
            used: 9_500_000_000,
            held: 0,
            allowed: 10_000_000_000,
            resets_at: Some(at(7_200)),
        };
        let error = EngineError::Denied { denial, needed: 625_000_000 };
        let response = Refusal::of(&error, NOW).into_response(RequestId::new(NOW, 7));
        assert_eq!(response.status(), 402);
        assert_eq!(response.headers()["x-relay-budget-daily-limit"], "10.00");
        assert_eq!(response.headers()["x-relay-budget-daily-remaining"], "0.50");
        assert_eq!(response.headers()["x-should-retry"], "false");
        let body: serde_json::Value = serde_json::from_str(&body_of(response)).unwrap();
        assert_eq!(body["error"]["type"], "billing_error");
        assert_eq!(body["error"]["code"], "daily_cost_limit_exceeded");
        assert_eq!(body["currentCost"].to_string(), "9.5");
        assert_eq!(body["costLimit"].to_string(), "10.0");
        assert_eq!(body["resetAt"], at(7_200).to_string());
        assert_eq!(
            body["limit"],
            serde_json::json!({
                "scope": "key", "kind": "daily_cost", "used": "9.50", "allowed": "10.00",
                "needed": "0.625", "resetsAt": at(7_200).to_string(),
            })
        );
    }

    #[test]
    fn denials_have_the_statuses_of_v1() {
        let denied = |limit, resets_at| {
            let scope = LimitScope::Key(KeyId::try_from("k").unwrap());
            let denial = Denial { scope, limit, used: 5, held: 0, allowed: 5, resets_at };
            EngineError::Denied { denial, needed: 0 }
        };
        let soon = Some(at(30));
        let cases = [
            (LimitKind::Concurrency, None, 429, Some("1"), "currentConcurrency"),
            (LimitKind::WindowRequests, soon, 429, Some("30"), "requestLimit"),
            (LimitKind::WindowTokens, soon, 429, Some("30"), "tokenLimit"),
            (LimitKind::WindowCost, soon, 429, Some("30"), "costLimit"),
            (LimitKind::WindowCost, Some(at(3_600)), 429, None, "remainingMinutes"),
            (LimitKind::DailyCost, Some(at(3_600)), 402, None, "currentCost"),
            (LimitKind::WeeklyCost, None, 402, None, "costLimit"),
            (LimitKind::MonthlyCost, None, 402, None, "costLimit"),
            (LimitKind::TotalCost, None, 402, None, "costLimit"),
            (LimitKind::WeeklyClaudeCost, None, 402, None, "costLimit"),
        ];
        for (limit, resets_at, status, retry_after, member) in cases {
            let error = denied(limit, resets_at);
            let response = Refusal::of(&error, NOW).into_response(RequestId::new(NOW, 7));
            assert_eq!(response.status(), status, "{limit:?}");
            let told = response.headers().get("retry-after").map(|value| value.to_str().unwrap());
            assert_eq!(told, retry_after, "{limit:?}");
            let body: serde_json::Value = serde_json::from_str(&body_of(response)).unwrap();
            assert!(!body[member].is_null(), "{limit:?}: {body}");
            assert_eq!(body["error"]["code"], limit.code());
        }
    }

    #[test]
    fn who_finds_no_room_is_told_whether_it_soon_comes_back() {
        let cases = [
            (
                "a pool that is busy while others rest for an hour",
                no_account(Shortage::Busy, Some(at(3_600))),
                (529, "overloaded_error", Some("1"), None),
            ),
            (
                "a pool full of what is in flight",
                no_account(Shortage::RoomHeld, Some(at(3_600))),
                (429, "rate_limit_error", Some("1"), None),
            ),
            (
                "a request too large for what is left",
                no_account(Shortage::RoomTooSmall { until: Some(at(3_600)) }, Some(at(3_600))),
                (429, "rate_limit_error", None, Some("false")),
            ),
            (
                "a request too large for ever",
                no_account(Shortage::RoomTooSmall { until: None }, None),
                (429, "rate_limit_error", None, Some("false")),
            ),
        ];
        for (name, error, expected) in cases {
            check(name, &error, expected);
        }
    }

    #[test]
    fn a_key_of_a_disabled_user_has_the_status_that_v1_gives_it() {
        let refusal = Refusal::of(&KeyRefusal::UserDisabled.into(), at(0));
        assert_eq!((refusal.status().as_u16(), refusal.code()), (401, "user_disabled"));
        assert_eq!(refusal.message, "the user account that this API key belongs to is disabled");
    }

    #[test]
    fn every_refusal_has_its_status_type_and_advice() {
        let limited = |until| no_account(Shortage::RateLimited { until }, until);
        let overloaded = |until| no_account(Shortage::Overloaded { until }, until);
        let store = EngineError::Store(StoreError::Unavailable("redis://secret@host".into()));
        let cases = [
            ("no key", EngineError::MissingKey, (401, "authentication_error", None, Some("false"))),
            (
                "unknown key",
                EngineError::UnknownKey,
                (401, "authentication_error", None, Some("false")),
            ),
            (
                "disabled",
                KeyRefusal::Disabled.into(),
                (401, "authentication_error", None, Some("false")),
            ),
            (
                "restricted",
                KeyRefusal::ModelRestricted.into(),
                (403, "permission_error", None, Some("false")),
            ),
            ("busy key", concurrency(), (429, "rate_limit_error", Some("1"), None)),
            ("limited pool", limited(Some(at(30))), (429, "rate_limit_error", Some("30"), None)),
            (
                "limited for an hour",
                limited(Some(at(3_600))),
                (429, "rate_limit_error", None, Some("false")),
            ),
            ("limited without end", limited(None), (429, "rate_limit_error", None, None)),
            (
                "overloaded pool",
                overloaded(Some(at(5))),
                (529, "overloaded_error", Some("5"), None),
            ),
            (
                "empty pool",
                no_account(Shortage::NoAccounts, None),
                (529, "overloaded_error", None, None),
            ),
            (
                "other models",
                no_account(Shortage::ModelNotServed, None),
                (404, "not_found_error", None, Some("false")),
            ),
            (
                "an alias of a restricted model",
                no_account(Shortage::ModelRestricted, None),
                (403, "permission_error", None, Some("false")),
            ),
            ("store away", store, (503, "api_error", Some("1"), None)),
            ("hold lost", EngineError::HoldLost, (503, "api_error", Some("1"), None)),
            ("backlogged", EngineError::Backlogged, (503, "api_error", Some("5"), None)),
            (
                "queue full",
                EngineError::QueueFull { max_waiting: 3 },
                (429, "rate_limit_error", Some("1"), None),
            ),
            (
                "queued in vain",
                EngineError::QueueTimeout { waited: Duration::from_secs(9) },
                (429, "rate_limit_error", Some("5"), None),
            ),
            (
                "no price",
                EngineError::ModelUnpriced("m".try_into().unwrap()),
                (403, "permission_error", None, Some("false")),
            ),
        ];
        for (name, error, expected) in cases {
            check(name, &error, expected);
        }
    }

    /// Checks status, type, retry-after and x-should-retry.
    fn check(
        name: &str,
        error: &EngineError,
        (status, kind, retry_after, should_retry): (u16, &str, Option<&str>, Option<&str>),
    ) {
        let response = Refusal::of(error, NOW).into_response(RequestId::new(NOW, 7));
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let found = (response.status().as_u16(), header("retry-after"), header("x-should-retry"));
        assert_eq!(found, (status, retry_after, should_retry), "{name}");
        assert!(header("request-id").is_some_and(|id| id.starts_with("req_")), "{name}");
        let body = body_of(response);
        assert!(body.contains(&format!(r#""type":"{kind}""#)), "{name}: {body}");
        assert!(!body.contains("secret"), "{name}: {body}");
    }

    fn body_of(response: Response<RelayBody>) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bytes = runtime.block_on(response.into_body().collect()).unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }
}
