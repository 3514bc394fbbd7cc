//! Reading what the sandbox must know of a request, in one pass and without a tree.
//!
//! Lenient on purpose: top-level values are found, not validated, so that a 200 KB request costs microseconds.

use memchr::memchr2;

/// The fields of a Messages request that shape the answer.
#[derive(Debug)]
pub(crate) struct MessagesRequest<'a> {
    /// The model asked for, as the inside of a JSON string: escapes are kept.
    pub(crate) model: &'a str,
    pub(crate) stream: bool,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) thinking: bool,
    pub(crate) has_tools: bool,
    /// The raw value of `messages`, empty where there is none.
    pub(crate) messages: &'a [u8],
    /// Length of the values that a provider would count as input.
    content_bytes: usize,
}

impl MessagesRequest<'_> {
    /// A stable estimate: the same prompt counts the same whatever the other fields say.
    pub(crate) fn input_tokens(&self) -> u64 {
        u64::try_from(self.content_bytes / 4).unwrap_or(u64::MAX).max(1)
    }
}

/// Reads `body`, or says in the provider's words what is wrong with it.
pub(crate) fn parse(body: &[u8]) -> Result<MessagesRequest<'_>, &'static str> {
    let mut request = MessagesRequest {
        model: "",
        stream: false,
        max_tokens: None,
        thinking: false,
        has_tools: false,
        messages: &[],
        content_bytes: 0,
    };
    let mut model = None;
    let mut cursor = Cursor { rest: body };
    cursor
        .object(|name, value| {
            match name {
                b"model" => model = Some(value),
                b"stream" => request.stream = value == b"true",
                b"max_tokens" => request.max_tokens = number(value),
                b"thinking" => request.thinking = asks_for_thinking(value),
                b"tools" => request.has_tools = value.len() > 2 && value.starts_with(b"["),
                b"messages" => request.messages = value,
                _ => {}
            }
            if matches!(name, b"messages" | b"system" | b"tools") {
                request.content_bytes += value.len();
            }
        })
        .ok_or("The request body is not valid JSON.")?;
    let model = model.ok_or("model: Field required")?;
    let inside = model.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
    request.model = inside
        .and_then(|text| str::from_utf8(text).ok())
        .ok_or("model: Input should be a valid string")?;
    Ok(request)
}

fn number(value: &[u8]) -> Option<u64> {
    str::from_utf8(value).ok()?.parse().ok()
}

fn asks_for_thinking(value: &[u8]) -> bool {
    value.starts_with(b"{") && memchr::memmem::find(value, b"\"disabled\"").is_none()
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Calls `visit` with every name (escapes kept) and raw value of the one object that the input must be.
    fn object(&mut self, mut visit: impl FnMut(&'a [u8], &'a [u8])) -> Option<()> {
        self.expect(b'{')?;
        if self.expect(b'}').is_none() {
            loop {
                self.skip_space();
                let name = self.string()?;
                self.expect(b':')?;
                self.skip_space();
                visit(name.get(1..name.len() - 1)?, self.value()?);
                if self.expect(b',').is_none() {
                    break;
                }
            }
            self.expect(b'}')?;
        }
        self.skip_space();
        self.rest.is_empty().then_some(())
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.skip_space();
        self.rest = self.rest.strip_prefix(&[byte])?;
        Some(())
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    /// A string with its quotes.
    fn string(&mut self) -> Option<&'a [u8]> {
        let length = string_length(self.rest)?;
        self.take(length)
    }

    fn value(&mut self) -> Option<&'a [u8]> {
        let length = match self.rest.first()? {
            b'"' => string_length(self.rest)?,
            b'{' | b'[' => nested_length(self.rest)?,
            _ => self.rest.iter().position(|byte| {
                matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n')
            })?,
        };
        if length == 0 {
            return None;
        }
        self.take(length)
    }
}

/// Length of the string at the start of `text`, quotes included.
fn string_length(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Length of the object or array at the start of `text`.
fn nested_length(text: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => {
                at += string_length(text.get(at..)?)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_in_any_shape_a_client_may_send() {
        let cases = [
            (
                "model first",
                r#"{"model":"m","stream":true,"max_tokens":5,"messages":[]}"#,
                ("m", true, Some(5)),
            ),
            (
                "model last, spaces",
                "{ \"messages\" : [ ] ,\n \"stream\" : false , \"model\" : \"m\" } ",
                ("m", false, None),
            ),
            ("stream absent", r#"{"model":"m"}"#, ("m", false, None)),
            (
                "a nested model and stream do not count",
                r#"{"messages":[{"content":"{\"stream\":true}","model":"x","stream":true}],"model":"m"}"#,
                ("m", false, None),
            ),
            (
                "brackets and escapes in strings",
                r#"{"system":"]}\\\"}","model":"m","stream":true}"#,
                ("m", true, None),
            ),
            ("an escaped model stays escaped", r#"{"model":"a\"b"}"#, ("a\\\"b", false, None)),
            ("the last of two wins", r#"{"model":"a","model":"b"}"#, ("b", false, None)),
        ];
        for (name, body, expected) in cases {
            let request =
                parse(body.as_bytes()).unwrap_or_else(|problem| panic!("{name}: {problem}"));
            assert_eq!((request.model, request.stream, request.max_tokens), expected, "{name}");
        }
    }

    #[test]
    fn thinking_and_tools_are_noticed() {
        let cases = [
            (
                "enabled",
                r#"{"model":"m","thinking":{"type":"enabled","budget_tokens":1024}}"#,
                (true, false),
            ),
            (
                "adaptive",
                r#"{"model":"m","thinking":{"type":"adaptive"},"tools":[{"name":"a"}]}"#,
                (true, true),
            ),
            (
                "disabled, empty tools",
                r#"{"model":"m","thinking":{"type": "disabled"},"tools":[]}"#,
                (false, false),
            ),
            ("null", r#"{"model":"m","thinking":null,"tools":null}"#, (false, false)),
        ];
        for (name, body, expected) in cases {
            let request = parse(body.as_bytes()).unwrap();
            assert_eq!((request.thinking, request.has_tools), expected, "{name}");
        }
    }

    #[test]
    fn a_broken_request_is_refused_in_the_providers_words() {
        let invalid = "The request body is not valid JSON.";
        let cases = [
            ("empty", "", invalid),
            ("no object", "[]", invalid),
            ("cut in a string", r#"{"model":"m"#, invalid),
            ("cut in an array", r#"{"model":"m","messages":[{"#, invalid),
            ("no colon", r#"{"model" "m"}"#, invalid),
            ("no value", r#"{"model":}"#, invalid),
            ("trailing text", r#"{"model":"m"}x"#, invalid),
            ("cut after an escape", r#"{"model":"m\"#, invalid),
            ("no model", r#"{"messages":[]}"#, "model: Field required"),
            ("empty object", "{}", "model: Field required"),
            ("model is a number", r#"{"model":5}"#, "model: Input should be a valid string"),
        ];
        for (name, body, expected) in cases {
            assert_eq!(parse(body.as_bytes()).err(), Some(expected), "{name}");
        }
    }

    #[test]
    fn the_input_estimate_ignores_what_is_no_input() {
        let streamed = parse(br#"{"model":"m","stream":true,"messages":[{"role":"user"}]}"#)
            .unwrap()
            .input_tokens();
        let whole = parse(br#"{"model":"longer-name","messages":[{"role":"user"}]}"#)
            .unwrap()
            .input_tokens();
        assert_eq!(streamed, whole);
        assert_eq!(streamed, 4);
    }
}
