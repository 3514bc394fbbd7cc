//! What the table says, to the digit, and what makes it unfit.

use super::*;
use crate::{Charge, ModelPrice, PriceTable, ServiceTier};

fn picos(rate: Option<PicoUsdPerToken>) -> Option<i64> {
    rate.map(PicoUsdPerToken::as_picos)
}

fn price(entry: &str) -> ModelPrice {
    let listing = read(&format!(r#"{{"m": {entry}}}"#)).expect("test tables are valid");
    ModelPrice::complete(listing.models["m"].clone())
}

fn refused(table: &str) -> String {
    read(table).err().expect("it is unfit").to_string()
}

/// Entries as the public table has them.
const TABLE: &str = include_str!("../../tests/fixtures/litellm_prices.json");

#[test]
fn entries_of_the_public_table_are_read() {
    let table = PriceTable::parse(TABLE.as_bytes()).expect("a valid table");
    let names: Vec<&str> = table.models().map(|(model, _)| model).collect();
    assert_eq!(
        names,
        [
            "claude-opus-4-6",
            "claude-sonnet-4-20250514",
            "gemini-2.5-pro",
            "gpt-5.4",
            "ollama/llama2-priced",
            "us.anthropic.claude-sonnet-4-20250514-v1:0",
        ]
    );
    let expected = PassedOver { other_modes: 2, without_price: 2, beyond_belief: 0 };
    assert_eq!(table.passed_over(), expected);
}

#[test]
fn prices_are_those_of_the_builtin_table_where_both_have_them() {
    let builtin = PriceTable::builtin().expect("it is well formed");
    let table = PriceTable::parse(TABLE.as_bytes()).expect("a valid table");
    let of = |table: &PriceTable, model: &str| {
        let found = table.models().find(|(name, _)| *name == model).map(|(_, price)| price.clone());
        found.expect("both have it")
    };
    for model in ["claude-opus-4-6", "claude-sonnet-4-20250514", "gpt-5.4"] {
        let (ours, theirs) = (of(&builtin, model), of(&table, model));
        for tier in
            [ServiceTier::Standard, ServiceTier::Priority, ServiceTier::Flex, ServiceTier::Batch]
        {
            for all_input in [0, 200_001, 272_001].map(TokenCount::new) {
                assert_eq!(
                    theirs.rates(tier, all_input),
                    ours.rates(tier, all_input),
                    "{model} {tier:?} {all_input:?}"
                );
            }
        }
        assert_eq!(theirs.fast_milli(), ours.fast_milli(), "{model}");
        assert_eq!(theirs.us_residency_milli(), ours.us_residency_milli(), "{model}");
        assert_eq!(theirs.max_output_tokens(), ours.max_output_tokens(), "{model}");
    }
}

#[test]
fn every_field_has_its_place() {
    let price = price(
        r#"{"litellm_provider": "x", "mode": "responses",
            "input_cost_per_token": 1e-06, "output_cost_per_token": "0.000002",
            "cache_read_input_token_cost": 1.5e-07, "cache_creation_input_token_cost": 1.25e-06,
            "cache_creation_input_token_cost_above_1hr": 0.000002,
            "input_cost_per_token_above_200k_tokens": 3e-06,
            "output_cost_per_token_above_200k_tokens": 4e-06,
            "cache_read_input_token_cost_above_200k_tokens": 3e-07,
            "cache_creation_input_token_cost_above_200k_tokens": 3.75e-06,
            "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 6e-06,
            "input_cost_per_token_priority": 2e-06, "output_cost_per_token_priority": 5e-06,
            "input_cost_per_token_above_200k_tokens_priority": 7e-06,
            "input_cost_per_token_flex": 5e-07, "output_cost_per_token_flex": 1e-06,
            "input_cost_per_token_batches": 4e-07, "output_cost_per_token_batches": 8e-07,
            "output_cost_per_reasoning_token": 9, "input_cost_per_audio_token": -1,
            "provider_specific_entry": {"fast": 2.5, "us": 1.1, "schema": "titan"},
            "search_context_cost_per_query": {"search_context_size_low": 0.01,
                "search_context_size_medium": 0.0125, "search_context_size_high": 0.05},
            "max_input_tokens": 1000000, "max_output_tokens": 6.4e4}"#,
    );
    let cases = [
        (ServiceTier::Standard, 0, [1_000_000, 2_000_000, 150_000, 1_250_000, 2_000_000]),
        (ServiceTier::Standard, 200_001, [3_000_000, 4_000_000, 300_000, 3_750_000, 6_000_000]),
        (ServiceTier::Priority, 0, [2_000_000, 5_000_000, 300_000, 2_500_000, 4_000_000]),
        (ServiceTier::Priority, 200_001, [7_000_000, 10_000_000, 600_000, 7_500_000, 12_000_000]),
        (ServiceTier::Flex, 0, [500_000, 1_000_000, 75_000, 625_000, 1_000_000]),
        (ServiceTier::Batch, 0, [400_000, 800_000, 60_000, 500_000, 800_000]),
    ];
    for (tier, all_input, expected) in cases {
        let found = price.rates(tier, TokenCount::new(all_input)).all().map(picos);
        assert_eq!(found, expected.map(Some), "{tier:?} {all_input}");
    }
    assert_eq!((price.fast_milli(), price.us_residency_milli()), (Some(2_500), Some(1_100)));
    assert_eq!(price.web_search().map(NanoUsd::as_nanos), Some(12_500_000));
    assert_eq!(price.max_input_tokens(), Some(TokenCount::new(1_000_000)));
    assert_eq!(price.max_output_tokens(), Some(TokenCount::new(64_000)));
}

#[test]
fn what_has_no_price_of_tokens_is_passed_over_and_never_free() {
    let table = r#"{
        "sample_spec": {"mode": "one of: chat, embedding", "input_cost_per_token": "a number"},
        "image": {"mode": "image_generation", "input_cost_per_token": 5e-06},
        "odd": {"mode": 7, "input_cost_per_token": 5e-06},
        "free": {"mode": "chat", "input_cost_per_token": 0.0, "output_cost_per_token": 0},
        "by the second": {"mode": "chat", "input_cost_per_second": 0.0415},
        "null": {"mode": "chat", "input_cost_per_token": null},
        "no mode": {"input_cost_per_token": 1e-06, "output_cost_per_token": 0}
    }"#;
    let listing = read(table).expect("a valid table");
    assert_eq!(listing.models.keys().collect::<Vec<_>>(), ["no mode"]);
    let expected = PassedOver { other_modes: 2, without_price: 3, beyond_belief: 0 };
    assert_eq!(listing.passed_over, expected);
    let unknown = crate::PriceBook::parse(table).expect("a valid table");
    assert_eq!(unknown.quote("free", &Charge::default()), None);
}

