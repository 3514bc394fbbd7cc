//! The content of an answer: its blocks, as stream frames and as JSON, made once and sent many times.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

use bytes::Bytes;

use crate::envelope::quoted;
use crate::script::ToolCall;

/// What the default answer says. It holds characters of one to four bytes on purpose.
pub(crate) const DEFAULT_TEXT: &str = "Hello from the sandbox. Everything between you and this sentence works: \
    the key was accepted, an account was chosen, and the answer is streaming. 你好，世界！日本語もそのまま届きます。 \
    Accents (café, naïve), symbols (€, →) and emoji (🚀, 👩‍💻, 🇪🇺) arrive byte for byte.";

/// What the default thinking block says.
pub(crate) const DEFAULT_THINKING: &str =
    "The user wants to see a streamed answer. A short greeting will do. 簡潔に。";

/// Stands for the provider's signature over the thinking block.
const SIGNATURE: &str = "c2FuZGJveC1zaWduYXR1cmU=";

/// Characters of text in one delta where the script names no number of deltas. The default answer then fits into one
/// write of hyper, which takes 16 pieces at most.
const DELTA_CHARACTERS: usize = 40;

/// What an answer is made of.
#[derive(Debug, Default)]
pub(crate) struct Content<'a> {
    pub(crate) thinking: Option<&'a str>,
    pub(crate) text: Cow<'a, str>,
    /// How many text deltas; `None` leaves it to the length of the text.
    pub(crate) deltas: Option<usize>,
    /// A call and the id it gets.
    pub(crate) tool: Option<(&'a ToolCall, String)>,
    /// The most output tokens that the client accepts.
    pub(crate) max_tokens: Option<u64>,
}

/// An answer without its envelope: no message id, model or input usage.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The content events of a stream, one an entry.
    pub(crate) frames: Vec<Bytes>,
    /// The `content` array of a message that is not streamed.
    pub(crate) blocks: String,
    pub(crate) output_tokens: u64,
    pub(crate) stop_reason: &'static str,
}

impl Answer {
    /// Renders `content` in both forms.
    pub(crate) fn new(content: Content<'_>) -> Self {
        let content = content.stretched();
        let input =
            content.tool.as_ref().map(|(tool, _)| tool.input.to_string()).unwrap_or_default();
        let wanted_tokens = tokens([content.thinking.unwrap_or_default(), &content.text, &input]);
        let (content, output_tokens, stop_reason) = match content.max_tokens {
            Some(max_tokens) if max_tokens < wanted_tokens => {
                (content.cut_to(max_tokens), max_tokens, "max_tokens")
            }
            _ if content.tool.is_some() => (content, wanted_tokens, "tool_use"),
            _ => (content, wanted_tokens, "end_turn"),
        };
        let mut blocks = Blocks::default();
        if let Some(thinking) = content.thinking {
            blocks.thinking(thinking);
        }
        blocks.text(&content.text, content.deltas);
        if let Some((tool, id)) = &content.tool {
            blocks.tool(tool, id, &input);
        }
        let (frames, blocks) = blocks.finish();
        Self { frames, blocks, output_tokens, stop_reason }
    }
}

impl Content<'_> {
    /// Repeats the text until it can be split into the deltas asked for.
    fn stretched(mut self) -> Self {
        let characters = self.text.chars().count().max(1);
        let wanted = self.deltas.unwrap_or(0);
        if characters < wanted {
            let unit = if self.text.is_empty() { "." } else { &self.text };
            self.text = unit.repeat(wanted.div_ceil(characters)).into();
        }
        self
    }

    /// Stops in mid-text, as the provider does; a tool call after it is never reached.
    fn cut_to(mut self, max_tokens: u64) -> Self {
        let bytes = usize::try_from(max_tokens.saturating_mul(4)).unwrap_or(usize::MAX);
        let left = bytes.saturating_sub(self.thinking.map_or(0, str::len));
        let end = self
            .text
            .char_indices()
            .map(|(at, c)| at + c.len_utf8())
            .take_while(|end| *end <= left)
            .last();
        let end = end.or_else(|| self.text.chars().next().map(char::len_utf8)).unwrap_or(0);
        self.text = self.text[..end].to_owned().into();
        self.tool = None;
        self
    }
}

/// A stable estimate of four bytes a token.
fn tokens(parts: [&str; 3]) -> u64 {
    let bytes: usize = parts.iter().map(|part| part.len()).sum();
    u64::try_from(bytes.div_ceil(4)).unwrap_or(u64::MAX).max(1)
}

/// Collects blocks in both forms at once, so that they cannot disagree.
#[derive(Default)]
struct Blocks {
    stream: String,
    frames: Vec<Range<usize>>,
    json: Vec<String>,
}

