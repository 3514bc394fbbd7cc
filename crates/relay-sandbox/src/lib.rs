//! A scriptable upstream that speaks Anthropic Messages and misbehaves on demand.
//!
//! It answers any path that ends in `/v1/messages` or `/v1/messages/count_tokens`, and `GET …/v1/models`. It does not
//! judge requests as the provider does: only a key and a model are required. Nothing here leaves the machine.
//!
//! What it answers depends on the presented key (`x-api-key`, or a bearer token). A key with a [`Script`] gets the
//! script's steps, one a request; `sk-sandbox-echo`, `sk-sandbox-overloaded`, `sk-sandbox-rate-limited` and
//! `sk-sandbox-slow` are built in; every other key gets a short conversation answer. A request that offers tools and
//! whose last user message holds `[[tool:Name {"json": 1}]]` gets that tool call.
//!
//! Scripts are set in-process through [`SandboxHandle`], or over HTTP on the same listener:
//!
//! | Request | Effect |
//! | --- | --- |
//! | `PUT /_sandbox/scenarios/{key}` | a [`Script`] as JSON, for the key spelled out in full |
//! | `DELETE /_sandbox/scenarios/{key}` | that key behaves as before |
//! | `GET /_sandbox/requests?key=&include_body=1` | a [`RequestLog`] as JSON |
//! | `DELETE /_sandbox/requests` | forgets what was recorded |
//! | `GET /_sandbox/state` | a [`SandboxState`] as JSON |
//!
//! Times are milliseconds since the sandbox was bound: they can be compared with each other, not with a calendar.

mod answer;
mod body;
mod connection;
mod control;
mod delivery;
mod envelope;
mod error;
mod messages;
mod recorder;
mod reply;
mod request;
mod route;
mod scenario;
mod script;
mod server;
mod tool_marker;
mod upstream;

pub use error::SandboxError;
pub use recorder::{Outcome, RecordedBody, RecordedRequest, RequestLog};
pub use script::{ErrorBody, ErrorEvent, Script, Silence, Step, Then, ToolCall, Usage};
pub use server::{Sandbox, SandboxHandle, SandboxState};
