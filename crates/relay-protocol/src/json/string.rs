//! JSON string literals: reading the few that matter, writing our own.

use std::borrow::Cow;

/// The text of a string literal, given with its quotes. `None`: a bad escape, a control character,
/// or bytes that are not UTF-8.
pub(crate) fn unescape(literal: &[u8]) -> Option<Cow<'_, str>> {
    if memchr::memchr(b'\\', literal).is_some() {
        return serde_json::from_slice(literal).ok().map(Cow::Owned);
    }
    let inner = literal.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if inner.iter().any(|byte| *byte < b' ') {
        return None;
    }
    std::str::from_utf8(inner).ok().map(Cow::Borrowed)
}

/// Appends `text` as a string literal, quotes included.
pub(crate) fn push_quoted(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
            0x20.. => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_read_as_serde_json_reads_them() {
        let cases: [(&[u8], Option<&str>); 9] = [
            (br#""plain""#, Some("plain")),
            (br#""""#, Some("")),
            ("\"雪 🦀\"".as_bytes(), Some("雪 🦀")),
            (br#""mod\u0065l\n\"\\""#, Some("model\n\"\\")),
            (br#""\ud83e\udd80""#, Some("🦀")),
            (br#""\ud83e""#, None),
            (br#""\x""#, None),
            (b"\"tab\t\"", None),
            (b"\"\xff\"", None),
        ];
        for (literal, expected) in cases {
            let name = String::from_utf8_lossy(literal);
            assert_eq!(unescape(literal).as_deref(), expected, "{name}");
            assert_eq!(serde_json::from_slice::<String>(literal).ok().as_deref(), expected);
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let text: String = (0..0x180).filter_map(char::from_u32).chain("雪🦀".chars()).collect();
        let mut literal = Vec::new();
        push_quoted(&mut literal, &text);
        assert_eq!(serde_json::from_slice::<String>(&literal).unwrap(), text);
    }
}
