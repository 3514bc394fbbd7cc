//! Scripts: what the sandbox answers to the requests of one key, one step a request.
//!
//! Frames are counted from zero. In a stream a frame is one event (`message_start` is frame 0); any other answer is a
//! single frame.

mod build;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The answers to the requests of one key.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// One step a request. Empty means the default answer for every request.
    pub steps: Vec<Step>,
    /// What comes after the last step.
    pub then: Then,
}

/// What a script does when its steps are used up.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// Gives the default answer.
    Default,
    /// Repeats the last step.
    #[default]
    Repeat,
}

/// One answer. Everything left out is as in the default answer.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the script's JSON"
)]
pub struct Step {
    /// HTTP status. Anything outside 2xx carries an error body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Response headers to add or replace, for example `retry-after`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The error to answer with. Without `status` the status is the one that belongs to its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
    /// The exact body. JSON by content type, unless `headers` say otherwise; with `text/event-stream` it is sent
    /// chunked, one frame up to each empty line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_body: Option<String>,
    /// Resets the connection instead of answering, after the request was read.
    pub refuse: bool,
    /// Never answers: not even the head.
    pub hold_head: bool,
    /// Milliseconds before the head of the answer.
    pub delay_head_ms: u64,
    /// The text of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Answers with a digest of the request as text, instead of `text`.
    pub echo: bool,
    /// How many text deltas a stream has. The text is repeated until it has that many characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deltas: Option<usize>,
    /// A thinking block with this text, whether or not the request asks for thinking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
    /// A tool call after the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<ToolCall>,
    /// Token counts to report.
    pub usage: Usage,
    /// The model that the answer names; otherwise the one asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The stop reason; otherwise `end_turn`, `tool_use` or `max_tokens` as the case may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// Milliseconds between one frame and the next.
    pub delta_ms: u64,
    /// A pause in mid-stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silence_after_frame: Option<Silence>,
    /// Closes the connection, without a proper end, after this many body bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncate_at_byte: Option<usize>,
    /// Closes the connection, without a proper end, in place of this frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncate_at_frame: Option<usize>,
    /// Ends the stream properly in place of this frame: no `message_stop` is sent. Streams only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_at_frame: Option<usize>,
    /// Sends an `error` event in place of a frame and ends the stream there. Streams only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_at_frame: Option<ErrorEvent>,
    /// Writes the body in pieces of this many bytes, each handed to the network by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk_bytes: Option<usize>,
    /// Ends the lines of a stream with CR LF.
    pub crlf: bool,
}

/// The `error` object of an error body.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorBody {
    /// The provider's error type, such as `overloaded_error`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The text for people.
    #[serde(default)]
    pub message: String,
}

/// An `error` event inside a stream that began with status 200.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorEvent {
    /// The frame that the error stands in place of; 0 makes it the first event.
    pub frame: usize,
    /// The provider's error type, such as `overloaded_error`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The text for people.
    #[serde(default)]
    pub message: String,
}

/// A pause in mid-stream.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Silence {
    /// The last frame before the pause.
    pub frame: usize,
    /// How long nothing is sent, in milliseconds.
    pub ms: u64,
}

/// A tool that the answer calls.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    /// The tool's name.
    pub name: String,
    /// The arguments.
    #[serde(default = "no_arguments")]
    pub input: Value,
}

/// Token counts that an answer reports. What is left out is estimated (input, output) or zero (cache).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Usage {
    /// Input tokens that neither came from the cache nor went there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<u64>,
    /// Output tokens, thinking included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<u64>,
    /// Input tokens read from the cache.
    pub cache_read: u64,
    /// Input tokens written to the cache for five minutes.
    pub cache_write_5m: u64,
    /// Input tokens written to the cache for an hour.
    pub cache_write_1h: u64,
    /// Reports cache writes as one number, without the split by lifetime, as the provider once did.
    pub legacy: bool,
}

fn no_arguments() -> Value {
    Value::Object(serde_json::Map::new())
}
