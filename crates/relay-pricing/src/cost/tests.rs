//! Sums, extras and the one rounding.

use proptest::prelude::*;
use relay_domain::TokenCount;

use super::*;
use crate::PriceBook;

fn book() -> PriceBook {
    PriceBook::builtin().expect("the book is well formed")
}

/// Counts of input, output, cache reads, and cache writes for five minutes and for an hour.
fn usage(counts: [u64; 5]) -> TokenUsage {
    let counts = counts.map(TokenCount::new);
    TokenUsage {
        input: counts[0],
        output: counts[1],
        cache_read: counts[2],
        cache_write_5m: counts[3],
        cache_write_1h: counts[4],
    }
}

fn nanos(model: &str, charge: Charge) -> Result<i64, PricingError> {
    let book = book();
    let (_, price) = book.lookup(model).expect("in the book");
    cost(price, &charge).map(NanoUsd::as_nanos)
}

#[test]
fn extras_are_charged_as_they_were_served() {
    let tokens = Charge::from(usage([1_000, 0, 0, 0, 0]));
    let cases = [
        ("standard", "claude-opus-5", tokens, 5_000_000),
        ("fast", "claude-opus-5", Charge { fast: true, ..tokens }, 10_000_000),
        ("kept to the US", "claude-opus-5", Charge { us_residency: true, ..tokens }, 5_500_000),
        ("both", "claude-opus-5", Charge { fast: true, us_residency: true, ..tokens }, 11_000_000),
        (
            "searches are not multiplied",
            "claude-opus-5",
            Charge { fast: true, web_searches: 3, ..tokens },
            40_000_000,
        ),
        (
            "searches of a model that lists none",
            "claude-haiku-4-5",
            Charge { web_searches: 1, ..tokens },
            11_000_000,
        ),
        ("flex", "gpt-5.4", Charge { tier: ServiceTier::Flex, ..tokens }, 1_250_000),
        ("batch", "gpt-5.4", Charge { tier: ServiceTier::Batch, ..tokens }, 1_250_000),
        ("priority", "gpt-5.4", Charge { tier: ServiceTier::Priority, ..tokens }, 5_000_000),
        (
            "a tier that is not sold",
            "claude-opus-5",
            Charge { tier: ServiceTier::Priority, ..tokens },
            5_000_000,
        ),
        ("nothing", "claude-opus-5", Charge::default(), 0),
    ];
    for (name, model, charge, expected) in cases {
        assert_eq!(nanos(model, charge).expect(name), expected, "{name}");
    }
}

#[test]
fn what_has_no_price_makes_the_cost_unknown() {
    let tokens = Charge::from(usage([1, 1, 0, 0, 0]));
    let cases = [
        ("gpt-4", Charge::from(usage([0, 0, 1, 0, 0])), ChargeKind::CacheRead),
        ("gpt-5", Charge::from(usage([0, 0, 0, 0, 1])), ChargeKind::CacheWrite1h),
        ("grok-4.5", Charge::from(usage([0, 0, 0, 1, 0])), ChargeKind::CacheWrite5m),
        ("deepseek-v3-2-251201", Charge::from(usage([0, 1, 0, 0, 0])), ChargeKind::Output),
        ("claude-sonnet-5", Charge { fast: true, ..tokens }, ChargeKind::FastMode),
        ("claude-haiku-4-5", Charge { us_residency: true, ..tokens }, ChargeKind::UsResidency),
        ("gpt-5", Charge { web_searches: 1, ..tokens }, ChargeKind::WebSearch),
    ];
    for (model, charge, expected) in cases {
        match nanos(model, charge) {
            Err(PricingError::Unpriced { kind }) => assert_eq!(kind, expected, "{model}"),
            other => panic!("{model}: {other:?}"),
        }
    }
}

#[test]
fn the_tier_is_the_one_that_the_answer_names() {
    let cases = [
        ("priority", ServiceTier::Priority),
        ("flex", ServiceTier::Flex),
        ("batch", ServiceTier::Batch),
        ("default", ServiceTier::Standard),
        ("standard", ServiceTier::Standard),
        ("of tomorrow", ServiceTier::Standard),
    ];
    for (name, tier) in cases {
        assert_eq!(ServiceTier::served(name), tier, "{name}");
    }
}

#[test]
fn it_rounds_once_half_to_even() {
    // A fast request kept to the US costs 2.2 times as much, so that ties and parts beside them arise.
    let price = |input| {
        let json = format!(
            r#"{{"as_of": "", "models": {{"m": {{"provider": "x", "standard": {{"input": {input}}},
                "fast_milli": 1001, "us_residency_milli": 1001}}}}}}"#
        );
        PriceBook::parse(&json).expect("a valid book")
    };
    let cases = [
        ("a tie below an even nano-dollar", 500, false, 0),
        ("a part of a pico-dollar above a tie", 500, true, 1),
        ("a part of a pico-dollar below a tie", 499, true, 0),
        ("a tie above an odd nano-dollar", 1_500, false, 2),
        ("a whole", 1_000, false, 1),
    ];
    for (name, input, multiplied, expected) in cases {
        let tokens = Charge::from(usage([1, 0, 0, 0, 0]));
        let charge = Charge { fast: multiplied, us_residency: multiplied, ..tokens };
        let quote = price(input).quote("m", &charge).map(|quote| quote.cost.as_nanos());
        assert_eq!(quote, Some(expected), "{name}");
    }
}

