//! What is published, and what follows from it.

use super::*;
use crate::PriceBook;

fn picos(rate: Option<PicoUsdPerToken>) -> Option<i64> {
    rate.map(PicoUsdPerToken::as_picos)
}

/// The price of `m` in a book that holds what `published` says about it.
fn price(published: &str) -> ModelPrice {
    let json = format!(r#"{{"as_of": "2026-07-24", "models": {{"m": {published}}}}}"#);
    let book = PriceBook::parse(&json).expect("test books are valid");
    book.lookup("m").expect("m is in it").1.clone()
}

const SHORT: TokenCount = TokenCount::new(200_000);
const LONG: TokenCount = TokenCount::new(200_001);

#[test]
fn what_a_provider_leaves_out_follows_its_rules() {
    let cases = [
        (
            "Anthropic's cache is priced by its input",
            r#"{"provider": "anthropic", "standard": {"input": 3000000, "output": 1}}"#,
            [Some(300_000), Some(3_750_000), Some(6_000_000)],
        ),
        (
            "what is published comes first",
            r#"{"provider": "anthropic", "standard": {"input": 250000, "cache_read": 30000}}"#,
            [Some(30_000), Some(312_500), Some(500_000)],
        ),
        (
            "OpenAI's cache writes are input",
            r#"{"provider": "openai", "standard": {"input": 1250000, "cache_read": 125000}}"#,
            [Some(125_000), Some(1_250_000), None],
        ),
        (
            "nothing is known about others",
            r#"{"provider": "xai", "standard": {"input": 1250000}}"#,
            [None, None, None],
        ),
        (
            "nothing follows from nothing",
            r#"{"provider": "anthropic", "standard": {}}"#,
            [None, None, None],
        ),
    ];
    for (name, published, expected) in cases {
        let price = price(published);
        let rates = price.rates(ServiceTier::Standard, SHORT);
        let found = [rates.cache_read, rates.cache_write_5m, rates.cache_write_1h].map(picos);
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn tiers_and_long_context_combine() {
    let price = price(
        r#"{"provider": "openai",
            "standard": {"input": 10, "output": 100, "cache_read": 2},
            "long": [{"above": 200000, "rates": {"input": 20, "output": 150}}],
            "flex": {"input": 5, "output": 50},
            "priority": {"input": 25}, "batch": {"output": 25}}"#,
    );
    let cases = [
        ("at the threshold", ServiceTier::Standard, SHORT, [10, 100, 2, 10]),
        ("beyond it, cache follows input", ServiceTier::Standard, LONG, [20, 150, 4, 20]),
        ("flex, cache follows input", ServiceTier::Flex, SHORT, [5, 50, 1, 5]),
        ("flex beyond it is raised as standard is", ServiceTier::Flex, LONG, [10, 75, 2, 10]),
        ("a tier without output is not sold", ServiceTier::Priority, SHORT, [10, 100, 2, 10]),
        ("a tier without input is not sold", ServiceTier::Batch, LONG, [20, 150, 4, 20]),
    ];
    for (name, tier, all_input, expected) in cases {
        let rates = price.rates(tier, all_input);
        let found = [rates.input, rates.output, rates.cache_read, rates.cache_write_5m];
        assert_eq!(found.map(picos), expected.map(Some), "{name}");
    }
}

#[test]
fn every_threshold_counts_and_a_tier_may_have_prices_of_its_own_beyond_it() {
    let price = price(
        r#"{"provider": "x",
            "standard": {"input": 10, "output": 100, "cache_read": 2},
            "priority": {"input": 20, "output": 200},
            "long": [
                {"above": 200000, "rates": {"input": 20}, "priority": {"input": 50}},
                {"above": 300000, "rates": {"output": 400}}
            ]}"#,
    );
    let (standard, priority) = (ServiceTier::Standard, ServiceTier::Priority);
    let cases = [
        ("short", standard, 200_000, [10, 100, 2]),
        ("what is not raised stays", standard, 200_001, [20, 200, 4]),
        ("at the second", standard, 300_000, [20, 200, 4]),
        ("beyond it", standard, 300_001, [10, 400, 2]),
        ("its own", priority, 200_001, [50, 400, 8]),
        ("as the standard tier", priority, 300_001, [20, 800, 4]),
    ];
    for (name, tier, all_input, expected) in cases {
        let rates = price.rates(tier, TokenCount::new(all_input));
        let found = [rates.input, rates.output, rates.cache_read].map(picos);
        assert_eq!(found, expected.map(Some), "{name}");
    }
}

#[test]
fn a_price_that_is_worked_out_is_rounded_half_to_even() {
    let cases = [(1, 3, 2, Some(2)), (1, 5, 2, Some(2)), (2, 1, 3, Some(1)), (1, 1, 3, Some(0))];
    let picos_of = |n| Some(PicoUsdPerToken::from_picos(n));
    for (rate, numerator, denominator, expected) in cases {
        let found = scaled(picos_of(rate), picos_of(numerator), picos_of(denominator));
        assert_eq!(picos(found), expected, "{rate} * {numerator} / {denominator}");
    }
    assert_eq!(scaled(picos_of(1), picos_of(1), picos_of(0)), None, "no ratio to zero");
    assert_eq!(scaled(picos_of(i64::MAX), picos_of(2), picos_of(1)), None, "does not fit");
}

#[test]
fn anthropics_web_search_has_one_price_for_all_models() {
    let search = |provider: &str| {
        price(&format!(r#"{{"provider": "{provider}", "standard": {{}}}}"#)).web_search()
    };
    assert_eq!(search("anthropic"), Some(NanoUsd::from_nanos(10_000_000)));
    assert_eq!(search("openai"), None);
}
