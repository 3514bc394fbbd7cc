//! Relay's own words in Anthropic's dialect: error bodies, error events, pings.

use crate::json::push_quoted;

/// The kinds of error that the Messages API documents.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorType {
    /// 400: the request is malformed.
    InvalidRequest,
    /// 401: the key is not valid.
    Authentication,
    /// 402: something is wrong with the payment.
    Billing,
    /// 403: the key may not do this.
    Permission,
    /// 404: there is no such thing.
    NotFound,
    /// 413: the body is too large.
    RequestTooLarge,
    /// 429: a limit is used up.
    RateLimit,
    /// 500: a fault within.
    Api,
    /// 504: it took too long.
    Timeout,
    /// 529: too busy for now.
    Overloaded,
}

impl ErrorType {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::InvalidRequest,
        Self::Authentication,
        Self::Billing,
        Self::Permission,
        Self::NotFound,
        Self::RequestTooLarge,
        Self::RateLimit,
        Self::Api,
        Self::Timeout,
        Self::Overloaded,
    ];

    /// The HTTP status that belongs to it.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::Authentication => 401,
            Self::Billing => 402,
            Self::Permission => 403,
            Self::NotFound => 404,
            Self::RequestTooLarge => 413,
            Self::RateLimit => 429,
            Self::Api => 500,
            Self::Timeout => 504,
            Self::Overloaded => 529,
        }
    }

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request_error",
            Self::Authentication => "authentication_error",
            Self::Billing => "billing_error",
            Self::Permission => "permission_error",
            Self::NotFound => "not_found_error",
            Self::RequestTooLarge => "request_too_large",
            Self::RateLimit => "rate_limit_error",
            Self::Api => "api_error",
            Self::Timeout => "timeout_error",
            Self::Overloaded => "overloaded_error",
        }
    }

    /// The kind of that name on the wire, if it is one of these.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// The body of an error answer: `{"type":"error","error":{"type","message"},"request_id"}`, with
/// `code` inside `error` where there is one.
#[must_use]
pub fn error_body(kind: ErrorType, message: &str, request_id: &str, code: Option<&str>) -> Vec<u8> {
    let mut body = Vec::with_capacity(128 + message.len());
    push_error(&mut body, kind, message, request_id, code);
    body
}

/// An error answer with more members beside `error`, for clients that know them. `more` are names and JSON
/// values; the caller sees to it that they are.
#[must_use]
pub fn error_body_with(
    kind: ErrorType,
    message: &str,
    request_id: &str,
    code: Option<&str>,
    more: &[(&str, String)],
) -> Vec<u8> {
    let mut body = error_body(kind, message, request_id, code);
    if !more.is_empty() && body.pop().is_some() {
        for (name, value) in more {
            body.push(b',');
            push_quoted(&mut body, name);
            body.push(b':');
            body.extend_from_slice(value.as_bytes());
        }
        body.push(b'}');
    }
    body
}

/// The same error as a whole frame of a stream.
#[must_use]
pub fn error_event(
    kind: ErrorType,
    message: &str,
    request_id: &str,
    code: Option<&str>,
) -> Vec<u8> {
    let mut frame = Vec::with_capacity(160 + message.len());
    frame.extend_from_slice(b"event: error\ndata: ");
    push_error(&mut frame, kind, message, request_id, code);
    frame.extend_from_slice(b"\n\n");
    frame
}

/// The protocol's own keep-alive, as a whole frame of a stream.
#[must_use]
pub const fn ping_event() -> &'static [u8] {
    b"event: ping\ndata: {\"type\": \"ping\"}\n\n"
}

fn push_error(
    out: &mut Vec<u8>,
    kind: ErrorType,
    message: &str,
    request_id: &str,
    code: Option<&str>,
) {
    out.extend_from_slice(br#"{"type":"error","error":{"type":"#);
    push_quoted(out, kind.as_str());
    out.extend_from_slice(br#","message":"#);
    push_quoted(out, message);
    if let Some(code) = code {
        out.extend_from_slice(br#","code":"#);
        push_quoted(out, code);
    }
    out.extend_from_slice(br#"},"request_id":"#);
    push_quoted(out, request_id);
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anthropic::StreamTap;

    #[test]
    fn kinds_have_the_documented_names_and_statuses() {
        let documented = [
            ("invalid_request_error", 400),
            ("authentication_error", 401),
            ("billing_error", 402),
            ("permission_error", 403),
            ("not_found_error", 404),
            ("request_too_large", 413),
            ("rate_limit_error", 429),
            ("api_error", 500),
            ("timeout_error", 504),
            ("overloaded_error", 529),
        ];
        assert_eq!(ErrorType::ALL.map(|kind| (kind.as_str(), kind.status())), documented);
        for kind in ErrorType::ALL {
            assert_eq!(ErrorType::from_name(kind.as_str()), Some(kind));
        }
        assert_eq!(ErrorType::from_name("new_error"), None);
    }

    #[test]
    fn an_error_body_has_the_documented_shape_whatever_the_words() {
        let body = error_body(ErrorType::NotFound, "no \"such\"\npath 雪\u{1}", "req_1", None);
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"type":"error","error":{"type":"not_found_error","message":"no \"such\"\npath 雪\u0001"},"request_id":"req_1"}"#
        );
        let coded = error_body(ErrorType::RateLimit, "wait", "req_1", Some("key_busy"));
        assert_eq!(
            String::from_utf8(coded).unwrap(),
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"wait","code":"key_busy"},"request_id":"req_1"}"#
        );
    }

    #[test]
    fn more_members_stand_beside_the_error() {
        let more = [("currentCost", "9.50".to_owned()), ("resetAt", "null".to_owned())];
        let body = error_body_with(ErrorType::Billing, "m", "req_1", Some("c"), &more);
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"type":"error","error":{"type":"billing_error","message":"m","code":"c"},"request_id":"req_1","currentCost":9.50,"resetAt":null}"#
        );
        let plain = error_body(ErrorType::Billing, "m", "req_1", None);
        assert_eq!(error_body_with(ErrorType::Billing, "m", "req_1", None, &[]), plain);
    }

    #[test]
    fn an_error_event_and_a_ping_are_whole_frames_that_read_back() {
        let mut tap = StreamTap::default();
        tap.feed(ping_event());
        assert!(tap.at_boundary() && tap.error().is_none());
        tap.feed(&error_event(ErrorType::Overloaded, "busy\n\nnow", "req_1", None));
        assert!(tap.at_boundary());
        let error = tap.error().unwrap();
        assert_eq!(error.error_type(), Some(ErrorType::Overloaded));
        assert_eq!(error.message, "busy\n\nnow");
    }
}
