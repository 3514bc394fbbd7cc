//! Anthropic Messages: what a request asks for, what an answer says was used, how errors look.

mod error_body;
mod length;
mod provider_error;
mod request;
mod response;
mod tap;
mod usage;

pub use error_body::{ErrorType, error_body, error_body_with, error_event, ping_event};
pub use provider_error::{ProviderError, names_model, read_error, says_disabled};
pub use request::{RequestScan, model_literal, scan_request, splice_model};
pub use response::{MessageFacts, read_message};
pub use tap::StreamTap;
pub use usage::Served;
