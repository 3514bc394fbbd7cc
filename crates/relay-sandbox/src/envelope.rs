//! What stands around the content of an answer: the message, its usage, and error bodies, in Anthropic's form.

use std::fmt::Write as _;

use bytes::Bytes;

use crate::answer::Answer;
use crate::script::{ErrorEvent, Usage};

/// Room for the envelope, so that it is written without growing.
const ENVELOPE_BYTES: usize = 512;

/// The parts of a message that differ from request to request.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) sequence: u64,
    /// The inside of a JSON string, already escaped.
    pub(crate) model: &'a str,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    pub(crate) usage: Usage,
    pub(crate) stop_reason: &'a str,
}

impl Envelope<'_> {
    /// Every event of the stream, one an entry.
    pub(crate) fn frames(&self, answer: &Answer) -> Vec<Bytes> {
        let mut frames = Vec::with_capacity(answer.frames.len() + 3);
        frames.push(self.message_start());
        frames.extend(answer.frames.iter().cloned());
        frames.push(self.message_delta());
        frames.push(Bytes::from_static(
            b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        ));
        frames
    }

    /// The one JSON body of an answer that is not streamed.
    pub(crate) fn message(&self, answer: &Answer) -> Bytes {
        let mut json =
            String::with_capacity(ENVELOPE_BYTES + self.model.len() + answer.blocks.len());
        self.write_message(&mut json, &answer.blocks, Some(self.stop_reason), self.output_tokens);
        json.into()
    }

    fn message_start(&self) -> Bytes {
        let mut frame = String::with_capacity(ENVELOPE_BYTES + self.model.len());
        frame.push_str("event: message_start\ndata: {\"type\":\"message_start\",\"message\":");
        // The output count is provisional here: the provider counts up in `message_delta`.
        self.write_message(&mut frame, "[]", None, 1);
        frame.push_str("}\n\n");
        frame.into()
    }

    fn message_delta(&self) -> Bytes {
        let Usage { cache_read, cache_write_5m, cache_write_1h, .. } = self.usage;
        let mut frame = String::with_capacity(ENVELOPE_BYTES);
        write!(
            frame,
            "event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":{},\
             \"stop_sequence\":null}},\"usage\":{{\"input_tokens\":{},\"cache_creation_input_tokens\":{},\
             \"cache_read_input_tokens\":{cache_read},\"output_tokens\":{}}}}}\n\n",
            quoted(self.stop_reason),
            self.input_tokens,
            cache_write_5m.saturating_add(cache_write_1h),
            self.output_tokens,
        )
        .ok(); // Writing to a string cannot fail.
        frame.into()
    }

    fn write_message(
        &self,
        json: &mut String,
        blocks: &str,
        stop_reason: Option<&str>,
        output_tokens: u64,
    ) {
        let Usage { cache_read, cache_write_5m, cache_write_1h, legacy, .. } = self.usage;
        let Self { sequence, model, input_tokens, .. } = self;
        let stop_reason = stop_reason.map_or_else(|| "null".to_owned(), quoted);
        let cache_write = cache_write_5m.saturating_add(cache_write_1h);
        write!(
            json,
            "{{\"id\":\"msg_sandbox_{sequence:016x}\",\"type\":\"message\",\"role\":\"assistant\",\
             \"model\":\"{model}\",\"content\":{blocks},\"stop_reason\":{stop_reason},\"stop_sequence\":null,\
             \"usage\":{{\"input_tokens\":{input_tokens},\"cache_creation_input_tokens\":{cache_write},\
             \"cache_read_input_tokens\":{cache_read},"
        )
        .ok(); // Writing to a string cannot fail.
        if !legacy {
            write!(
                json,
                "\"cache_creation\":{{\"ephemeral_5m_input_tokens\":{cache_write_5m},\
                 \"ephemeral_1h_input_tokens\":{cache_write_1h}}},"
            )
            .ok();
        }
        write!(json, "\"output_tokens\":{output_tokens},\"service_tier\":\"standard\"}}}}").ok();
    }
}

/// The `error` event of a stream that has begun.
pub(crate) fn error_event(error: &ErrorEvent) -> Bytes {
    let (kind, message) = (quoted(&error.kind), quoted(&error.message));
    format!("event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":{kind},\"message\":{message}}}}}\n\n").into()
}

/// The body of an error answer.
pub(crate) fn error_body(kind: &str, message: &str, request_id: &str) -> Bytes {
    let (kind, message) = (quoted(kind), quoted(message));
    format!(
        "{{\"type\":\"error\",\"error\":{{\"type\":{kind},\"message\":{message}}},\"request_id\":\"{request_id}\"}}"
    )
    .into()
}

/// `text` as a JSON string with its quotes.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