#[test]
fn a_cost_by_kind_adds_up() {
    let charge = Charge {
        fast: true,
        web_searches: 2,
        ..Charge::from(usage([1_000, 500, 5_000, 100, 200]))
    };
    let book = book();
    let quote = book.quote("claude-opus-4-6", &charge).expect("it has a price");
    let kinds = [
        quote.by_kind.input,
        quote.by_kind.output,
        quote.by_kind.cache_read,
        quote.by_kind.cache_write_5m,
        quote.by_kind.cache_write_1h,
        quote.by_kind.web_search,
    ];
    let dollars = ["0.03", "0.075", "0.015", "0.00375", "0.012", "0.02"];
    assert_eq!(kinds.map(|kind| kind.to_string()), dollars);
    assert_eq!(quote.cost.to_string(), "0.15575");
    assert_eq!(quote.by_kind.total(), quote.cost);
}

#[test]
fn counts_beyond_belief_are_an_error() {
    let charge = Charge {
        tier: ServiceTier::Flex,
        fast: true,
        us_residency: true,
        web_searches: u64::MAX,
        ..Charge::from(usage([u64::MAX; 5]))
    };
    for model in ["claude-opus-5", "claude-mythos-5"] {
        let found = nanos(model, charge);
        assert!(matches!(found, Err(PricingError::Overflow(_))), "{found:?}");
    }
}

/// Any model of the book, by its place in the alphabet.
fn some_model() -> impl Strategy<Value = String> {
    let mut names: Vec<String> = book().models().map(|(model, _)| model.to_owned()).collect();
    names.sort_unstable();
    prop::sample::select(names)
}

fn some_tier() -> impl Strategy<Value = ServiceTier> {
    prop::sample::select(vec![
        ServiceTier::Standard,
        ServiceTier::Priority,
        ServiceTier::Flex,
        ServiceTier::Batch,
    ])
}

fn some_charge() -> impl Strategy<Value = Charge> {
    let count = || prop_oneof![4 => 0..400_000_u64, 1 => any::<u64>()];
    let counts = [count(), count(), count(), count(), count()];
    (counts, some_tier(), any::<bool>(), any::<bool>(), 0..5_u64).prop_map(
        |(counts, tier, fast, us_residency, web_searches)| Charge {
            usage: usage(counts),
            tier,
            fast,
            us_residency,
            web_searches,
        },
    )
}

proptest! {
    #[test]
    fn a_cost_is_never_below_zero_and_never_panics(model in some_model(), charge in some_charge()) {
        if let Ok(nanos) = nanos(&model, charge) {
            prop_assert!(0 <= nanos);
        }
    }

    #[test]
    fn kinds_add_up_to_the_cost(model in some_model(), charge in some_charge()) {
        let book = book();
        if let Some(quote) = book.quote(&model, &charge) {
            prop_assert_eq!(quote.by_kind.total(), quote.cost);
        }
    }

    #[test]
    fn more_tokens_never_cost_less(
        model in some_model(),
        charge in some_charge(),
        kind in 0..5_usize,
        extra in 0..400_000_u64,
    ) {
        let usage_of = charge.usage;
        let mut counts = [
            usage_of.input,
            usage_of.output,
            usage_of.cache_read,
            usage_of.cache_write_5m,
            usage_of.cache_write_1h,
        ]
        .map(TokenCount::get);
        counts[kind] = counts[kind].saturating_add(extra);
        let more = Charge { usage: usage(counts), ..charge };
        if let (Ok(less), Ok(more)) = (nanos(&model, charge), nanos(&model, more)) {
            prop_assert!(less <= more, "{} then {}", less, more);
        }
    }

    #[test]
    fn a_sum_of_usages_costs_the_sum_of_their_costs_but_for_rounding(
        model in some_model(),
        tier in some_tier(),
        // Together below every long-context threshold: beyond one, prices change on purpose.
        first in prop::array::uniform5(0..20_000_u64),
        second in prop::array::uniform5(0..20_000_u64),
    ) {
        let of = |usage: TokenUsage| nanos(&model, Charge { tier, ..Charge::from(usage) });
        let (first, second) = (usage(first), usage(second));
        if let (Ok(a), Ok(b), Ok(both)) = (of(first), of(second), of(first + second)) {
            // Three roundings by at most half a nano-dollar each.
            prop_assert!((a + b - both).abs() <= 1, "{} + {} and {}", a, b, both);
        }
    }

    #[test]
    fn any_text_may_be_looked_up(text in "\\PC{0,40}", date in "[-@0-9]{0,12}(\\[1m\\])?") {
        let book = book();
        for model in [format!("{text}{date}"), format!("us.anthropic.{text}-v{date}")] {
            prop_assert!(book.lookup(&model).is_none_or(|(matched, _)| !matched.is_empty()));
        }
    }
}
