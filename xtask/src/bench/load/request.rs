//! Requests as a coding client sends them.

use std::cell::Cell;
use std::fmt::Write as _;
use std::rc::Rc;

use serde_json::{Value, json};

use crate::bench::job::Job;

/// How many conversations are going on: each has its own sticky binding.
const SESSIONS: u32 = 4096;

/// Stands in the template where the number of the session goes.
const SESSION_PLACEHOLDER: &str = "5e551011-0000-4000-8000-000000000000";

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// One JSON answer to a body of about this size.
    Json { body_bytes: usize },
    /// A stream, to a short question.
    Stream,
}

/// Makes requests that differ in their session only.
pub(crate) struct Requests {
    template: Vec<u8>,
    session_at: usize,
    next_session: Rc<Cell<u32>>,
}

/// One request, ready to be sent, again and again for another session.
pub(crate) struct Request {
    bytes: Vec<u8>,
    session_at: usize,
    next_session: Rc<Cell<u32>>,
}

impl Requests {
    /// Prepares requests to the candidate of `job`.
    pub(crate) fn new(job: &Job, shape: Shape) -> Self {
        let body = match shape {
            Shape::Json { body_bytes } => body(body_bytes, false),
            Shape::Stream => body(super::super::options::SMALL_BODY_BYTES, true),
        };
        let head = head(&job.key, &job.address.to_string(), body.len());
        let text = head + &body;
        let session_at = text.find(SESSION_PLACEHOLDER).unwrap_or_default();
        Self { template: text.into_bytes(), session_at, next_session: Rc::new(Cell::new(0)) }
    }

    /// The request of the next session.
    pub(crate) fn next(&self) -> Request {
        let mut request = Request {
            bytes: self.template.clone(),
            session_at: self.session_at,
            next_session: Rc::clone(&self.next_session),
        };
        request.next_session();
        request
    }
}

impl Request {
    /// What goes over the wire.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Moves on to another of the conversations.
    pub(crate) fn next_session(&mut self) {
        let session = self.next_session.get();
        self.next_session.set((session + 1) % SESSIONS);
        let digits = format!("{session:08x}");
        self.bytes[self.session_at..self.session_at + 8].copy_from_slice(digits.as_bytes());
    }
}

fn head(key: &str, host: &str, body_bytes: usize) -> String {
    format!(
        "POST /v1/messages?beta=true HTTP/1.1\r\n\
         accept: application/json\r\n\
         authorization: Bearer {key}\r\n\
         content-type: application/json\r\n\
         user-agent: claude-cli/2.1.330 (external, sdk-cli)\r\n\
         x-stainless-arch: x64\r\n\
         x-stainless-lang: js\r\n\
         x-stainless-os: Linux\r\n\
         x-stainless-package-version: 0.128.0\r\n\
         x-stainless-retry-count: 0\r\n\
         x-stainless-runtime: node\r\n\
         x-stainless-timeout: 600\r\n\
         anthropic-beta: claude-code-20250219,interleaved-thinking-2025-05-14\r\n\
         anthropic-dangerous-direct-browser-access: true\r\n\
         anthropic-version: 2023-06-01\r\n\
         x-app: cli\r\n\
         connection: keep-alive\r\n\
         host: {host}\r\n\
         content-length: {body_bytes}\r\n\r\n"
    )
}

/// A Messages request of `bytes` (give or take a line of code), with its fields in the order of Claude
/// Code: the large ones first, and the session behind them.
fn body(bytes: usize, stream: bool) -> String {
    let user_id = json!({
        "device_id": "c0ffee".repeat(10) + "c0de",
        "account_uuid": "",
        "session_id": SESSION_PLACEHOLDER,
    });
    let metadata = json!({ "user_id": user_id.to_string() });
    // What a coding turn of this size spends on its parts: mostly files and command output.
    let (system, tools) = (bytes / 10, bytes / 5);
    let tools = Value::Array((0..tools / 2000).map(tool).collect());
    let system = json!([
        { "type": "text", "text": "You are a careful engineer." },
        { "type": "text", "text": code(system, 1), "cache_control": { "type": "ephemeral" } },
    ]);
    let mut body = String::new();
    let mut turns = Vec::new();
    for turn in 0.. {
        let messages = Value::Array(turns.clone());
        body.clear();
        write!(
            body,
            "{{\"model\":\"claude-sonnet-4-5\",\"messages\":{messages},\"system\":{system},\"tools\":{tools},\
             \"metadata\":{metadata},\"max_tokens\":4096,\"stream\":{stream}}}"
        )
        .ok(); // Writing to a string cannot fail.
        let missing = bytes.saturating_sub(body.len());
        if missing < 200 && turn > 0 {
            break;
        }
        turns.extend(exchange_of(turn, missing.saturating_sub(700).clamp(100, 4000)));
    }
    body
}

