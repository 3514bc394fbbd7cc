//! Errors that the provider reports, in a body or in a stream.

use super::ErrorType;
use crate::ScanError;
use crate::json::Cursor;

/// An error as the provider worded it. For records and decisions; the client gets the bytes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ProviderError {
    /// The provider's name for the kind of error; empty if it gave none.
    pub kind: String,
    /// The provider's words, cut after a kilobyte.
    pub message: String,
    /// The provider's finer code, if it has one.
    pub code: Option<String>,
}

impl ProviderError {
    /// The kind, if it is one that the Messages API documents.
    #[must_use]
    pub fn error_type(&self) -> Option<ErrorType> {
        ErrorType::from_name(&self.kind)
    }

    /// Reads the value of an `error` member: an object, or a plain text. `None` if it is neither.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Option<Self>, ScanError> {
        if cursor.peek()? != b'{' {
            let text = cursor.value()?.as_text();
            return Ok(text.map(|text| Self { message: clip(&text), ..Self::default() }));
        }
        let mut error = Self::default();
        cursor.object(|cursor, key| {
            let text = cursor.value()?.as_text();
            let text = text.as_deref().map(clip);
            match key {
                b"type" => error.kind = text.unwrap_or_default(),
                b"message" => error.message = text.unwrap_or_default(),
                b"code" => error.code = text,
                _ => {}
            }
            Ok(())
        })?;
        Ok(Some(error))
    }

    /// Of data that is no JSON, all that can be said is the text itself.
    pub(super) fn of_plain_text(data: &[u8]) -> Self {
        Self { message: clip(&String::from_utf8_lossy(data)), ..Self::default() }
    }
}

/// The error in a body or event of the form `{"error": …}`; `None` if there is none.
#[must_use]
pub fn read_error(body: &[u8]) -> Option<ProviderError> {
    let mut error = None;
    let mut cursor = Cursor::new(body);
    cursor
        .object(|cursor, key| {
            match key {
                b"error" => error = ProviderError::read(cursor)?,
                _ => cursor.skip()?,
            }
            Ok(())
        })
        .and_then(|()| cursor.finish())
        .ok()?;
    error
}

/// Whether a refusal with this status and body means that the account does not serve the model,
/// so that another account may.
///
/// Careful on purpose: what a model cannot *do* (images, thinking, a large context) is the
/// request's fault and must not send it around the accounts.
#[must_use]
pub fn names_model(status: u16, body: &[u8]) -> bool {
    if !matches!(status, 400 | 404) {
        return false;
    }
    let Some(error) = read_error(body) else { return false };
    if error.code.as_deref() == Some("model_not_found") {
        return true;
    }
    let message = error.message.to_ascii_lowercase();
    match (error.kind.as_str(), status) {
        ("not_found_error", 404) => has_word(&message, "model"),
        ("invalid_request_error" | "not_found_error", _) => says_unknown_model(&message),
        _ => false,
    }
}

/// Whether a 400 with this body is about the account rather than the request: the provider, or a relay
/// in its place, has closed it.
#[must_use]
pub fn says_disabled(body: &[u8]) -> bool {
    const PHRASES: [&str; 7] = [
        "organization has been disabled",
        "account has been disabled",
        "account is disabled",
        "no account supporting",
        "account not found",
        "invalid account",
        "too many active sessions",
    ];
    let Some(error) = read_error(body) else { return false };
    let message = error.message.to_ascii_lowercase();
    PHRASES.iter().any(|phrase| message.contains(phrase))
}

fn says_unknown_model(message: &str) -> bool {
    const OPENINGS: [&str; 4] = ["model:", "unknown model", "unsupported model", "invalid model"];
    const PHRASES: [&str; 4] = [
        "model not found",
        "not a valid model",
        "not a supported model",
        "model identifier is invalid",
    ];
    const ABSENCES: [&str; 4] =
        ["not found", "does not exist", "is not available", "is not supported"];
    if message.contains("does not support") {
        return false;
    }
    let subject = message.strip_prefix("the ").unwrap_or(message);
    OPENINGS.iter().any(|opening| message.starts_with(opening))
        || PHRASES.iter().any(|phrase| message.contains(phrase))
        || (subject.starts_with("model ") && ABSENCES.iter().any(|said| message.contains(said)))
}

fn has_word(text: &str, word: &str) -> bool {
    text.split_whitespace()
        .any(|found| found.trim_matches(|c: char| c.is_ascii_punctuation()) == word)
}

