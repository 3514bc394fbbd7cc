//! One streamed request, as a client sends it, and its answer on the terminal as it comes.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use relay_domain::RequestId;
use relay_protocol::sse::FrameScanner;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::terminal::{print, print_part};

/// A model that has a price.
pub(super) const MODEL: &str = "claude-sonnet-4-5";
/// Where Relay says under which id it has recorded a request.
const REQUEST_ID: &str = "x-relay-request-id";

/// Asks Relay at `address`, prints the answer as it comes, and returns the request's id.
///
/// # Errors
///
/// Fails unless a whole answer with text in it comes.
pub(super) async fn hold(address: SocketAddr, key: &SecretString) -> Result<RequestId> {
    let question = "Say hello, and show me that you stream.";
    let body = json!({
        "model": MODEL,
        "max_tokens": 1024,
        "stream": true,
        "messages": [{"role": "user", "content": question}],
    });
    let request = Request::post(format!("http://{address}/v1/messages"))
        .header("x-api-key", key.expose_secret())
        .header("anthropic-version", "2023-06-01")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .context("the request cannot be built")?;
    print(format!("you     {question}"));
    print_part(b"answer  ")?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await.context("Relay cannot be reached")?;
    let status = response.status();
    let id = response
        .headers()
        .get(REQUEST_ID)
        .and_then(|id| RequestId::try_from(id.to_str().ok()?).ok());
    let mut body = response.into_body();
    if status != StatusCode::OK {
        let body = body.collect().await.context("the refusal broke off")?.to_bytes();
        bail!("Relay answered {status}: {}", String::from_utf8_lossy(&body));
    }
    let mut answer = Answer::default();
    while let Some(frame) = body.frame().await {
        if let Ok(chunk) = frame.context("the answer broke off")?.into_data() {
            answer.read(&chunk)?;
        }
    }
    print("");
    if !answer.ended || !answer.has_text {
        bail!("the answer came without its end or without text");
    }
    id.with_context(|| format!("the answer carries no {REQUEST_ID}"))
}

/// What has come of the answer so far.
#[derive(Default)]
struct Answer {
    frames: FrameScanner,
    has_text: bool,
    ended: bool,
}

impl Answer {
    /// Prints the text in the next bytes.
    fn read(&mut self, chunk: &[u8]) -> Result<()> {
        let mut events = Vec::new();
        self.frames.feed(chunk, |frame| {
            events.extend(frame.data().map(|data| serde_json::from_slice::<Value>(&data)));
        });
        for event in events {
            let event = event.context("an event is no JSON")?;
            match event["type"].as_str() {
                Some("content_block_delta") => {
                    let text = event["delta"]["text"].as_str().unwrap_or_default();
                    self.has_text |= !text.is_empty();
                    print_part(text.as_bytes())?;
                }
                Some("message_stop") => self.ended = true,
                Some("error") => bail!("the stream carries an error: {}", event["error"]),
                Some(_) | None => {}
            }
        }
        Ok(())
    }
}
