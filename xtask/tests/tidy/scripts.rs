//! Rules for Redis scripts: the header is the only type signature that a script has.

/// What breaks the rules in one `.lua` file.
pub(crate) fn violations(path: &str, text: &str) -> Vec<String> {
    let header: Vec<&str> = text.lines().take_while(|line| line.starts_with("--")).collect();
    let header = header.join("\n");
    ["KEYS", "ARGV", "Returns"]
        .iter()
        .filter(|word| !header.contains(**word))
        .map(|word| format!("{path}: the header does not say `{word}`"))
        .collect()
}

#[test]
fn a_script_without_a_whole_header_is_found() {
    let whole =
        "-- Takes a slot.\n-- KEYS[1] zset. ARGV: lease id.\n-- Returns 1 or 0.\nreturn 1\n";
    assert_eq!(violations("a.lua", whole), Vec::<String>::new());
    let cases = [
        ("no header", "return KEYS[1] .. ARGV[1] -- Returns a name", 3),
        ("no return value", "-- KEYS[1] zset. ARGV: none.\nreturn 1", 1),
        ("no arguments", "-- KEYS[1] zset.\n-- Returns 1.\nreturn 1", 1),
        ("said too late", "-- KEYS[1], ARGV: none.\nlocal a = 1\n-- Returns 1.\nreturn a", 1),
    ];
    for (name, text, expected) in cases {
        assert_eq!(violations("a.lua", text).len(), expected, "{name}");
    }
}