/// A file that the model asked to read, and its content; the last message is always the user's.
fn exchange_of(turn: u32, bytes: usize) -> Vec<Value> {
    let text = code(bytes, turn);
    if turn == 0 {
        return vec![json!({ "role": "user", "content": [{ "type": "text", "text": text }] })];
    }
    let id = format!("toolu_{turn:024}");
    let input = json!({ "file_path": format!("/home/dev/service/src/handler_{turn}.rs") });
    vec![
        json!({ "role": "assistant", "content": [
            { "type": "text", "text": "I will look at the handler before I change it." },
            { "type": "tool_use", "id": id, "name": "Read", "input": input },
        ]}),
        json!({ "role": "user", "content": [
            { "type": "tool_result", "tool_use_id": id, "content": [{ "type": "text", "text": text }] },
        ]}),
    ]
}

fn tool(index: usize) -> Value {
    let property =
        |name: &str| (name.to_owned(), json!({ "type": "string", "description": name.repeat(8) }));
    let properties: serde_json::Map<_, _> =
        ["file_path", "pattern", "replacement", "command", "timeout"]
            .map(property)
            .into_iter()
            .collect();
    json!({
        "name": format!("Tool{index}"),
        "description": code(1200, 7),
        "input_schema": {
            "type": "object", "properties": properties, "required": ["file_path"], "additionalProperties": false,
        },
    })
}

/// About `bytes` of source text, with the quotes, line ends and foreign letters that source text has.
fn code(bytes: usize, seed: u32) -> String {
    let mut text = String::with_capacity(bytes + 100);
    let mut line = seed;
    while text.len() < bytes {
        line = line.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let number = line >> 20;
        let next = match number % 4 {
            0 => format!("{number:>5}\tif let Some(entry) = cache.get(\"key-{number}\") {{\n"),
            1 => format!("{number:>5}\t    // Größe in bytes – see §{number}\n"),
            2 => format!(
                "{number:>5}\t    let total = entries.iter().map(|e| e.size).sum::<u64>();\n"
            ),
            _ => format!(
                "{number:>5}\t    return Err(Error::Invalid {{ field: \"id\\\\{number}\" }});\n}}\n"
            ),
        };
        text.push_str(&next);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::job::Work;
    use crate::bench::options::{LARGE_BODY_BYTES, SMALL_BODY_BYTES};

    fn parsed(request: &Request) -> Value {
        let text = std::str::from_utf8(request.bytes()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        serde_json::from_str(body).unwrap()
    }

    fn session(body: &Value) -> String {
        let user_id: Value =
            serde_json::from_str(body["metadata"]["user_id"].as_str().unwrap()).unwrap();
        user_id["session_id"].as_str().unwrap().to_owned()
    }

    #[test]
    fn requests_are_whole_of_the_size_asked_for_and_of_many_sessions() {
        let work = Work::FirstToken { streams: 1, spread_ms: 1 };
        let job = Job { address: "127.0.0.1:80".parse().unwrap(), key: "k".to_owned(), work };
        for bytes in [SMALL_BODY_BYTES, LARGE_BODY_BYTES] {
            let requests = Requests::new(&job, Shape::Json { body_bytes: bytes });
            let (mut first, second) = (requests.next(), requests.next());
            let body = parsed(&first);
            let size = body.to_string().len();
            assert!(bytes * 9 / 10 < size && size < bytes * 11 / 10, "{size} of {bytes}");
            assert_eq!(body["messages"].as_array().unwrap().last().unwrap()["role"], "user");
            assert_eq!(body["stream"], false);
            assert_ne!(session(&body), session(&parsed(&second)));
            first.next_session();
            assert_eq!(
                session(&parsed(&first)),
                SESSION_PLACEHOLDER.replace("5e551011", "00000002")
            );
        }
        let stream = Requests::new(&job, Shape::Stream).next();
        assert_eq!(parsed(&stream)["stream"], true);
    }
}
