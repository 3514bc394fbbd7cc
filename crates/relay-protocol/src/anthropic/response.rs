//! A complete answer: the body of a Message that was not streamed.

use relay_domain::{ModelName, TokenCount, TokenUsage};

use super::ProviderError;
use super::length::ContentLength;
use super::usage::{Served, UsageFields, short_text};
use crate::ScanError;
use crate::json::Cursor;

/// What an answer says about itself. Everything may be absent: the body is foreign.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MessageFacts {
    /// The provider's id of the message.
    pub message_id: Option<String>,
    /// The model that the provider says it used.
    pub served_model: Option<ModelName>,
    /// Why the model stopped, in the provider's word.
    pub stop_reason: Option<String>,
    /// What the provider counted.
    pub usage: Option<TokenUsage>,
    /// How the provider says it served the message.
    pub served: Served,
    /// How much output its content comes to, by its length: text, thinking and what tools are called with. For
    /// an answer of which the provider counts nothing.
    pub output_by_length: TokenCount,
    /// The error that stands in place of a message.
    pub error: Option<ProviderError>,
}

/// Reads a complete JSON answer, passing over its content. A body that is not a JSON object, or not a
/// whole one, has no facts.
#[must_use]
pub fn read_message(body: &[u8]) -> MessageFacts {
    let mut cursor = Cursor::new(body);
    Envelope::read(&mut cursor)
        .and_then(|envelope| cursor.finish().map(|()| envelope))
        .map(Envelope::into_facts)
        .unwrap_or_default()
}

/// The members of a message object, also as `message_start` carries it.
#[derive(Default)]
pub(super) struct Envelope {
    pub(super) message_id: Option<String>,
    pub(super) served_model: Option<ModelName>,
    pub(super) stop_reason: Option<String>,
    pub(super) usage: Option<UsageFields>,
    content: ContentLength,
    error: Option<ProviderError>,
}

impl Envelope {
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, ScanError> {
        let mut envelope = Self::default();
        cursor.object_or_skip(|cursor, key| {
            match key {
                b"id" => envelope.message_id = short_text(&cursor.value()?),
                b"model" => {
                    let name = cursor.value()?.as_text();
                    envelope.served_model =
                        name.and_then(|name| ModelName::try_from(name.as_ref()).ok());
                }
                b"stop_reason" => envelope.stop_reason = short_text(&cursor.value()?),
                b"content" => envelope.content = ContentLength::read(cursor)?,
                b"usage" => envelope.usage = UsageFields::read(cursor)?,
                b"error" => envelope.error = ProviderError::read(cursor)?,
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        Ok(envelope)
    }

    fn into_facts(self) -> MessageFacts {
        MessageFacts {
            message_id: self.message_id,
            served_model: self.served_model,
            stop_reason: self.stop_reason,
            usage: self.usage.as_ref().map(UsageFields::tokens),
            served: self.usage.map(UsageFields::into_served).unwrap_or_default(),
            output_by_length: self.content.tokens(),
            error: self.error,
        }
    }
}

#[cfg(test)]
mod tests {
    use relay_domain::TokenCount;

    use super::*;

    #[test]
    fn a_message_says_who_served_it_and_what_it_took() {
        let body = r#" {"id":"msg_1","type":"message","content":[{"type":"text","text":"{\"usage\":1} 雪"}],
            "mod\u0065l":"claude-opus-5-5","stop_reason":"end_turn","stop_sequence":null,
            "usage":{"input_tokens":4,"output_tokens":9,"cache_read_input_tokens":2,
                "cache_creation_input_tokens":7,"service_tier":"priority",
                "server_tool_use":{"web_search_requests":1,"new":0}}} "#;
        let facts = read_message(body.as_bytes());
        let expected = MessageFacts {
            message_id: Some("msg_1".into()),
            served_model: Some(ModelName::try_from("claude-opus-5-5").unwrap()),
            stop_reason: Some("end_turn".into()),
            usage: Some(TokenUsage {
                input: TokenCount::new(4),
                output: TokenCount::new(9),
                cache_read: TokenCount::new(2),
                cache_write_5m: TokenCount::new(7),
                cache_write_1h: TokenCount::ZERO,
            }),
            served: Served {
                service_tier: Some("priority".into()),
                web_search_requests: Some(1),
                ..Served::default()
            },
            output_by_length: TokenCount::new(5),
            error: None,
        };
        assert_eq!(facts, expected);
        for cut in 0..body.trim_end().len() {
            let facts = read_message(&body.as_bytes()[..cut]);
            assert_eq!(facts, MessageFacts::default(), "cut at {cut}");
        }
    }

    #[test]
    fn content_is_measured_and_what_is_no_output_is_not() {
        let long = "x".repeat(8_000);
        for (content, tokens) in [
            ("[]".to_owned(), 0),
            (
                format!(
                    r#"[{{"type":"text","text":"{long}","citations":[{{"cited_text":"{long}"}}]}}]"#
                ),
                2_000,
            ),
            (format!(r#"[{{"type":"thinking","thinking":"{long}","signature":"{long}"}}]"#), 2_000),
            (format!(r#"[{{"type":"redacted_thinking","data":"{long}"}}]"#), 0),
            (
                format!(r#"[{{"type":"web_search_tool_result","content":[{{"text":"{long}"}}]}}]"#),
                0,
            ),
            (
                r#"[{"type":"tool_use","id":"t","name":"n","input":{}},{"type":"text","text":""}]"#
                    .to_owned(),
                0,
            ),
            (r#"[{"type":"text","text":"a"},{"type":"tool_use","input":{"a":1}}]"#.to_owned(), 2),
            (r#""a text alone""#.to_owned(), 0),
            (r#"[7,{"text":null},{"text":8}]"#.to_owned(), 0),
        ] {
            let body = format!(r#"{{"content":{content},"usage":{{}}}}"#);
            let facts = read_message(body.as_bytes());
            assert_eq!(facts.output_by_length, TokenCount::new(tokens), "{}", &body[..40]);
            assert_eq!(facts.usage, Some(TokenUsage::ZERO));
        }
    }

    #[test]
    fn an_error_body_has_an_error_and_no_usage() {
        let body = br#"{"type":"error","error":{"type":"api_error","message":"no"}}"#;
        let facts = read_message(body);
        assert_eq!(facts.error.unwrap().kind, "api_error");
        assert_eq!(facts.usage, None);
    }

    #[test]
    fn foreign_bodies_have_no_facts() {
        for body in [
            &b""[..],
            b"<html>",
            b"[]",
            b"null",
            br#"{"usage":[],"model":7,"id":{}}"#,
            br#"{"id":"m"}{}"#,
        ] {
            let name = String::from_utf8_lossy(body);
            assert_eq!(read_message(body), MessageFacts::default(), "{name}");
        }
    }
}
