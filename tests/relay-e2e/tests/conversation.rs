//! Bodies that many tests send, and how they send them without waiting for an answer.

use relay_e2e::Relay;
use serde_json::json;
use tokio::net::TcpStream;

/// A model that the price book knows: 3 dollars for a million input tokens, 15 for output.
pub(crate) const MODEL: &str = "claude-sonnet-4-5-20250929";

/// Text of one to four bytes a character, with an emoji of several.
pub(crate) const TEXT: &str = "Déjà vu, 你好，世界。こんにちは 한국어 🚀 👩‍💻 🇪🇺 — naïve café, end.";

/// A request for a stream.
pub(crate) fn streamed() -> String {
    body(MODEL, true)
}

/// A request for a whole answer.
pub(crate) fn whole() -> String {
    body(MODEL, false)
}

/// A request for `model`.
pub(crate) fn body(model: &str, stream: bool) -> String {
    let messages = json!([{"role": "user", "content": "Say hello. 说你好。"}]);
    json!({"model": model, "max_tokens": 1024, "stream": stream, "messages": messages}).to_string()
}

/// Sends a request of the key with this secret, and does not wait for its answer.
pub(crate) async fn post(relay: &Relay, secret: &str, body: &str) -> TcpStream {
    let stream = TcpStream::connect(relay.address()).await.unwrap();
    let request = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: relay\r\nx-api-key: {secret}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.writable().await.unwrap();
    assert_eq!(stream.try_write(request.as_bytes()).unwrap(), request.len());
    stream
}
