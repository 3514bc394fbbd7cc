//! Tool calls that a prompt asks for: `[[tool:Name {"json": 1}]]`.

use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;

use crate::script::ToolCall;

const MARKER: &str = "[[tool:";

/// The call that the last user message in `messages` (raw JSON) asks for, unless that message already holds a result.
pub(crate) fn requested_call(messages: &[u8]) -> Option<ToolCall> {
    // The tree is built only for the rare request that holds the marker anywhere.
    memmem::find(messages, MARKER.as_bytes())?;
    let messages: Vec<Message> = serde_json::from_slice(messages).ok()?;
    match messages.into_iter().rfind(|message| message.role == "user")?.content {
        Content::Text(text) => call_in(&text),
        Content::Blocks(blocks) => {
            if blocks.iter().any(|block| block.kind == "tool_result") {
                return None;
            }
            blocks.iter().rev().find_map(|block| call_in(&block.text))
        }
    }
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    role: String,
    #[serde(default)]
    content: Content,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Blocks(Vec<Block>),
}

impl Default for Content {
    fn default() -> Self {
        Self::Blocks(Vec::new())
    }
}

#[derive(Deserialize)]
struct Block {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    text: String,
}

fn call_in(text: &str) -> Option<ToolCall> {
    let (_, call) = text.rsplit_once(MARKER)?;
    let name_length = call.find(|c: char| c.is_whitespace() || c == ']' || c == '{')?;
    let (name, arguments) = call.split_at(name_length);
    // The arguments may hold "]]" themselves, so the JSON says where it ends.
    let input = match serde_json::Deserializer::from_str(arguments).into_iter::<Value>().next() {
        Some(Ok(input @ Value::Object(_))) => input,
        _ => Value::Object(serde_json::Map::new()),
    };
    Some(ToolCall { name: name.to_owned(), input })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_marker_becomes_a_call_until_its_result_is_there() {
        let ask = r#"Hi. [[tool:Bash {"command":"echo ]] $((40+2))"}]] bye"#;
        let call = Some(("Bash", json!({"command": "echo ]] $((40+2))"})));
        let cases = [
            ("plain text", json!([{"role": "user", "content": ask}]), call.clone()),
            (
                "a block",
                json!([{"role": "user", "content": [{"type": "text", "text": ask}]}]),
                call.clone(),
            ),
            (
                "a system message after it",
                json!([{"role": "user", "content": ask}, {"role": "system", "content": "x"}]),
                call,
            ),
            (
                "the result is there",
                json!([
                    {"role": "user", "content": ask},
                    {"role": "assistant", "content": [{"type": "tool_use", "name": "Bash"}]},
                    {"role": "user", "content": [{"type": "tool_result", "content": "42"}]},
                ]),
                None,
            ),
            (
                "the result comes with the marker repeated",
                json!([{"role": "user", "content": [
                    {"type": "tool_result", "content": "42"},
                    {"type": "text", "text": ask},
                ]}]),
                None,
            ),
            (
                "no arguments",
                json!([{"role": "user", "content": "[[tool:Stop]]"}]),
                Some(("Stop", json!({}))),
            ),
            (
                "an older message asks",
                json!([{"role": "user", "content": ask}, {"role": "user", "content": "x"}]),
                None,
            ),
            ("no marker", json!([{"role": "user", "content": "hello"}]), None),
        ];
        for (name, messages, expected) in cases {
            let found = requested_call(messages.to_string().as_bytes());
            let expected = expected.map(|(name, input)| ToolCall { name: name.to_owned(), input });
            assert_eq!(found, expected, "{name}");
        }
    }
}
