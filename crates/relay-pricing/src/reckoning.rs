//! What is charged where it must be something, although the cost may be unknown: budgets take nothing for
//! free. A cost that is unknown stays so; this is what counts in its place.

use relay_domain::NanoUsd;

use crate::cost::breakdown_at;
use crate::price::{Surcharges, anthropic_rules};
use crate::{Charge, ModelPrice, Rates};

/// A price by which everything can be reckoned.
#[derive(Clone, Copy, Debug)]
pub struct Reckoning<'a> {
    price: &'a ModelPrice,
    surcharges: Surcharges,
    /// A price that knows everything.
    complete: &'a ModelPrice,
}

impl<'a> Reckoning<'a> {
    /// By `price`. What comes on top of its tokens is reckoned at its own surcharge, at the dearest of its
    /// provider where it has none, and at that of `complete` where no model of the provider has one.
    pub(crate) fn new(
        price: &'a ModelPrice,
        dearest: Surcharges,
        complete: &'a ModelPrice,
    ) -> Self {
        let surcharges = price.surcharges().or(dearest).or(complete.surcharges());
        Self { price, surcharges, complete }
    }

    /// The price that is reckoned by.
    pub fn price(&self) -> &'a ModelPrice {
        self.price
    }

    /// What `charge` comes to, and exactly what it costs if that is known. What is beyond belief stops at nine
    /// billion dollars.
    pub fn of(&self, charge: &Charge) -> NanoUsd {
        let all_input = charge.usage.all_input();
        let rates = self.price.rates(charge.tier, all_input);
        let rates = filled(rates, self.complete.rates(charge.tier, all_input));
        let cost = breakdown_at(&rates, &self.surcharges, charge);
        cost.map_or(NanoUsd::MAX, |cost| cost.total())
    }
}

/// `rates` without gaps: input and output as in `complete`; a prompt cache is written at Anthropic's rule, and
/// read at the price of input.
fn filled(rates: &Rates, complete: &Rates) -> Rates {
    if rates.all().iter().all(Option::is_some) {
        return *rates;
    }
    let (input, output) = (rates.input.or(complete.input), rates.output.or(complete.output));
    let cache = Rates { cache_read: input, ..anthropic_rules(input) };
    Rates { input, output, ..*rates }.or(&cache)
}

#[cfg(test)]
mod tests {
    use relay_domain::{TokenCount, TokenUsage};

    use crate::{PriceBook, cost};

    use super::*;

    fn charge(output: u64) -> Charge {
        TokenUsage { output: TokenCount::new(output), ..TokenUsage::ZERO }.into()
    }

    #[test]
    fn what_lacks_a_surcharge_is_reckoned_at_its_own_price_and_the_dearest_surcharge_of_its_provider()
     {
        let book = PriceBook::builtin().unwrap();
        // Five dollars a million; it has neither a residency nor a fast mode of its own.
        let plain = Charge { web_searches: 1, ..charge(1_000_000) };
        for (fast, us_residency, expected) in [
            (false, false, "5.01"),
            (false, true, "5.51"),
            (true, false, "30.01"),
            (true, true, "33.01"),
        ] {
            let charge = Charge { fast, us_residency, ..plain };
            let reckoned = book.reckoning(["claude-haiku-4-5"]).of(&charge);
            assert_eq!(reckoned.to_string(), expected, "{fast} {us_residency}");
            let known = book.quote("claude-haiku-4-5", &charge).map(|quote| quote.cost);
            assert_eq!(known, (!fast && !us_residency).then_some(reckoned));
        }
    }

    #[test]
    fn nothing_that_has_been_used_is_free() {
        let book = PriceBook::parse(
            r#"{"half-known": {"mode": "chat", "litellm_provider": "somebody",
                "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06}}"#,
        )
        .unwrap();
        let one = TokenCount::new(1_000_000);
        let usage = TokenUsage {
            input: one,
            output: one,
            cache_read: one,
            cache_write_5m: one,
            cache_write_1h: one,
        };
        let everything = Charge { fast: true, us_residency: true, web_searches: 1, ..usage.into() };
        let price = book.lookup("half-known").unwrap().1;
        assert!(cost(price, &everything).is_err());
        let reckoned = book.reckoning(["half-known"]);
        // 1 + 2 + 1 + 1.25 + 2 dollars, six times and a tenth more, and a search.
        assert_eq!(reckoned.of(&everything).to_string(), "47.86");
        assert_eq!(
            reckoned.of(&charge(u64::MAX)),
            NanoUsd::MAX,
            "and nothing is too much to count"
        );
    }

    #[test]
    fn the_first_name_with_a_price_counts_and_else_the_fallback() {
        let book = PriceBook::builtin().unwrap();
        let million = charge(1_000_000);
        for (names, expected) in [
            (&["nobody", "claude-haiku-4-5", "claude-opus-5"][..], "5.00"),
            (&["claude-opus-5", "claude-haiku-4-5"], "25.00"),
            (&["nobody"], "15.00"),
            (&[], "15.00"),
        ] {
            let reckoned = book.reckoning(names.iter().copied()).of(&million);
            assert_eq!(reckoned.to_string(), expected, "{names:?}");
        }
    }
}
