//! Rules for Rust sources.

use std::path::Path;

/// A file is read whole; above this many production lines it is time to think of two subjects.
const WARN_LINES: usize = 400;
const MAX_LINES: usize = 600;

/// Names that say nothing about what is inside, and `mod.rs`, which hides the name in an editor's tab.
const BANNED_NAMES: &[&str] =
    &["common", "helper", "helpers", "manager", "misc", "mod", "util", "utils"];

/// Texts that must not stand in a source, with what to do instead. Written in two halves, so that this
/// file does not break its own rules.
const BANNED_TEXTS: &[(&str, &str)] = &[
    (concat!("TO", "DO"), "finish it or file an issue"),
    (concat!("FIX", "ME"), "mend it or file an issue"),
    (concat!("todo", "!("), "finish it"),
    (concat!("unimplemented", "!("), "finish it"),
    (concat!("#[ig", "nore"), "a test that does not run rots: make it run or delete it"),
    (concat!("#[al", "low("), "use #[expect(..., reason = \"...\")]"),
    (concat!("#![al", "low("), "use #![expect(..., reason = \"...\")]"),
];

/// What breaks the rules in one file.
pub(crate) fn violations(path: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    // A file of unit tests says what it is for by its name.
    if !text.starts_with("//!") && !is_unit_test_file(path) {
        broken.push(format!("{path}: does not begin with `//!` and what the module is for"));
    }
    for name in module_names(path, text) {
        if BANNED_NAMES.contains(&name.as_str()) {
            broken.push(format!("{path}: `{name}` says nothing; name the module for its subject"));
        }
    }
    for (number, line) in text.lines().enumerate() {
        for (banned, instead) in BANNED_TEXTS {
            if line.contains(banned) {
                broken.push(format!("{path}:{}: `{banned}`: {instead}", number + 1));
            }
        }
    }
    let lines = production_lines(path, text);
    if lines > MAX_LINES {
        broken.push(format!("{path}: {lines} production lines, more than {MAX_LINES}"));
    }
    broken
}

/// A word about a file that grows too long, before it is an error.
pub(crate) fn warning(path: &str, text: &str) -> Option<String> {
    let lines = production_lines(path, text);
    let long = WARN_LINES < lines && lines <= MAX_LINES;
    long.then(|| format!("warning: {path}: {lines} production lines, aim under {WARN_LINES}\n"))
}

/// Every line but those of inline test modules. Files that hold only tests have none.
fn production_lines(path: &str, text: &str) -> usize {
    if is_unit_test_file(path) || path.split('/').any(|part| part == "tests") {
        return 0;
    }
    let lines: Vec<&str> = text.lines().collect();
    let mut count = 0;
    let mut position = 0;
    while let Some(rest) = lines.get(position..).filter(|rest| !rest.is_empty()) {
        if let Some(length) = test_module_length(rest) {
            position += length;
        } else {
            count += 1;
            position += 1;
        }
    }
    count
}

fn is_unit_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.ends_with("_tests.rs")
}

/// How many lines an inline test module takes, if one starts at the first of `lines`. rustfmt puts its
/// closing brace at the start of a line.
fn test_module_length(lines: &[&str]) -> Option<usize> {
    if lines.first() != Some(&"#[cfg(test)]") {
        return None;
    }
    let after_attributes = lines.iter().position(|line| !line.starts_with("#["))?;
    let opens = lines.get(after_attributes)?;
    if !opens.starts_with("mod ") || !opens.ends_with('{') {
        return None;
    }
    let closes = lines.iter().position(|line| *line == "}")?;
    Some(closes + 1)
}

/// The names of the modules that a file is, lies in, or opens.
fn module_names(path: &str, text: &str) -> Vec<String> {
    let mut names: Vec<String> = Path::new(path)
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    for line in text.lines() {
        let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub"));
        if words.next() == Some("mod")
            && let Some(name) = words.next()
        {
            names.push(name.trim_end_matches([';', '{']).to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "//! Says what it is for.\n";

    #[test]
    fn planted_violations_are_found() {
        let cases = [
            ("no module docs", "crates/a/src/b.rs", "use std::fs;\n".to_owned()),
            ("no module docs in a test", "tests/a/tests/b.rs", "use std::fs;\n".to_owned()),
            ("a name that says nothing", "crates/a/src/utils.rs", HEADER.to_owned()),
            ("a folder that says nothing", "crates/a/src/common/b.rs", HEADER.to_owned()),
            ("mod.rs", "crates/a/src/b/mod.rs", HEADER.to_owned()),
            (
                "an inline module",
                "crates/a/src/b.rs",
                format!("{HEADER}pub(crate) mod helpers {{\n}}\n"),
            ),
            (
                "a task left over",
                "crates/a/src/b.rs",
                format!("{HEADER}// {}: later\n", concat!("TO", "DO")),
            ),
            (
                "a hole",
                "crates/a/src/b.rs",
                format!("{HEADER}fn a() {{ {}) }}\n", concat!("todo", "!(")),
            ),
            (
                "a sleeping test",
                "crates/a/src/b.rs",
                format!("{HEADER}{}]\n", concat!("#[ig", "nore")),
            ),
            (
                "a silenced lint",
                "crates/a/src/b.rs",
                format!("{HEADER}{}unused)]\n", concat!("#[al", "low(")),
            ),
            ("too long", "crates/a/src/b.rs", HEADER.to_owned() + &"// x\n".repeat(600)),
        ];
        for (name, path, text) in cases {
            assert_eq!(violations(path, &text).len(), 1, "{name}: {:?}", violations(path, &text));
        }
    }

    #[test]
    fn a_good_file_passes() {
        let text = format!("{HEADER}mod accounts;\n// modules are common, the manager is ours\n");
        assert_eq!(violations("crates/a/src/b.rs", &text), Vec::<String>::new());
        let longest = HEADER.to_owned() + &"// x\n".repeat(599);
        assert_eq!(violations("crates/a/src/b.rs", &longest), Vec::<String>::new());
        assert!(warning("crates/a/src/b.rs", &longest).is_some());
        assert_eq!(warning("crates/a/src/b.rs", &(HEADER.to_owned() + &"\n".repeat(399))), None);
    }

    #[test]
    fn only_production_lines_count() {
        let tests = "#[cfg(test)]\nmod tests {\n    fn a() {\n    }\n}\n";
        let cases = [
            ("an inline test module does not count", format!("a\nb\n{tests}"), 2),
            ("what follows it does", format!("a\n{tests}b\n"), 2),
            (
                "a test module with more attributes",
                "a\n#[cfg(test)]\n#[path = \"\"]\nmod t {\n}\n".to_owned(),
                1,
            ),
            (
                "a declaration is one line like any other",
                "#[cfg(test)]\nmod tests;\na\nb\n".to_owned(),
                4,
            ),
        ];
        for (name, text, expected) in cases {
            assert_eq!(production_lines("crates/a/src/b.rs", &text), expected, "{name}");
        }
        for path in ["crates/a/tests/b.rs", "crates/a/src/b/tests.rs", "crates/a/src/b_tests.rs"] {
            assert_eq!(production_lines(path, &"a\n".repeat(900)), 0, "{path}");
        }
    }
}
