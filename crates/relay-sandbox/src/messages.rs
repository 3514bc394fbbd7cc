//! `POST /v1/messages`: plays the step of the presented key.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use sha2::{Digest, Sha256};

use crate::answer::{Answer, Content};
use crate::body::SandboxBody;
use crate::connection::Link;
use crate::delivery::{self, Framing};
use crate::envelope::{self, Envelope};
use crate::error::SandboxError;
use crate::recorder::{Exchange, Outcome};
use crate::reply::Reply;
use crate::request::{self, MessagesRequest};
use crate::scenario::PreparedStep;
use crate::tool_marker;

/// Answers a Messages request as `prepared` says.
pub(crate) async fn answer(
    prepared: &PreparedStep,
    link: &Arc<Link>,
    mut exchange: Exchange,
    body: &Bytes,
) -> Result<Response<SandboxBody>, SandboxError> {
    let step = &prepared.step;
    if step.refuse {
        link.reset_on_close();
        exchange.finish(Outcome::Cut);
        return Err(SandboxError::Refused);
    }
    if step.hold_head {
        std::future::pending::<()>().await;
    }
    if step.delay_head_ms > 0 {
        tokio::time::sleep(Duration::from_millis(step.delay_head_ms)).await;
    }
    let reply = fixed_reply(prepared, exchange.sequence)
        .unwrap_or_else(|| message_reply(prepared, body, &exchange));
    if reply.framing == Framing::Chunked {
        exchange.mark_stream();
    }
    Ok(reply.send_scripted(prepared, link, exchange))
}

/// The reply of a step that says all there is to say, whatever the request.
fn fixed_reply(prepared: &PreparedStep, sequence: u64) -> Option<Reply> {
    let step = &prepared.step;
    let kind = step.error.as_ref().map(|error| error.kind.as_str());
    let status =
        step.status.or(kind.map(status_of)).and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.unwrap_or(StatusCode::OK);
    if let Some(body) = &step.raw_body {
        let content_type = prepared.headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes);
        if content_type.is_none_or(|value| !value.starts_with(b"text/event-stream")) {
            return Some(Reply::json(status, Bytes::from(body.clone())));
        }
        let frames = body
            .split_inclusive("\n\n")
            .map(|frame| Bytes::copy_from_slice(frame.as_bytes()))
            .collect();
        return Some(Reply { status, framing: Framing::Chunked, frames });
    }
    if let Some(error) = &step.error {
        return Some(Reply::error(status, &error.kind, &error.message, sequence));
    }
    (!status.is_success())
        .then(|| Reply::error(status, kind_of(status), "The sandbox was told to fail.", sequence))
}

/// The reply that is a message, streamed or whole as the request asks.
fn message_reply(prepared: &PreparedStep, body: &Bytes, exchange: &Exchange) -> Reply {
    let step = &prepared.step;
    let sequence = exchange.sequence;
    let request = match request::parse(body) {
        Ok(request) => request,
        Err(problem) => {
            return Reply::error(
                StatusCode::BAD_REQUEST,
                "invalid_request_error",
                problem,
                sequence,
            );
        }
    };
    let answer = content_of(prepared, &request, body, sequence);
    let scripted_model = step.model.as_deref().map(envelope::quoted);
    let scripted_model = scripted_model.as_deref().and_then(|model| model.get(1..model.len() - 1));
    let envelope = Envelope {
        sequence,
        model: scripted_model.unwrap_or(request.model),
        input_tokens: step.usage.input.unwrap_or_else(|| request.input_tokens()),
        output_tokens: step.usage.output.unwrap_or(answer.output_tokens),
        usage: step.usage,
        stop_reason: step.stop_reason.as_deref().unwrap_or(answer.stop_reason),
    };
    let status =
        step.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::OK);
    if !request.stream {
        return Reply::json(status, envelope.message(&answer));
    }
    let mut frames = envelope.frames(&answer);
    delivery::reshape_events(&mut frames, step);
    Reply { status, framing: Framing::Chunked, frames }
}

/// Takes the prepared answer wherever the request does not ask for one of its own.
fn content_of(
    prepared: &PreparedStep,
    request: &MessagesRequest<'_>,
    body: &Bytes,
    sequence: u64,
) -> Arc<Answer> {
    let step = &prepared.step;
    let asked_call =
        request.has_tools.then(|| tool_marker::requested_call(request.messages)).flatten();
    let tool = step.tool.as_ref().or(asked_call.as_ref());
    // What a script spells out is sent whole, whatever the request's limit.
    let is_spelled_out = step.text.is_some() || step.deltas.is_some() || step.tool.is_some();
    let max_tokens = request.max_tokens.filter(|_| !is_spelled_out);
    if tool.is_none() && !step.echo {
        let usual = prepared.usual_answer(request.thinking);
        if max_tokens.is_none_or(|max_tokens| usual.output_tokens <= max_tokens) {
            return Arc::clone(usual);
        }
    }
    let content = prepared.content(request.thinking);
    let text = if step.echo { echo_of(body).into() } else { content.text };
    let tool = tool.map(|tool| (tool, format!("toolu_sandbox_{sequence:016x}")));
    Arc::new(Answer::new(Content { text, tool, max_tokens, ..content }))
}

fn echo_of(body: &Bytes) -> String {
    let digest = hex::encode(Sha256::digest(body));
    format!("The request has {} bytes. Its SHA-256 is {digest}. 以上です。", body.len())
}

/// The status that belongs to one of Anthropic's error types.
fn status_of(kind: &str) -> u16 {
    ERRORS.iter().find(|(_, name)| *name == kind).map_or(500, |(status, _)| *status)
}

fn kind_of(status: StatusCode) -> &'static str {
    let fallback = if status.is_client_error() { "invalid_request_error" } else { "api_error" };
    ERRORS.iter().find(|(code, _)| *code == status.as_u16()).map_or(fallback, |(_, name)| name)
}

const ERRORS: [(u16, &str); 10] = [
    (400, "invalid_request_error"),
    (401, "authentication_error"),
    (402, "billing_error"),
    (403, "permission_error"),
    (404, "not_found_error"),
    (413, "request_too_large"),
    (429, "rate_limit_error"),
    (500, "api_error"),
    (504, "timeout_error"),
    (529, "overloaded_error"),
];
