//! What is a table, and what is refused.

use super::*;

fn refused(text: &[u8]) -> String {
    let error = PriceTable::parse(text).expect_err("it is no table");
    let source = std::error::Error::source(&error).map(ToString::to_string);
    format!("{error}: {}", source.unwrap_or_default())
}

#[test]
fn the_builtin_table_says_what_it_is() {
    let table = PriceTable::builtin().expect("it is well formed");
    assert_eq!(table.as_of(), Some("2026-07-24"));
    assert_eq!(table.len(), 189);
    assert_eq!(table.sha256().len(), 64);
    assert_eq!(table.passed_over(), PassedOver::default());
}

#[test]
fn both_forms_are_read_and_hashed() {
    let own = br#"{"as_of": "2026-01-01", "models": {"m": {"provider": "x", "standard": {"input": 3000000}}}}"#;
    let litellm =
        br#"{"m": {"litellm_provider": "x", "mode": "chat", "input_cost_per_token": 3e-06}}"#;
    let own = PriceTable::parse(own).expect("Relay's own");
    let litellm = PriceTable::parse(litellm).expect("LiteLLM's");
    assert!(own.models().eq(litellm.models()), "they say the same");
    assert_eq!((own.as_of(), litellm.as_of()), (Some("2026-01-01"), None));
    assert_ne!(litellm.sha256(), own.sha256());
    // That of no bytes at all is widely known.
    assert_eq!(
        hex(&Sha256::digest(b"")),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
}

#[test]
fn a_model_named_like_the_own_forms_field_does_not_mislead() {
    let table = br#"{"as_of": {"mode": "chat", "input_cost_per_token": 1e-06}}"#;
    assert_eq!(PriceTable::parse(table).expect("LiteLLM's").len(), 1);
}

#[test]
fn what_is_no_table_is_refused_with_its_reason() {
    let whole =
        r#"{"m": {"mode": "chat", "input_cost_per_token": 3e-06, "output_cost_per_token": 1e-05}}"#;
    let cases: [(&[u8], &str); 11] = [
        (b"", "the price table is empty"),
        (b" \n", "the price table is empty"),
        (b"<!DOCTYPE html><title>404</title>", "is a web page and no JSON"),
        (b"\xff\xfe{", "is not text"),
        (b"404: Not Found", "cannot be read"),
        (b"[]", "cannot be read"),
        (b"null", "cannot be read"),
        (b"{}", "has no model with a price of tokens"),
        (
            br#"{"error": "rate limited"}"#,
            "1 of 1 entries of the price table are wrong, the first: error is not an object",
        ),
        (
            br#"{"m": {"mode": "embedding", "input_cost_per_token": 1e-6}}"#,
            "has no model with a price of tokens",
        ),
        (br#"{"as_of": "", "models": {}}"#, "has no model with a price of tokens"),
    ];
    for (bytes, expected) in cases {
        let why = refused(bytes);
        assert!(why.contains(expected), "{}: {why}", String::from_utf8_lossy(bytes));
    }
    PriceTable::parse(whole.as_bytes()).expect("the whole one is one");
    for end in 1..whole.len() {
        refused(&whole.as_bytes()[..end]);
    }
    let cut = refused(&whole.as_bytes()[..40]);
    assert!(cut.contains("EOF") && cut.contains("line 1 column 40"), "{cut}");
}