impl Blocks {
    fn thinking(&mut self, text: &str) {
        self.start(r#"{"type":"thinking","thinking":"","signature":""}"#);
        for piece in split(text, None) {
            self.delta(&format!(r#"{{"type":"thinking_delta","thinking":{}}}"#, quoted(piece)));
        }
        self.delta(&format!(r#"{{"type":"signature_delta","signature":"{SIGNATURE}"}}"#));
        self.stop(format!(
            r#"{{"type":"thinking","thinking":{},"signature":"{SIGNATURE}"}}"#,
            quoted(text)
        ));
    }

    fn text(&mut self, text: &str, deltas: Option<usize>) {
        self.start(r#"{"type":"text","text":""}"#);
        for piece in split(text, deltas) {
            self.delta(&format!(r#"{{"type":"text_delta","text":{}}}"#, quoted(piece)));
        }
        self.stop(format!(r#"{{"type":"text","text":{}}}"#, quoted(text)));
    }

    fn tool(&mut self, tool: &ToolCall, id: &str, input: &str) {
        let name = quoted(&tool.name);
        self.start(&format!(r#"{{"type":"tool_use","id":"{id}","name":{name},"input":{{}}}}"#));
        // The provider begins every call with an empty piece.
        for piece in std::iter::once("").chain(split(input, None)) {
            self.delta(&format!(
                r#"{{"type":"input_json_delta","partial_json":{}}}"#,
                quoted(piece)
            ));
        }
        self.stop(format!(r#"{{"type":"tool_use","id":"{id}","name":{name},"input":{input}}}"#));
    }

    fn finish(self) -> (Vec<Bytes>, String) {
        let stream = Bytes::from(self.stream);
        let frames = self.frames.into_iter().map(|range| stream.slice(range)).collect();
        (frames, format!("[{}]", self.json.join(",")))
    }

    fn start(&mut self, block: &str) {
        let index = self.json.len();
        let data =
            format!(r#"{{"type":"content_block_start","index":{index},"content_block":{block}}}"#);
        self.frame("content_block_start", &data);
        if index == 0 {
            self.frame("ping", r#"{"type":"ping"}"#);
        }
    }

    fn delta(&mut self, delta: &str) {
        let index = self.json.len();
        let data = format!(r#"{{"type":"content_block_delta","index":{index},"delta":{delta}}}"#);
        self.frame("content_block_delta", &data);
    }

    fn stop(&mut self, block: String) {
        let data = format!(r#"{{"type":"content_block_stop","index":{}}}"#, self.json.len());
        self.frame("content_block_stop", &data);
        self.json.push(block);
    }

    fn frame(&mut self, event: &str, data: &str) {
        let begin = self.stream.len();
        write!(self.stream, "event: {event}\ndata: {data}\n\n").ok(); // Writing to a string cannot fail.
        self.frames.push(begin..self.stream.len());
    }
}

/// Splits `text` between characters into `pieces` of nearly equal length, or into pieces of the usual length.
fn split(text: &str, pieces: Option<usize>) -> impl Iterator<Item = &str> {
    let characters = text.chars().count();
    let pieces = pieces.unwrap_or_else(|| characters.div_ceil(DELTA_CHARACTERS)).min(characters);
    let mut rest = text;
    let mut taken = 0;
    (1..=pieces).map(move |piece| {
        let target = characters * piece / pieces;
        let length = rest.char_indices().nth(target - taken).map_or(rest.len(), |(at, _)| at);
        taken = target;
        let (head, tail) = rest.split_at(length);
        rest = tail;
        head
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_split_into_exactly_the_pieces_asked_for() {
        let cases = [
            ("as many as characters", "你好🚀", Some(3), vec!["你", "好", "🚀"]),
            ("uneven", "abcde", Some(2), vec!["ab", "cde"]),
            ("one", "abc", Some(1), vec!["abc"]),
            ("none", "abc", Some(0), vec![]),
            ("empty text", "", None, vec![]),
            (
                "usual length",
                "0123456789012345678901234567890123456789x",
                None,
                vec!["01234567890123456789", "01234567890123456789x"],
            ),
        ];
        for (name, text, pieces, expected) in cases {
            assert_eq!(split(text, pieces).collect::<Vec<_>>(), expected, "{name}");
        }
    }

    #[test]
    fn a_short_text_is_repeated_until_it_fills_its_deltas() {
        let answer =
            Answer::new(Content { text: "ab".into(), deltas: Some(5), ..Content::default() });
        let deltas = answer
            .frames
            .iter()
            .filter(|frame| frame.starts_with(b"event: content_block_delta"))
            .count();
        assert_eq!(deltas, 5);
        assert_eq!(answer.blocks, r#"[{"type":"text","text":"ababab"}]"#);
    }

    #[test]
    fn max_tokens_cuts_between_characters_and_says_so() {
        let cases = [
            ("enough", Some(100), "你好世界", "end_turn", 3),
            ("exactly enough", Some(3), "你好世界", "end_turn", 3),
            ("two tokens hold two characters", Some(2), "你好", "max_tokens", 2),
            ("one token holds one", Some(1), "你", "max_tokens", 1),
            ("no limit", None, "你好世界", "end_turn", 3),
        ];
        for (name, max_tokens, text, reason, output) in cases {
            let answer =
                Answer::new(Content {
                    text: "你好世界".into(), max_tokens, ..Content::default()
                });
            assert_eq!(answer.blocks, format!(r#"[{{"type":"text","text":"{text}"}}]"#), "{name}");
            assert_eq!((answer.stop_reason, answer.output_tokens), (reason, output), "{name}");
        }
    }
}
