//! Names, and the book that is part of the program.

use relay_domain::{PicoUsdPerToken, TokenCount, TokenUsage};

use super::*;
use crate::{ChargeKind, ServiceTier};

fn book() -> PriceBook {
    PriceBook::builtin().expect("the book is well formed")
}

#[test]
fn a_model_is_found_by_its_name_or_a_snapshot_of_it_and_never_by_a_guess() {
    let cases = [
        ("as it stands", "claude-opus-5", Some("claude-opus-5")),
        ("as it stands, dated", "gpt-5-2025-08-07", Some("gpt-5-2025-08-07")),
        (
            "as it stands, a snapshot before its family",
            "gpt-4o-2024-05-13",
            Some("gpt-4o-2024-05-13"),
        ),
        ("Claude Code's mark", "claude-sonnet-5[1m]", Some("claude-sonnet-5")),
        ("Bedrock", "us.anthropic.claude-sonnet-4-20250514-v1:0", Some("claude-sonnet-4-20250514")),
        ("Bedrock without region", "anthropic.claude-opus-5-v1", Some("claude-opus-5")),
        ("Vertex", "claude-haiku-4-5@20251001", Some("claude-haiku-4-5-20251001")),
        (
            "Vertex, whose snapshot is known by its family",
            "claude-opus-5@20260601",
            Some("claude-opus-5"),
        ),
        ("a later snapshot", "claude-opus-5-20260601", Some("claude-opus-5")),
        ("a later snapshot, dashed", "gpt-5.5-pro-2027-01-31", Some("gpt-5.5-pro")),
        ("the latest", "claude-sonnet-4-5-latest", Some("claude-sonnet-4-5")),
        ("the family of a snapshot", "claude-sonnet-4", Some("claude-sonnet-4-20250514")),
        (
            "the latest of a family of snapshots",
            "claude-3-7-sonnet-latest",
            Some("claude-3-7-sonnet-20250219"),
        ),
        ("a newer model is another model", "claude-opus-5-5", None),
        ("a newer model is another model, dated", "claude-opus-5-5-20260601", None),
        ("a variant is another model", "gpt-5-codex-mini", None),
        ("a part of a name", "claude-sonnet", None),
        ("a name around a name", "my-claude-opus-5", None),
        ("another case", "Claude-Opus-5", None),
        ("a date alone", "-20250514", None),
        ("no date", "claude-opus-5-99999999", None),
        ("a mapped name", "mapped-sonnet", None),
        ("nothing", "", None),
    ];
    let book = book();
    for (name, model, expected) in cases {
        assert_eq!(book.lookup(model).map(|(matched, _)| matched), expected, "{name}");
    }
}

#[test]
fn a_family_without_a_price_of_its_own_has_that_of_its_newest_snapshot() {
    let price = |input| format!(r#"{{"provider": "x", "standard": {{"input": {input}}}}}"#);
    let json = format!(
        r#"{{"as_of": "2026-07-24", "models":
            {{"a-20240101": {}, "a-2024-06-01": {}, "b": {}, "b-20250101": {}}}}}"#,
        price(1),
        price(2),
        price(3),
        price(4)
    );
    let book = PriceBook::parse(&json).expect("a valid book");
    let matched = |model| book.lookup(model).map(|(matched, _)| matched);
    assert_eq!(matched("a"), Some("a-2024-06-01"));
    assert_eq!(matched("a-20240101"), Some("a-20240101"));
    assert_eq!(matched("b"), Some("b"));
    assert_eq!(matched("b-20990101"), Some("b"));
}

#[test]
fn the_builtin_book_holds_what_was_published() {
    let book = book();
    assert_eq!(book.as_of(), "2026-07-24");
    assert_eq!(book.models().count(), 189);
    let picos = |rate: Option<PicoUsdPerToken>| rate.map(PicoUsdPerToken::as_picos);
    let (_, sonnet) = book.lookup("claude-sonnet-4-5").expect("in the book");
    let long = sonnet.rates(ServiceTier::Standard, TokenCount::new(200_001));
    assert_eq!(picos(long.output), Some(22_500_000));
    assert_eq!(picos(long.cache_write_1h), Some(12_000_000));
    assert_eq!(sonnet.provider(), "anthropic");
    let (_, gpt) = book.lookup("gpt-5.6-terra").expect("in the book");
    let flex = gpt.rates(ServiceTier::Flex, TokenCount::new(272_000));
    assert_eq!(picos(flex.cache_write_5m), Some(1_562_500));
    let long_flex = gpt.rates(ServiceTier::Flex, TokenCount::new(272_001));
    assert_eq!(picos(long_flex.output), Some(11_250_000));
    assert_eq!(gpt.max_input_tokens(), Some(TokenCount::new(400_000)));
    assert_eq!(gpt.max_output_tokens(), Some(TokenCount::new(128_000)));
}

#[test]
fn no_model_is_free_of_charge() {
    let free: Vec<String> = book()
        .models()
        .filter(|(_, price)| {
            let rates = price.rates(ServiceTier::Standard, TokenCount::ZERO);
            let zero = Some(PicoUsdPerToken::default());
            rates.input == zero || rates.output == zero
        })
        .map(|(model, _)| model.to_owned())
        .collect();
    assert_eq!(free, [""; 0]);
}

#[test]
fn a_model_in_the_book_without_a_price_costs_unknown() {
    let book = book();
    let usage = TokenUsage { input: TokenCount::new(1), ..TokenUsage::ZERO };
    let (_, price) = book.lookup("deepseek-v3-2-251201").expect("in the book");
    let found = cost(price, &usage.into());
    assert!(matches!(found, Err(PricingError::Unpriced { kind: ChargeKind::Input })), "{found:?}");
    assert_eq!(book.quote("deepseek-v3-2-251201", &usage.into()), None);
}

#[test]
fn a_bad_book_is_refused_with_its_reason() {
    let book = |model: &str| format!(r#"{{"as_of": "", "models": {{"m": {model}}}}}"#);
    let cases = [
        ("no JSON", "{".to_owned(), "the price file cannot be read"),
        (
            "a misspelt kind",
            book(r#"{"provider": "x", "standard": {"inputs": 1}}"#),
            "the price file cannot be read",
        ),
        (
            "a price with a fraction",
            book(r#"{"provider": "x", "standard": {"input": 1.5}}"#),
            "the price file cannot be read",
        ),
        (
            "a price below zero",
            book(r#"{"provider": "x", "standard": {}, "batch": {"output": -1}}"#),
            "the price file gives m a price below zero",
        ),
        (
            "a search below zero",
            book(r#"{"provider": "x", "standard": {}, "web_search_nanos": -1}"#),
            "the price file gives m a price below zero",
        ),
    ];
    for (name, json, expected) in cases {
        let refused = PriceBook::parse(&json).expect_err(name);
        assert_eq!(refused.to_string(), expected, "{name}");
    }
}
