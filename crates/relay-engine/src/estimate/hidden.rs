//! What a body asks for and does not hold: content by reference, and what the provider's own tools bring.
//!
//! Read from the bytes without a parser: a quote inside of a text is escaped, so that what looks like a name
//! and its value is one. What looks like it and is none (a tool's own schema that has a constant of the same
//! text) makes the worst case larger, never smaller.

use memchr::memmem;

/// Searches for one answer: more than the provider's turns make.
const MOST_SEARCHES: u64 = 100;

/// What is not in the body, by Anthropic's Messages API.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Hidden {
    /// Content of which the body's bytes tell nothing: by address, by a file's id, packed into a PDF.
    pub(super) content: bool,
    /// Images in the body, which a few bytes can make large.
    pub(super) images: u64,
    /// Tools that the provider runs itself: what they find is input of further calls of the model.
    pub(super) provider_tools: bool,
    /// How many web searches it allows.
    pub(super) web_searches: u64,
}

impl Hidden {
    /// What a body may ask for that says anything.
    pub(super) const ANYTHING: Self =
        Self { content: true, images: 0, provider_tools: true, web_searches: MOST_SEARCHES };

    /// What `body` asks for.
    pub(super) fn of(body: &[u8]) -> Self {
        let values_of = |text| memmem::find_iter(body, text).filter(|at| is_value(body, *at));
        let has = |text| values_of(text).next().is_some();
        let searches = has(&b"\"web_search_2"[..]);
        let other_tools = [
            &b"\"web_fetch_2"[..],
            b"\"code_execution_2",
            b"\"tool_search_tool_",
            b"\"mcp_toolset\"",
        ];
        let has_servers = memmem::find(body, b"\"mcp_servers\"").is_some();
        let images = values_of(&b"\"image/"[..]).count();
        Self {
            content: has(b"\"url\"")
                || has(b"\"application/pdf\"")
                || values(body, b"\"file_id\"").any(|value| value.starts_with(b"\"")),
            images: u64::try_from(images).unwrap_or(u64::MAX),
            provider_tools: searches || has_servers || other_tools.into_iter().any(has),
            // What limits the tool sets itself does not matter beside the input of its turns.
            web_searches: if searches { MOST_SEARCHES } else { 0 },
        }
    }
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

    const NOTHING: Hidden =
        Hidden { content: false, images: 0, provider_tools: false, web_searches: 0 };

    #[test]
    fn content_by_reference_is_seen_and_a_schema_is_not() {
        for body in [
            r#"{"source":{"type":"url","url":"https://example.com/a.pdf"}}"#,
            r#"{"source":{"type" : "url"}}"#,
            r#"{"source":{"type":"file","file_id":"file_1"}}"#,
            r#"{"type":"container_upload","file_id" : "file_1"}"#,
            r#"{"source":{"type":"base64","media_type":"application/pdf","data":"AA"}}"#,
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
            (r#"{"type": "web_search_20250305", "max_uses": 3}"#, true, MOST_SEARCHES),
            (r#"{"type":"web_search_20250305"}"#, true, MOST_SEARCHES),
            (r#"{"type":"tool_search_tool_regex_20251119"}"#, true, 0),
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

    #[test]
    fn images_are_counted() {
        let image = r#"{"type":"base64","media_type":"image/png","data":"AA"}"#;
        let body = format!("[{image},{image},{{\"text\":\"an image/png\"}}]");
        assert_eq!(Hidden::of(body.as_bytes()), Hidden { images: 2, ..NOTHING });
    }
}
