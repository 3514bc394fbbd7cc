//! What an operator says that a model costs, over what the price source says.

use relay_domain::{NanoUsd, PicoUsdPerToken};
use serde::{Deserialize, Serialize};

use crate::file::{LongContext, PublishedPrice};
use crate::{PricingError, Rates};

/// The largest price of a token that is believed: 10,000 dollars for a million.
const MAX_RATE: PicoUsdPerToken = PicoUsdPerToken::from_picos(10_000_000_000);
/// The largest multiplier that is believed, in thousandths.
const MAX_MILLI: u32 = 100_000;
/// The largest price of a web search that is believed: ten dollars.
const MAX_SEARCH: NanoUsd = NanoUsd::from_nanos(10_000_000_000);
/// Long-context thresholds of one model at most.
const MAX_STEPS: usize = 8;

/// The full set of one model's prices. It takes the place of the source's price as a whole. What is left
/// out follows the provider's rules, where there is one, and is unknown otherwise.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PriceOverride {
    /// Whose rules complete it; if absent, those of who sells the model according to the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The usual prices. Input and output must be there; zero is free of charge.
    pub standard: Rates,
    /// Prices of requests with much input, by threshold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub long: Vec<LongContext>,
    /// The priority tier's.
    #[serde(default, skip_serializing_if = "Rates::are_unknown")]
    pub priority: Rates,
    /// The flex tier's.
    #[serde(default, skip_serializing_if = "Rates::are_unknown")]
    pub flex: Rates,
    /// The batch tier's.
    #[serde(default, skip_serializing_if = "Rates::are_unknown")]
    pub batch: Rates,
    /// By how much the fast mode multiplies the price of all tokens, in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fast_milli: Option<u32>,
    /// The same for processing in the United States only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub us_residency_milli: Option<u32>,
    /// Each web search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web_search_nanos: Option<NanoUsd>,
}

impl PriceOverride {
    /// Whether it can be a price.
    ///
    /// # Errors
    ///
    /// [`PricingError::Refused`], naming what is wrong.
    pub fn validate(&self) -> Result<(), PricingError> {
        let refused = |what, why| Err(PricingError::Refused { what, why });
        if self.standard.input.is_none() || self.standard.output.is_none() {
            return refused("standard", "must have a price of input and one of output");
        }
        for (tier, what) in
            [(&self.priority, "priority"), (&self.flex, "flex"), (&self.batch, "batch")]
        {
            if !tier.are_unknown() && (tier.input.is_none() || tier.output.is_none()) {
                return refused(
                    what,
                    "must have a price of input and one of output, or none at all",
                );
            }
        }
        if self.long.len() > MAX_STEPS {
            return refused("long", "must have at most 8 thresholds");
        }
        if !self.long.is_sorted_by(|one, next| one.above < next.above) {
            return refused("long", "must have thresholds that rise");
        }
        if self.long.iter().any(|long| long.rates.input.is_none() || long.rates.output.is_none()) {
            return refused("long", "must have a price of input and one of output");
        }
        if let Some(Implausible { why, .. }) = implausible(&self.published(String::new())) {
            return refused("a price", why);
        }
        Ok(())
    }

    /// As a provider would have published it; `seller` is who sells the model, unless it says so itself.
    pub(crate) fn published(&self, seller: String) -> PublishedPrice {
        PublishedPrice {
            provider: self.provider.clone().unwrap_or(seller),
            standard: self.standard,
            long: self.long.clone(),
            priority: self.priority,
            flex: self.flex,
            batch: self.batch,
            fast_milli: self.fast_milli,
            us_residency_milli: self.us_residency_milli,
            web_search_nanos: self.web_search_nanos,
            max_input_tokens: None,
            max_output_tokens: None,
        }
    }
}

/// What in a price cannot be.
pub(crate) struct Implausible {
    /// As the end of a sentence.
    pub(crate) why: &'static str,
    /// Whether it is likely a slip of the unit in one entry.
    pub(crate) is_slip: bool,
}

