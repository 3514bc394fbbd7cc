//! What a body asks for and does not hold: content by reference, and what the provider's own tools bring.
//!
//! Read from the bytes without a parser: a quote inside of a text is escaped, so that what looks like a name
//! and its value is one. What looks like it and is none (a tool's own schema that has a constant of the same
//! text) makes the worst case larger, never smaller.

use memchr::memmem;

/// Searches of a tool that sets itself no limit: more than the provider's turns make.
const MOST_SEARCHES: u64 = 100;

/// What is not in the body, by Anthropic's Messages API.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Hidden {
    /// Content by address or by a file's id.
    pub(super) content: bool,
    /// Tools that the provider runs itself: what they find is input of further calls of the model.
    pub(super) provider_tools: bool,
    /// How many web searches it allows.
    pub(super) web_searches: u64,
}

impl Hidden {
    /// What a body may ask for that says anything.
    pub(super) const ANYTHING: Self =
        Self { content: true, provider_tools: true, web_searches: MOST_SEARCHES };

    /// What `body` asks for.
    pub(super) fn of(body: &[u8]) -> Self {
        let searches = memmem::find_iter(body, b"\"web_search_2").filter(|at| is_value(body, *at));
        let searches = searches.count();
        let other_tools = [&b"\"web_fetch_2"[..], b"\"code_execution_2", b"\"mcp_toolset\""];
        let has_tool = |tool| memmem::find_iter(body, tool).any(|at| is_value(body, at));
        let has_servers = memmem::find(body, b"\"mcp_servers\"").is_some();
        let web_searches = match (searches, limits(body)) {
            (0, _) => 0,
            // A limit for each tool of the provider's.
            (searches, (count, sum)) if searches <= count => sum,
            _ => MOST_SEARCHES,
        };
        Self {
            content: memmem::find_iter(body, b"\"url\"").any(|at| is_value(body, at))
                || values(body, b"\"file_id\"").any(|value| value.starts_with(b"\"")),
            provider_tools: searches > 0 || has_servers || other_tools.into_iter().any(has_tool),
            web_searches,
        }
    }
}

/// How many tools limit how often they may be used, and to how much together.
fn limits(body: &[u8]) -> (usize, u64) {
    let limits = values(body, b"\"max_uses\"").filter_map(|value| {
        let digits = value.iter().take_while(|byte| byte.is_ascii_digit());
        let number =
            |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
        value.first().filter(|byte| byte.is_ascii_digit()).map(|_| digits.fold(0, number))
    });
    limits.fold((0, 0), |(count, sum): (usize, u64), limit| (count + 1, sum.saturating_add(limit)))
}

/// What stands behind each occurrence of a name and its colon.
fn values<'a>(body: &'a [u8], name: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
    memmem::find_iter(body, name).filter_map(move |at| {
        let behind = body.get(at + name.len()..)?.trim_ascii_start();
        Some(behind.strip_prefix(b":")?.trim_ascii_start())
    })
}

/// Whether what begins at `at` is the value of a name.
fn is_value(body: &[u8], at: usize) -> bool {
    body.get(..at).is_some_and(|before| before.trim_ascii_end().ends_with(b":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Hidden = Hidden { content: false, provider_tools: false, web_searches: 0 };

    #[test]
    fn content_by_reference_is_seen_and_a_schema_is_not() {
        for body in [
            r#"{"source":{"type":"url","url":"https://example.com/a.pdf"}}"#,
            r#"{"source":{"type" : "url"}}"#,
            r#"{"source":{"type":"file","file_id":"file_1"}}"#,
            r#"{"type":"container_upload","file_id" : "file_1"}"#,
        ] {
            let content = Hidden { content: true, ..NOTHING };
            assert_eq!(Hidden::of(body.as_bytes()), content, "{body}");
        }
        for body in [
            r#"{"properties":{"url":{"type":"string"},"file_id":{"type":"string"}},"required":["url"]}"#,
            r#"{"text":"a \"source\":{\"type\":\"url\"} and \"file_id\":\"f\" in a text"}"#,
            r#"{"source":{"type":"base64","data":"AAAA"}}"#,
        ] {
            assert_eq!(Hidden::of(body.as_bytes()), NOTHING, "{body}");
        }
    }

    #[test]
    fn tools_of_the_provider_are_seen_with_the_searches_that_they_allow() {
        for (body, provider_tools, web_searches) in [
            (r#"{"type":"web_search_20250305","max_uses":3}"#, true, 3),
            (r#"{"type": "web_search_20250305", "max_uses": 12}"#, true, 12),
            (r#"{"type":"web_search_20250305"}"#, true, MOST_SEARCHES),
            (r#"{"type":"web_search_20250305","max_uses":null}"#, true, MOST_SEARCHES),
            (r#"{"type":"web_fetch_20250910","max_uses":2}"#, true, 0),
            (r#"{"type":"code_execution_20250825"}"#, true, 0),
            (r#"{"mcp_servers":[]}"#, true, 0),
            (r#"{"type":"web_search_tool_result"}"#, false, 0),
            (r#"{"name":"web_search","input_schema":{}}"#, false, 0),
            (r#"{"text":"\"type\":\"web_search_20250305\""}"#, false, 0),
        ] {
            let expected = Hidden { provider_tools, web_searches, ..NOTHING };
            assert_eq!(Hidden::of(body.as_bytes()), expected, "{body}");
        }
    }
}