#[test]
fn a_price_that_cannot_be_makes_the_table_unfit() {
    let entry = |fields: &str| {
        format!(
            r#"{{"good": {{"input_cost_per_token": 1e-06}}, "bad": {{"mode": "chat", {fields}}}}}"#
        )
    };
    let cases = [
        (r#""input_cost_per_token": -1e-06"#, "bad has a price that is below zero"),
        (
            r#""input_cost_per_token": 1e-6, "output_cost_per_token_flex": -0.1"#,
            "bad has a price that is below zero",
        ),
        (
            r#""input_cost_per_token": "cheap""#,
            "bad gives input_cost_per_token something that is not a number",
        ),
        (
            r#""input_cost_per_token": 1e-999999999"#,
            "bad gives input_cost_per_token a number that is too small",
        ),
        (
            r#""output_cost_per_token": [1]"#,
            "bad gives output_cost_per_token something that is not a number",
        ),
        (
            r#""cache_read_input_token_cost_above_200k_tokens": true"#,
            "bad gives cache_read_input_token_cost_above_200k_tokens something that is not a number",
        ),
        (
            r#""input_cost_per_token": 1e-6, "provider_specific_entry": {"fast": 0}"#,
            "bad has a price that multiplies by zero or by more than 100",
        ),
        (
            r#""input_cost_per_token": 1e-6, "provider_specific_entry": {"fast": -2}"#,
            "bad gives fast a multiplier that cannot be",
        ),
        (
            r#""search_context_cost_per_query": {"search_context_size_medium": -1}"#,
            "bad has a price that is below zero",
        ),
        (
            r#""input_cost_per_token": 3, "output_cost_per_token": 15"#,
            "bad has a price that is above 10,000 dollars per million tokens",
        ),
    ];
    for (fields, why) in cases {
        let expected = format!("1 of 2 entries of the price table are wrong, the first: {why}");
        assert_eq!(refused(&entry(fields)), expected);
    }
    assert_eq!(
        refused(r#"{"good": {"input_cost_per_token": 1e-06}, "a": 1, "b": null, "c": "text"}"#),
        "3 of 4 entries of the price table are wrong, the first: a is not an object"
    );
}

#[test]
fn a_slip_of_the_unit_in_one_of_many_leaves_that_model_out() {
    let many: Vec<String> =
        (0..19).map(|n| format!(r#""m{n}": {{"input_cost_per_token": 1e-06}},"#)).collect();
    let many = many.concat();
    let slip = |n: u32| format!(r#""slip{n}": {{"input_cost_per_token": 0.015}}"#);
    let listing = read(&format!("{{{many}{}}}", slip(1))).expect("one in twenty");
    assert_eq!((listing.models.len(), listing.passed_over.beyond_belief), (19, 1));
    assert!(!listing.models.contains_key("slip1"));
    assert_eq!(
        refused(&format!("{{{many}{},{}}}", slip(1), slip(2))),
        "2 of 21 entries of the price table are wrong, the first: slip1 has a price that is above \
         10,000 dollars per million tokens"
    );
}

proptest::proptest! {
    #[test]
    fn any_entry_may_be_read(
        name in "[a-z]{1,5}",
        field in "(input|output)_cost_per_token(_above_[0-9]{1,3}k_tokens)?(_priority|_flex)?",
        value in "(-?[0-9]{1,3}(\\.[0-9]{1,9})?(e-?[0-9]{1,3})?|null|\"\\PC{0,5}\"|\\[\\])",
    ) {
        // Whatever it is, it must not panic; a price in a table that is taken is in range.
        let table = format!(r#"{{"{name}": {{"{field}": {value}}}}}"#);
        if let Ok(listing) = read(&table) {
            for price in listing.models.into_values() {
                proptest::prop_assert!(implausible(&price).is_none(), "{}", table);
            }
        }
    }
}