/// What in a price cannot be, if anything.
pub(crate) fn implausible(published: &PublishedPrice) -> Option<Implausible> {
    let rates = || published.all_rates().flat_map(Rates::all).flatten();
    let multipliers = [published.fast_milli, published.us_residency_milli];
    let search = published.web_search_nanos;
    let below_zero =
        rates().any(|rate| rate.as_picos() < 0) || search.is_some_and(|each| each < NanoUsd::ZERO);
    let cases = [
        (below_zero, "is below zero", false),
        (
            multipliers.into_iter().flatten().any(|milli| milli == 0 || MAX_MILLI < milli),
            "multiplies by zero or by more than 100",
            false,
        ),
        (
            search.is_some_and(|each| MAX_SEARCH < each),
            "is above 10 dollars for a web search",
            true,
        ),
        (rates().any(|rate| MAX_RATE < rate), "is above 10,000 dollars per million tokens", true),
    ];
    let found = cases.into_iter().find(|(applies, ..)| *applies);
    found.map(|(_, why, is_slip)| Implausible { why, is_slip })
}

#[cfg(test)]
mod tests {
    use relay_domain::TokenCount;

    use super::*;

    fn rates(input: i64, output: i64) -> Rates {
        let picos = |n| Some(PicoUsdPerToken::from_picos(n));
        Rates { input: picos(input), output: picos(output), ..Rates::default() }
    }

    fn long(above: u64) -> LongContext {
        LongContext { above: TokenCount::new(above), rates: rates(1, 2), ..LongContext::default() }
    }

    #[test]
    fn what_cannot_be_a_price_is_refused_by_name() {
        let good = PriceOverride { standard: rates(1, 2), ..PriceOverride::default() };
        good.validate().expect("it has an input and an output");
        PriceOverride { standard: rates(0, 0), ..good.clone() }.validate().expect("free of charge");
        let cases = [
            ("standard must have", PriceOverride { standard: Rates::default(), ..good.clone() }),
            (
                "flex must have",
                PriceOverride { flex: Rates { output: None, ..rates(1, 1) }, ..good.clone() },
            ),
            (
                "thresholds that rise",
                PriceOverride { long: vec![long(2), long(2)], ..good.clone() },
            ),
            ("at most 8", PriceOverride { long: (1..10).map(long).collect(), ..good.clone() }),
            (
                "long must have a price",
                PriceOverride { long: vec![LongContext::default()], ..good.clone() },
            ),
            ("below zero", PriceOverride { standard: rates(-1, 2), ..good.clone() }),
            ("10,000 dollars", PriceOverride { batch: rates(10_000_000_001, 2), ..good.clone() }),
            ("multiplies by zero", PriceOverride { fast_milli: Some(0), ..good.clone() }),
            (
                "multiplies by zero",
                PriceOverride { us_residency_milli: Some(100_001), ..good.clone() },
            ),
            (
                "10 dollars for",
                PriceOverride {
                    web_search_nanos: Some(NanoUsd::from_nanos(10_000_000_001)),
                    ..good.clone()
                },
            ),
        ];
        for (expected, price) in cases {
            let refused = price.validate().expect_err(expected).to_string();
            assert!(refused.contains(expected), "{expected}: {refused}");
        }
    }

    #[test]
    fn it_is_stored_without_what_it_does_not_say_and_reads_back() {
        let price = PriceOverride {
            standard: rates(3, 15),
            long: vec![long(200_000)],
            fast_milli: Some(6_000),
            ..PriceOverride::default()
        };
        let json = serde_json::to_string(&price).expect("it is JSON");
        assert_eq!(
            json,
            r#"{"standard":{"input":3,"output":15},"long":[{"above":200000,"rates":{"input":1,"output":2}}],"fast_milli":6000}"#
        );
        assert_eq!(serde_json::from_str::<PriceOverride>(&json).expect("it reads back"), price);
    }
}
