//! The names of prices: a kind of token, perhaps a threshold, perhaps a tier.

use relay_domain::{PicoUsdPerToken, TokenCount};

use crate::ServiceTier;
use crate::file::{LongContext, PublishedPrice};

/// Names of kinds. One that another begins with comes after it.
const KINDS: [(&str, Kind); 5] = [
    ("cache_creation_input_token_cost_above_1hr", Kind::CacheWrite1h),
    ("cache_creation_input_token_cost", Kind::CacheWrite5m),
    ("cache_read_input_token_cost", Kind::CacheRead),
    ("input_cost_per_token", Kind::Input),
    ("output_cost_per_token", Kind::Output),
];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Input,
    Output,
    CacheRead,
    CacheWrite5m,
    CacheWrite1h,
}

/// Which price a field of an entry gives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct RateField {
    kind: Kind,
    /// The input above which it holds.
    above: Option<TokenCount>,
    tier: ServiceTier,
}

impl RateField {
    /// The price that the field `name` gives, such as `input_cost_per_token_above_200k_tokens_priority`.
    /// `None`: it gives none of ours.
    pub(super) fn named(name: &str) -> Option<Self> {
        let (rest, kind) =
            KINDS.iter().find_map(|(base, kind)| Some((name.strip_prefix(base)?, *kind)))?;
        let (above, rest) = match rest.strip_prefix("_above_") {
            None => (None, rest),
            Some(rest) => {
                let (thousands, rest) = rest.split_once("k_tokens")?;
                let thousands: u64 = thousands.parse().ok()?;
                (Some(TokenCount::new(thousands.checked_mul(1_000)?)), rest)
            }
        };
        let tier = match rest {
            "" => ServiceTier::Standard,
            "_priority" => ServiceTier::Priority,
            "_flex" => ServiceTier::Flex,
            "_batches" => ServiceTier::Batch,
            _ => return None,
        };
        Some(Self { kind, above, tier })
    }

    /// Where the price stands in what is published.
    pub(super) fn place_in(self, price: &mut PublishedPrice) -> &mut Option<PicoUsdPerToken> {
        let rates = match self.above {
            None => match self.tier {
                ServiceTier::Standard => &mut price.standard,
                ServiceTier::Priority => &mut price.priority,
                ServiceTier::Flex => &mut price.flex,
                ServiceTier::Batch => &mut price.batch,
            },
            Some(above) => {
                let long = step(&mut price.long, above);
                match self.tier {
                    ServiceTier::Standard => &mut long.rates,
                    ServiceTier::Priority => &mut long.priority,
                    ServiceTier::Flex => &mut long.flex,
                    ServiceTier::Batch => &mut long.batch,
                }
            }
        };
        match self.kind {
            Kind::Input => &mut rates.input,
            Kind::Output => &mut rates.output,
            Kind::CacheRead => &mut rates.cache_read,
            Kind::CacheWrite5m => &mut rates.cache_write_5m,
            Kind::CacheWrite1h => &mut rates.cache_write_1h,
        }
    }
}

/// The prices above a threshold, made if there are none yet.
fn step(steps: &mut Vec<LongContext>, above: TokenCount) -> &mut LongContext {
    let position = steps.iter().position(|step| step.above == above).unwrap_or_else(|| {
        steps.push(LongContext { above, ..LongContext::default() });
        steps.len() - 1
    });
    &mut steps[position]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_prices_are_taken_apart() {
        let field = |kind, above: Option<u64>, tier| {
            Some(RateField { kind, above: above.map(TokenCount::new), tier })
        };
        let cases = [
            ("input_cost_per_token", field(Kind::Input, None, ServiceTier::Standard)),
            ("output_cost_per_token_batches", field(Kind::Output, None, ServiceTier::Batch)),
            ("cache_read_input_token_cost_flex", field(Kind::CacheRead, None, ServiceTier::Flex)),
            (
                "cache_creation_input_token_cost",
                field(Kind::CacheWrite5m, None, ServiceTier::Standard),
            ),
            (
                "cache_creation_input_token_cost_above_1hr",
                field(Kind::CacheWrite1h, None, ServiceTier::Standard),
            ),
            (
                "cache_creation_input_token_cost_above_200k_tokens",
                field(Kind::CacheWrite5m, Some(200_000), ServiceTier::Standard),
            ),
            (
                "cache_creation_input_token_cost_above_1hr_above_200k_tokens",
                field(Kind::CacheWrite1h, Some(200_000), ServiceTier::Standard),
            ),
            (
                "input_cost_per_token_above_128k_tokens",
                field(Kind::Input, Some(128_000), ServiceTier::Standard),
            ),
            (
                "output_cost_per_token_above_272k_tokens_priority",
                field(Kind::Output, Some(272_000), ServiceTier::Priority),
            ),
            ("input_cost_per_token_batch_requests", None),
            ("input_cost_per_token_cache_hit", None),
            ("input_cost_per_token_above_many_tokens", None),
            ("input_cost_per_token_above_99999999999999999999k_tokens", None),
            ("cache_creation_input_audio_token_cost", None),
            ("input_cost_per_character", None),
            ("output_cost_per_reasoning_token", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(RateField::named(name), expected, "{name}");
        }
    }
}
