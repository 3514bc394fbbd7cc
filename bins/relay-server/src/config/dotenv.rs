//! `.env`, read by the rules of the dotenv package that v1 and v2 use: the same file means the same.
//!
//! A line is `NAME=value`, with or without `export`. A value without quotes ends at a `#` or with its line;
//! in quotes it may hold both, and may go on over lines. In double quotes `\n` and `\r` are line ends.
//! What is none of this is passed over, as there.

/// The variables in `text`, in order; of two with one name the later one holds.
pub(super) fn parse(text: &str) -> Vec<(String, String)> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut variables = Vec::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let line_end = rest.find('\n').map_or(rest.len(), |end| end + 1);
        match assignment(rest) {
            Some((name, value, after)) => {
                variables.push((name.to_owned(), value));
                rest = after;
            }
            None => rest = &rest[line_end..],
        }
    }
    variables
}

/// The assignment that the first line of `text` is or begins; its name, its value and what follows.
fn assignment(text: &str) -> Option<(&str, String, &str)> {
    let line = text.trim_start_matches([' ', '\t']);
    let exported = line.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']));
    let line = exported.map_or(line, |rest| rest.trim_start_matches([' ', '\t']));
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let name_end = line.find(|c| !is_name(c)).unwrap_or(line.len());
    let (name, rest) = line.split_at(name_end);
    if name.is_empty() {
        return None;
    }
    let colon = rest.strip_prefix(':').filter(|rest| rest.starts_with([' ', '\t']));
    let rest = colon.or_else(|| rest.trim_start_matches([' ', '\t']).strip_prefix('='))?;
    let rest = rest.trim_start_matches([' ', '\t']);
    let (value, after) = quoted(rest).unwrap_or_else(|| plain(rest));
    Some((name, value, after))
}

/// A value in quotes that is closed, and then nothing but a comment.
fn quoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
    let inner = &text[1..];
    let mut escaped = false;
    let close = inner.find(|c| {
        let closes = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        closes
    })?;
    let (value, after) = (&inner[..close], &inner[close + 1..]);
    let line_end = after.find('\n').unwrap_or(after.len());
    let behind = after[..line_end].trim();
    if !behind.is_empty() && !behind.starts_with('#') {
        return None;
    }
    let value = match quote {
        '"' => value.replace("\\n", "\n").replace("\\r", "\r"),
        _ => value.to_owned(),
    };
    Some((value, &after[line_end..]))
}

/// A value without quotes, or in quotes that do not close.
fn plain(text: &str) -> (String, &str) {
    let line_end = text.find('\n').unwrap_or(text.len());
    let line = &text[..line_end];
    let value = line.split('#').next().unwrap_or_default().trim();
    let whole = ['"', '\'', '`'].into_iter().find_map(|quote| {
        let inner = value.strip_prefix(quote)?.strip_suffix(quote)?;
        Some(inner)
    });
    (whole.unwrap_or(value).to_owned(), &text[line_end..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value_of(text: &str) -> Option<String> {
        parse(text).into_iter().find(|(name, _)| name == "A").map(|(_, value)| value)
    }

    #[test]
    fn values_are_read_as_dotenv_reads_them() {
        let cases = [
            ("plain", "A=b", Some("b")),
            ("with room", " A = b c \n", Some("b c")),
            ("exported", "export A=b", Some("b")),
            ("a comment", "A=b # c", Some("b")),
            ("a comment without room", "A=b#c", Some("b")),
            ("a comment in quotes", "A=\"b # c\" # d", Some("b # c")),
            ("single quotes", "A='b\\nc'", Some("b\\nc")),
            ("double quotes", "A=\"b\\nc\"", Some("b\nc")),
            ("backticks", "A=`b \"c\" 'd'`", Some("b \"c\" 'd'")),
            ("over lines", "A=\"b\nc\"\nB=d", Some("b\nc")),
            ("empty", "A=\nB=c", Some("")),
            ("empty in quotes", "A=''", Some("")),
            ("with a colon", "A: b", Some("b")),
            ("an equals sign in it", "A=b=c", Some("b=c")),
            ("JSON", "A={\"b\": \"c\"}", Some("{\"b\": \"c\"}")),
            ("unclosed", "A=\"b", Some("\"b")),
            ("a quote inside", "A=it's", Some("it's")),
            ("Windows", "A=b\r\nB=c", Some("b")),
            ("a comment line", "# A=b", None),
            ("no value", "A", None),
            ("no name", "=A", None),
        ];
        for (name, text, expected) in cases {
            assert_eq!(value_of(text).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn later_lines_are_read_too() {
        let read = parse("# all\nA=1\nnonsense\n\nB='2' # two\nexport C=3\nA=4");
        let pairs: Vec<_> = read.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("A", "1"), ("B", "2"), ("C", "3"), ("A", "4")]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(text in "[A-Z=#'\"`\\\\\n\r é:]{0,60}") {
            parse(&text);
        }

        #[test]
        fn a_plain_value_comes_back(value in "[a-zA-Z0-9_/+=.-]{1,40}") {
            prop_assert_eq!(value_of(&format!("A={value}\n")), Some(value));
        }
    }
}
