//! Bodies that many tests send.

use serde_json::json;

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