fn clip(text: &str) -> String {
    const MAX_BYTES: usize = 1024;
    text[..text.floor_char_boundary(MAX_BYTES)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_account_is_told_from_a_bad_request() {
        let body = |message: &str| format!(r#"{{"error":{{"type":"x","message":"{message}"}}}}"#);
        assert!(says_disabled(body("This organization has been DISABLED.").as_bytes()));
        assert!(says_disabled(body("Too many active sessions").as_bytes()));
        assert!(!says_disabled(body("tools: caching has been disabled").as_bytes()));
        assert!(!says_disabled(b"account is disabled"));
    }

    #[test]
    fn only_a_refusal_of_the_model_itself_names_the_model() {
        let cases = [
            ("Anthropic's 404", 404, "not_found_error", "model: claude-opus-9", true),
            ("a 404 in prose", 404, "not_found_error", "The model claude-x was not found.", true),
            ("a 404 of a file", 404, "not_found_error", "File not found: model_card.txt", false),
            ("a 404 of a path", 404, "not_found_error", "Not Found", false),
            ("a 404 of the models list", 404, "not_found_error", "No route /v1/models/x", false),
            ("a field path", 400, "invalid_request_error", "model: claude-9 is not allowed", true),
            ("an unknown one", 400, "invalid_request_error", "Unknown model claude-9", true),
            ("not there", 400, "invalid_request_error", "The model `x` does not exist", true),
            ("not valid", 400, "invalid_request_error", "claude-9 is not a valid model", true),
            (
                "an identifier",
                400,
                "invalid_request_error",
                "The provided model identifier is invalid.",
                true,
            ),
            ("not served", 400, "invalid_request_error", "Model claude-9 is not supported", true),
            (
                "no images",
                400,
                "invalid_request_error",
                "The model claude-9 does not support images; is not supported",
                false,
            ),
            (
                "no such ability",
                400,
                "invalid_request_error",
                "model: claude-9 does not support effort",
                false,
            ),
            (
                "a feature",
                400,
                "invalid_request_error",
                "adaptive thinking is not supported on this model",
                false,
            ),
            (
                "a limit",
                400,
                "invalid_request_error",
                "max_tokens: 900000 > 64000, the maximum for model claude-9",
                false,
            ),
            ("a prompt", 400, "invalid_request_error", "prompt is too long", false),
            ("another kind", 400, "api_error", "Unknown model claude-9", false),
            ("another status", 403, "not_found_error", "model: claude-opus-9", false),
            ("a success", 200, "not_found_error", "model: claude-opus-9", false),
        ];
        for (name, status, kind, message, expected) in cases {
            let body =
                serde_json::json!({"type": "error", "error": {"type": kind, "message": message}});
            assert_eq!(names_model(status, body.to_string().as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn a_model_is_named_by_code_too_and_never_by_a_body_that_is_no_error() {
        let coded = br#"{"error":{"message":"no","type":"invalid_request_error","code":"model_not_found"}}"#;
        assert!(names_model(404, coded));
        for body in [&b"<h1>404 model not found</h1>"[..], b"", b"{}", br#"{"error":null}"#, b"[]"]
        {
            assert!(!names_model(404, body), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn errors_are_read_in_every_shape_that_providers_use() {
        let error = |kind: &str, message: &str| {
            Some(ProviderError { kind: kind.into(), message: message.into(), code: None })
        };
        let cases: [(&[u8], _); 7] = [
            (
                br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
                error("overloaded_error", "Overloaded"),
            ),
            (
                br#"{"error":{"details":{"a":[1]},"message":"\u96ea","type":null},"x":1}"#,
                error("", "雪"),
            ),
            (br#"{"error":"Stream error"}"#, error("", "Stream error")),
            (br#"{"error":7}"#, None),
            (br#"{"type":"message"}"#, None),
            (br#"{"error":"cut"#, None),
            (b"Bad gateway", None),
        ];
        for (body, expected) in cases {
            assert_eq!(read_error(body), expected, "{}", String::from_utf8_lossy(body));
        }
        let kind = error("overloaded_error", "").and_then(|error| error.error_type());
        assert_eq!(kind, Some(ErrorType::Overloaded));
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let body = format!(r#"{{"error":"x{}"}}"#, "雪".repeat(1000));
        let message = read_error(body.as_bytes()).unwrap().message;
        assert_eq!(message.len(), 1 + 341 * 3);
    }
}
