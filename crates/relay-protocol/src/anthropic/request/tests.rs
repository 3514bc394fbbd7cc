use proptest::prelude::*;
use relay_domain::InvalidId;
use serde_json::Value as Tree;

use super::*;

fn scan(body: &str) -> Result<RequestScan, ScanError> {
    scan_request(body.as_bytes())
}

fn model_name(text: &str) -> ModelName {
    ModelName::try_from(text).unwrap()
}

#[test]
fn a_coding_request_is_read() {
    let body = r#"{"model":"claude-opus-5-5","messages":[{"role":"system","content":"x"},{"content":[{"type":"text","text":"\"role\":\"user\""}],"role":"user"},{"role":"user","content":"last"}],"system":[{"type":"text","text":"You are"}],"tools":[{"name":"Bash","input_schema":{"properties":{"model":{"type":"string"},"stream":{}}}}],"metadata":{"user_id":"{\"device_id\":\"d\",\"account_uuid\":\"\",\"session_id\":\"0f8f-雪\"}"},"max_tokens":128000,"stream":true}"#;
    let found = scan(body).unwrap();
    assert_eq!(found.model, model_name("claude-opus-5-5"));
    assert_eq!(&body[found.model_value.clone()], r#""claude-opus-5-5""#);
    assert!(found.stream && found.has_messages);
    assert_eq!(found.max_tokens, Some(TokenCount::new(128_000)));
    assert_eq!(found.session_id.as_deref(), Some("0f8f-雪"));
    assert_eq!(&body[found.system.unwrap()], r#"[{"type":"text","text":"You are"}]"#);
    let first_user = &body[found.first_user_message.unwrap()];
    assert!(first_user.starts_with(r#"{"content""#) && first_user.ends_with(r#""user"}"#));
}

#[test]
fn a_body_that_cannot_be_relayed_is_refused_with_the_reason() {
    let not_json = |offset, problem| ScanError::NotJson { offset, problem };
    let stream = ScanError::InvalidField { name: "stream", expected: "true or false" };
    let cases = [
        ("nothing", "", not_json(0, "it ends too early")),
        ("white space", " \n", not_json(2, "it ends too early")),
        ("an array", r#"[{"model":"m"}]"#, ScanError::NotAnObject),
        ("a text", r#""model""#, ScanError::NotAnObject),
        ("null", "null", ScanError::NotAnObject),
        ("a word", "model", not_json(0, "expected a value")),
        ("a byte order mark", "\u{feff}{\"model\":\"m\"}", not_json(0, "expected a value")),
        ("no model", "{}", ScanError::MissingModel),
        ("a model further down", r#"{"metadata":{"model":"m"}}"#, ScanError::MissingModel),
        ("a null model", r#"{"model":null}"#, ScanError::ModelNotAString),
        ("a number as model", r#"{"model":7}"#, ScanError::ModelNotAString),
        ("an object as model", r#"{"model":{"model":"m"}}"#, ScanError::ModelNotAString),
        (
            "an empty model",
            r#"{"model":""}"#,
            ScanError::InvalidModel { source: InvalidId::Length { max: 256 } },
        ),
        (
            "a control character in the model",
            r#"{"model":"a\nb"}"#,
            ScanError::InvalidModel { source: InvalidId::Character },
        ),
        (
            "a bad escape in the model",
            r#"{"model":"\q"}"#,
            not_json(9, "the model's name has a bad escape or is not UTF-8"),
        ),
        ("a bad escape in a key", r#"{"\q":1}"#, not_json(1, "a key has a bad escape")),
        ("stream as text", r#"{"model":"m","stream":"true"}"#, stream),
        ("stream as number", r#"{"model":"m","stream":1}"#, stream),
        ("stream as array", r#"{"model":"m","stream":[true]}"#, stream),
        ("the last duplicate is bad", r#"{"model":"m","model":1}"#, ScanError::ModelNotAString),
        ("something behind", r#"{"model":"m"} {}"#, not_json(14, "something follows the object")),
        ("a brace too many", r#"{"model":"m"}}"#, not_json(13, "something follows the object")),
        (
            "a comma at the end",
            r#"{"model":"m",}"#,
            not_json(13, "expected a key in double quotes"),
        ),
        ("two commas", r#"{"model":"m",,"a":1}"#, not_json(13, "expected a key in double quotes")),
        ("no comma", r#"{"model":"m" "a":1}"#, not_json(13, "expected `,` or `}`")),
        ("no colon", r#"{"model" "m"}"#, not_json(9, "expected `:`")),
        ("no value", r#"{"model":}"#, not_json(9, "expected a value")),
        ("a bare key", r"{model:1}", not_json(1, "expected a key in double quotes")),
        ("brackets crossed", r#"{"a":[{]}}"#, not_json(7, "expected a key in double quotes")),
        ("brackets crossed deeper", r#"{"a":[{"b":[}]]}"#, not_json(12, "expected a value")),
        ("an array closed as object", r#"{"a":[1}"#, not_json(7, "expected `,` or `]`")),
        ("an object closed as array", r#"{"a":{"b":1]"#, not_json(11, "expected `,` or `}`")),
        ("a comma at an array's end", r#"{"a":[1,]}"#, not_json(8, "expected a value")),
        ("a misspelt literal", r#"{"a":trve}"#, not_json(5, "expected a value")),
        ("a longer literal", r#"{"a":nullx}"#, not_json(9, "expected `,` or `}`")),
        ("a leading zero", r#"{"a":01}"#, not_json(6, "expected `,` or `}`")),
        ("a lone minus", r#"{"a":-}"#, not_json(6, "expected a value")),
        ("a lone point", r#"{"a":1.}"#, not_json(7, "expected a digit")),
        ("a lone exponent", r#"{"a":1e+}"#, not_json(8, "expected a digit")),
        ("an open string", r#"{"a":"b\"}"#, not_json(5, "a string has no end")),
    ];
    for (name, body, expected) in cases {
        assert_eq!(scan(body), Err(expected), "{name}");
    }
}

#[test]
fn a_refusal_tells_what_to_do() {
    let message = |body| scan(body).unwrap_err().to_string();
    assert!(message("{").contains("at byte 1; send one complete JSON object"));
    assert!(message("[]").contains(r#"{"model": …, "messages": […]}"#));
    assert_eq!(
        message(r#"{"model":"m","stream":1}"#),
        "stream: must be true or false; correct it or leave it out"
    );
}

#[test]
fn fields_are_read_however_they_are_written() {
    let default = || scan(r#"{"model":"m"}"#).unwrap();
    let max_tokens = RequestScan { max_tokens: Some(TokenCount::new(u64::MAX)), ..default() };
    let streamed = || RequestScan { stream: true, ..default() };
    let messages = RequestScan { has_messages: true, ..default() };
    let cases = [
        ("a null stream", r#""stream":null"#, default()),
        ("no stream", r#""stream":false"#, default()),
        ("an escaped key", r#""str\u0065am":true"#, streamed()),
        ("the last stream", r#""stream":"x","stream":false,"\u0073tream":true"#, streamed()),
        ("max_tokens", r#""max_tokens": 18446744073709551615 "#, max_tokens),
        ("max_tokens too large", r#""max_tokens":18446744073709551616"#, default()),
        ("negative max_tokens", r#""max_tokens":-1"#, default()),
        ("broken max_tokens", r#""max_tokens":1.5"#, default()),
        ("max_tokens as power", r#""max_tokens":1e2"#, default()),
        ("max_tokens as text", r#""max_tokens":"1""#, default()),
        ("the last max_tokens", r#""max_tokens":1,"max_tokens":null"#, default()),
        ("a null system", r#""system":[],"system":null"#, default()),
        ("messages as text", r#""messages":"hi""#, default()),
        ("no messages", r#""messages":[]"#, default()),
        ("the last messages", r#""messages":[{"role":"user"}],"messages":[]"#, default()),
        ("messages that are none", r#""messages":[1,null,"user",["role","user"]]"#, messages),
    ];
    for (name, fields, expected) in cases {
        assert_eq!(scan(&format!(r#"{{"model":"m",{fields}}}"#)), Ok(expected), "{name}");
    }
}

#[test]
fn the_session_is_found_in_both_forms_of_the_user_id() {
    let cases = [
        ("JSON", r#"{"user_id":"{\"device_id\":\"d\",\"session_id\":\"s\"}"}"#, Some("s")),
        ("JSON without session", r#"{"user_id":"{\"device_id\":\"d\"}"}"#, None),
        ("JSON with an empty session", r#"{"user_id":"{\"session_id\":\" \"}"}"#, None),
        ("JSON with a session that is no text", r#"{"user_id":"{\"session_id\":7}"}"#, None),
        ("broken JSON", r#"{"user_id":"{\"session_id\":\"s\""}"#, None),
        ("the old form", r#"{"user_id":"user_ab12_account_9f-x_session_0f8f"}"#, Some("0f8f")),
        ("the old form, no account", r#"{"user_id":"user_ab_account__session_c"}"#, Some("c")),
        ("the old form, no session", r#"{"user_id":"user_ab_account__session_"}"#, None),
        ("a form of one's own", r#"{"user_id":"alice_session_1"}"#, None),
        ("nearly the old form", r#"{"user_id":"alice_account_1_session_2"}"#, None),
        ("no text", r#"{"user_id":["user_ab_account__session_c"]}"#, None),
        ("null", r#"{"user_id":null}"#, None),
        ("the last user id", r#"{"user_id":1,"user_id":"user_a_account__session_c"}"#, Some("c")),
        ("no metadata", "null", None),
        ("the last metadata", r#"{"user_id":"user_a_account__session_c"},"metadata":{}"#, None),
    ];
    for (name, metadata, expected) in cases {
        let found = scan(&format!(r#"{{"metadata":{metadata},"model":"m"}}"#)).unwrap();
        assert_eq!(found.session_id.as_deref(), expected, "{name}");
    }
}

#[test]
fn only_the_models_value_is_replaced() {
    let cases = [
        ("plain", r#"{"model":"a","x":"a"}"#, "b", r#"{"model":"b","x":"a"}"#),
        (
            "spaced",
            "{ \"model\" :\n \"a\" , \"n\": 1.0e0 }",
            "longer",
            "{ \"model\" :\n \"longer\" , \"n\": 1.0e0 }",
        ),
        ("escaped", r#"{"mod\u0065l":"\u0061"}"#, "b", r#"{"mod\u0065l":"b"}"#),
        ("to be escaped", r#"{"model":"a"}"#, r#"q"\雪"#, r#"{"model":"q\"\\雪"}"#),
        ("twice", r#"{"model":"a","model":"b"}"#, "c", r#"{"model":"a","model":"c"}"#),
    ];
    for (name, body, to, expected) in cases {
        let spliced = splice_model(body.as_bytes(), &scan(body).unwrap(), &model_name(to));
        assert_eq!(String::from_utf8(spliced).unwrap(), expected, "{name}");
    }
}

#[test]
fn any_depth_is_walked() {
    // Across the 64 levels that one word holds, and far deeper than a recursion could go.
    for depth in (1..200).chain([100_000]) {
        let mut deep = r#"[{"a":"#.repeat(depth);
        deep.push_str("[]");
        deep.push_str(&"}]".repeat(depth));
        assert!(scan(&format!(r#"{{"x":{deep},"model":"m"}}"#)).is_ok(), "{depth}");
        let crossed = deep.replacen("}]", "]}", 1);
        assert!(scan(&format!(r#"{{"x":{crossed},"model":"m"}}"#)).is_err(), "{depth}");
        let outermost = format!("{}}}", &deep[..deep.len() - 1]);
        assert!(scan(&format!(r#"{{"x":{outermost},"model":"m"}}"#)).is_err(), "{depth}");
    }
    assert!(scan(&"[".repeat(1 << 20)).is_err());
}

#[test]
fn a_body_of_64_mib_is_read() {
    let mut body = br#"{"messages":[{"role":"user","content":""#.to_vec();
    body.resize(64 << 20, b'x');
    body.extend_from_slice(br#"\\\""}],"model":"m","stream":true}"#);
    let found = scan_request(&body).unwrap();
    assert!(found.stream);
    assert_eq!(found.first_user_message, Some(13..body.len() - 28));
    let open = body.len() - 1;
    assert!(scan_request(&body[..open]).is_err());
}

/// JSON as it may be written, not as it is meant: keys may repeat, numbers are text.
#[derive(Clone, Debug)]
enum Json {
    Word(&'static str),
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Writes it with white space and escapes chosen by `style`.
    fn write(&self, out: &mut String, style: &mut Style) {
        style.space(out);
        match self {
            Self::Word(word) => out.push_str(word),
            Self::Number(number) => out.push_str(number),
            Self::Text(text) => style.text(out, text),
            Self::Array(elements) => {
                out.push('[');
                for (index, element) in elements.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    element.write(out, style);
                }
                style.space(out);
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    style.space(out);
                    style.text(out, key);
                    style.space(out);
                    out.push(':');
                    value.write(out, style);
                }
                style.space(out);
                out.push('}');
            }
        }
        style.space(out);
    }
}

struct Style(u64);

impl Style {
    fn one_in(&mut self, odds: u64) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.is_multiple_of(odds)
    }

    fn space(&mut self, out: &mut String) {
        for space in [' ', '\n', '\t', '\r'] {
            if self.one_in(9) {
                out.push(space);
            }
        }
    }

    fn text(&mut self, out: &mut String, text: &str) {
        out.push('"');
        for c in text.chars() {
            match c {
                _ if c < ' ' || self.one_in(8) => {
                    let units = &mut [0; 2];
                    let units = c.encode_utf16(units).iter();
                    out.extend(units.map(|unit| format!("\\u{unit:04x}")));
                }
                '"' | '\\' => out.extend(['\\', c]),
                _ => out.push(c),
            }
        }
        out.push('"');
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        r#"[\\"{}\[\]:,a]{0,8}"#,
        any::<String>(),
        Just("user".to_owned()),
        Just("user_ab_account__session_s1".to_owned()),
        Just(r#"{"session_id":"s2","device_id":"d"}"#.to_owned()),
    ]
}

fn key() -> impl Strategy<Value = String> {
    let known =
        vec!["model", "stream", "max_tokens", "metadata", "user_id", "system", "messages", "role"];
    prop_oneof![4 => proptest::sample::select(known).prop_map(str::to_owned), 1 => text()]
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        proptest::sample::select(vec!["null", "true", "false"]).prop_map(Json::Word),
        proptest::sample::select(vec![
            "0", "-0", "1", "1024", "-5", "1.5", "1e2", "2E-3", "-0.0e+1"
        ])
        .prop_map(|number| Json::Number(number.into())),
        any::<u64>().prop_map(|number| Json::Number(number.to_string())),
        text().prop_map(Json::Text),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Json::Array),
            proptest::collection::vec((key(), inner), 0..5).prop_map(Json::Object),
        ]
    })
}

fn message() -> impl Strategy<Value = Json> {
    (proptest::sample::select(vec!["user", "assistant", "system"]), json()).prop_map(
        |(role, content)| {
            Json::Object(vec![
                ("role".into(), Json::Text(role.into())),
                ("content".into(), content),
            ])
        },
    )
}

prop_compose! {
    /// Requests of which most have sensible fields, in any order, some of them twice.
    fn request()(
        members in proptest::collection::vec((key(), json()), 0..6),
        model in text(),
        user_id in text(),
        messages in proptest::collection::vec(prop_oneof![message(), json()], 0..4),
        stream in proptest::sample::select(vec!["true", "false", "null"]),
        order in any::<u64>(),
        style in 1..u64::MAX,
    ) -> String {
        let mut members = members;
        for (place, member) in [
            ("model".to_owned(), Json::Text(model)),
            ("stream".to_owned(), Json::Word(stream)),
            ("metadata".to_owned(), Json::Object(vec![("user_id".to_owned(), Json::Text(user_id))])),
            ("messages".to_owned(), Json::Array(messages)),
        ].into_iter().enumerate() {
            let at = usize::try_from((order >> (place * 8)) & 255).unwrap() % (members.len() + 1);
            members.insert(at, member);
        }
        let mut body = String::new();
        Json::Object(members).write(&mut body, &mut Style(style));
        body
    }
}

type Facts = (ModelName, bool, Option<u64>, Option<String>, bool);

/// What the scan must say, worked out from a tree.
fn by_tree(tree: &Tree) -> Option<Facts> {
    let model = ModelName::try_from(tree.get("model")?.as_str()?).ok()?;
    let stream = match tree.get("stream") {
        None | Some(Tree::Null) => false,
        Some(value) => value.as_bool()?,
    };
    let max_tokens = tree.get("max_tokens").and_then(Tree::as_u64);
    let session = tree["metadata"]["user_id"].as_str().and_then(session_of);
    let has_messages = tree["messages"].as_array().is_some_and(|messages| !messages.is_empty());
    Some((model, stream, max_tokens, session, has_messages))
}

fn tree_at(body: &str, span: Option<Range<usize>>) -> Option<Tree> {
    span.map(|span| serde_json::from_str(&body[span]).unwrap())
}

proptest! {
    #[test]
    fn the_scan_agrees_with_a_full_parse(body in request()) {
        let tree: Tree = serde_json::from_str(&body).unwrap();
        let found = scan(&body).ok();
        let facts = found.clone().map(|found| (
            found.model,
            found.stream,
            found.max_tokens.map(TokenCount::get),
            found.session_id,
            found.has_messages,
        ));
        prop_assert_eq!(facts, by_tree(&tree));
        if let Some(found) = found {
            prop_assert_eq!(tree_at(&body, Some(found.model_value)), tree.get("model").cloned());
            prop_assert_eq!(tree_at(&body, found.system), tree.get("system").filter(|v| !v.is_null()).cloned());
            let messages = tree["messages"].as_array().cloned().unwrap_or_default();
            let first_user = messages.into_iter().find(|message| message["role"] == "user");
            prop_assert_eq!(tree_at(&body, found.first_user_message), first_user);
        }
    }

    #[test]
    fn a_splice_changes_the_model_and_nothing_else(body in request(), to in r#"[ -~雪"\\]{1,9}"#) {
        if let Ok(found) = scan(&body) {
            let spliced = splice_model(body.as_bytes(), &found, &model_name(&to));
            let spliced = std::str::from_utf8(&spliced).unwrap();
            let mut tree: Tree = serde_json::from_str(&body).unwrap();
            tree["model"] = Tree::from(to.as_str());
            prop_assert_eq!(serde_json::from_str::<Tree>(spliced).unwrap(), tree);
            prop_assert!(spliced.starts_with(&body[..found.model_value.start]));
            prop_assert!(spliced.ends_with(&body[found.model_value.end..]));
        }
    }

    #[test]
    fn a_cut_body_is_refused_wherever_it_is_cut(body in request()) {
        let body = body.trim_end();
        for cut in 0..body.len() {
            prop_assert!(scan_request(&body.as_bytes()[..cut]).is_err(), "cut at {}", cut);
        }
    }

    #[test]
    fn a_changed_byte_is_judged_as_a_full_parse_judges_it(
        body in request(), at in any::<prop::sample::Index>(), to in r#"[ \[\]{}:,"0-9tfn\\.e+-]"#,
    ) {
        let mut body = body.into_bytes();
        let at = at.index(body.len());
        body[at] = to.as_bytes()[0];
        let parsed = serde_json::from_slice::<Tree>(&body);
        let found = scan_request(&body);
        if parsed.is_ok() {
            prop_assert!(!matches!(found, Err(ScanError::NotJson { .. })), "{:?}", found);
        } else if found.is_ok() {
            // The scan looks for the end of strings only, and not at the size of numbers.
            let said = parsed.unwrap_err().to_string();
            let within = ["escape", "control character", "unicode", "surrogate", "number out of range"];
            prop_assert!(within.iter().any(|kind| said.contains(kind)), "{}", said);
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(scan_request(&bytes).is_err());
        let shaped: Vec<u8> = bytes.iter().map(|b| br#"{}[]",:\tnf01.e- "#[usize::from(*b) % 17]).collect();
        let parsed = serde_json::from_slice::<Tree>(&shaped).is_ok_and(|tree| tree.is_object());
        let found = scan_request(&shaped);
        prop_assert!(!parsed || !matches!(found, Err(ScanError::NotJson { .. })), "{:?}", found);
    }
}
