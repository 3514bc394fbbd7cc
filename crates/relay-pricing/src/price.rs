//! What one model costs: the published prices, completed where the provider's rules say how.
//!
//! All combinations of tier and context length are worked out once, when the book is read, so that
//! pricing a request is a lookup and a sum. A price worked out here is a whole number of
//! pico-dollars, as a published one is.

use relay_domain::{NanoUsd, PicoUsdPerToken, TokenCount};
use serde::{Deserialize, Serialize};

use crate::ServiceTier;
use crate::file::{LongContext, PublishedPrice};

/// Anthropic charges every web search alike, whatever the model: 10 dollars for a thousand.
const ANTHROPIC_WEB_SEARCH: NanoUsd = NanoUsd::from_nanos(10_000_000);

/// What one model costs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ModelPrice {
    provider: String,
    standard: Tariff,
    priority: Tariff,
    flex: Tariff,
    batch: Tariff,
    surcharges: Surcharges,
    max_input_tokens: Option<TokenCount>,
    max_output_tokens: Option<TokenCount>,
}

impl ModelPrice {
    /// Who sells it, under the name that the public price tables use.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// The most input it takes.
    pub fn max_input_tokens(&self) -> Option<TokenCount> {
        self.max_input_tokens
    }

    /// The most output it gives.
    pub fn max_output_tokens(&self) -> Option<TokenCount> {
        self.max_output_tokens
    }

    /// By how much the fast mode multiplies the price of all tokens, in thousandths.
    pub fn fast_milli(&self) -> Option<u32> {
        self.surcharges.fast_milli
    }

    /// By how much processing in the United States only multiplies it, in thousandths.
    pub fn us_residency_milli(&self) -> Option<u32> {
        self.surcharges.us_residency_milli
    }

    /// What a web search costs.
    pub fn web_search(&self) -> Option<NanoUsd> {
        self.surcharges.web_search
    }

    /// What comes on top of the prices of tokens.
    pub(crate) fn surcharges(&self) -> Surcharges {
        self.surcharges
    }

    /// The prices of tokens for a request with so much input of all kinds: beyond the provider's
    /// threshold all of its tokens cost the long-context price, output included.
    ///
    /// A tier that the provider does not sell for the model costs what the standard tier does: the
    /// provider serves such a request as a standard one.
    pub fn rates(&self, tier: ServiceTier, all_input: TokenCount) -> &Rates {
        self.tariff(tier).rates(all_input)
    }

    /// The prices of tokens of a tier.
    pub fn tariff(&self, tier: ServiceTier) -> &Tariff {
        match tier {
            ServiceTier::Standard => &self.standard,
            ServiceTier::Priority => &self.priority,
            ServiceTier::Flex => &self.flex,
            ServiceTier::Batch => &self.batch,
        }
    }

    /// The price that follows from what is published.
    pub(crate) fn complete(published: PublishedPrice) -> Self {
        let is_anthropic = published.provider == "anthropic";
        let of_provider = match published.provider.as_str() {
            // Google sells Anthropic's models by Anthropic's rules.
            "anthropic" | "vertex_ai-anthropic_models" => anthropic_rules(published.standard.input),
            "openai" => openai_rules(published.standard.input),
            _ => Rates::default(),
        };
        let standard = Tariff::standard(published.standard.or(&of_provider), &published.long);
        let tier = |rates: &Rates, long: fn(&LongContext) -> &Rates| {
            standard.tier(rates, published.long.iter().map(long))
        };
        Self {
            priority: tier(&published.priority, |long| &long.priority),
            flex: tier(&published.flex, |long| &long.flex),
            batch: tier(&published.batch, |long| &long.batch),
            provider: published.provider,
            standard,
            surcharges: Surcharges {
                fast_milli: published.fast_milli,
                us_residency_milli: published.us_residency_milli,
                web_search: published
                    .web_search_nanos
                    .or_else(|| is_anthropic.then_some(ANTHROPIC_WEB_SEARCH)),
            },
            max_input_tokens: published.max_input_tokens,
            max_output_tokens: published.max_output_tokens,
        }
    }
}

/// What comes on top of the prices of tokens. `None`: not known.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Surcharges {
    pub(crate) fast_milli: Option<u32>,
    pub(crate) us_residency_milli: Option<u32>,
    pub(crate) web_search: Option<NanoUsd>,
}

impl Surcharges {
    /// These, and where there is none that of `other`.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            fast_milli: self.fast_milli.or(other.fast_milli),
            us_residency_milli: self.us_residency_milli.or(other.us_residency_milli),
            web_search: self.web_search.or(other.web_search),
        }
    }

    /// The dearer of both, in each part.
    pub(crate) fn dearer(self, other: Self) -> Self {
        Self {
            fast_milli: self.fast_milli.max(other.fast_milli),
            us_residency_milli: self.us_residency_milli.max(other.us_residency_milli),
            web_search: self.web_search.max(other.web_search),
        }
    }
}

/// Prices of tokens by kind. `None`: not known.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Of input that is neither read from nor written to the prompt cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<PicoUsdPerToken>,
    /// Of output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<PicoUsdPerToken>,
    /// Of input read from the prompt cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<PicoUsdPerToken>,
    /// Of input written to the prompt cache for five minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<PicoUsdPerToken>,
    /// Of input written to the prompt cache for an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<PicoUsdPerToken>,
}

impl Rates {
    pub(crate) fn all(&self) -> [Option<PicoUsdPerToken>; 5] {
        [self.input, self.output, self.cache_read, self.cache_write_5m, self.cache_write_1h]
    }

    /// Whether none is known.
    pub fn are_unknown(&self) -> bool {
        self.all().iter().all(Option::is_none)
    }

    /// These prices, and where there is none that of `fallback`.
    pub(crate) fn or(&self, fallback: &Self) -> Self {
        Self {
            input: self.input.or(fallback.input),
            output: self.output.or(fallback.output),
            cache_read: self.cache_read.or(fallback.cache_read),
            cache_write_5m: self.cache_write_5m.or(fallback.cache_write_5m),
            cache_write_1h: self.cache_write_1h.or(fallback.cache_write_1h),
        }
    }

    /// These prices, all raised or lowered as the price of input is in `other`: what a prompt cache
    /// costs is a fixed part of that with every provider.
    fn like(&self, other: &Self) -> Self {
        let scale = |rate| scaled(rate, other.input, self.input);
        Self {
            input: scale(self.input),
            output: scale(self.output),
            cache_read: scale(self.cache_read),
            cache_write_5m: scale(self.cache_write_5m),
            cache_write_1h: scale(self.cache_write_1h),
        }
    }

    /// These prices, each raised or lowered as it is between `from` and `to`.
    fn moved(&self, from: &Self, to: &Self) -> Self {
        Self {
            input: scaled(self.input, to.input, from.input),
            output: scaled(self.output, to.output, from.output),
            cache_read: scaled(self.cache_read, to.cache_read, from.cache_read),
            cache_write_5m: scaled(self.cache_write_5m, to.cache_write_5m, from.cache_write_5m),
            cache_write_1h: scaled(self.cache_write_1h, to.cache_write_1h, from.cache_write_1h),
        }
    }
}

/// The prices of one tier.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tariff {
    /// Below every threshold.
    pub short: Rates,
    /// Above thresholds, which rise.
    pub long: Vec<(TokenCount, Rates)>,
}

impl Tariff {
    /// The prices for a request with so much input of all kinds.
    pub fn rates(&self, all_input: TokenCount) -> &Rates {
        let passed = self.long.iter().rev().find(|(above, _)| *above < all_input);
        passed.map_or(&self.short, |(_, rates)| rates)
    }

    /// The standard tier. What has no long-context price of its own follows the price of input, and if
    /// that one does not change either, stays as it is.
    fn standard(short: Rates, long: &[LongContext]) -> Self {
        let raised = |long: &LongContext| {
            let rates = long.rates.or(&short.like(&long.rates)).or(&short);
            (long.above, rates)
        };
        Self { short, long: long.iter().map(raised).collect() }
    }

    /// Another tier than this standard one, from what is published for it, long-context prices besides.
    /// A tier is sold if both its input and its output have a price; what else it lacks follows the price
    /// of its input, and its long-context price follows the standard tier's.
    fn tier<'a>(&self, published: &Rates, long: impl Iterator<Item = &'a Rates>) -> Self {
        if published.input.is_none() || published.output.is_none() {
            return self.clone();
        }
        let short = published.or(&self.short.like(published));
        let raised = self.long.iter().zip(long).map(|((above, standard), published)| {
            (*above, published.or(&short.moved(&self.short, standard)))
        });
        Self { long: raised.collect(), short }
    }
}

/// Anthropic's rule for its prompt cache: writing costs 1.25 times the input for five minutes and
/// twice for an hour, reading a tenth.
pub(crate) fn anthropic_rules(input: Option<PicoUsdPerToken>) -> Rates {
    let times = |numerator, denominator| {
        let picos = PicoUsdPerToken::from_picos;
        scaled(input, Some(picos(numerator)), Some(picos(denominator)))
    };
    Rates {
        cache_read: times(1, 10),
        cache_write_5m: times(5, 4),
        cache_write_1h: times(2, 1),
        ..Rates::default()
    }
}

/// `OpenAI`'s rule: writing to the prompt cache is input, unless a price of its own is published.
fn openai_rules(input: Option<PicoUsdPerToken>) -> Rates {
    Rates { cache_write_5m: input, ..Rates::default() }
}

/// `rate` times `numerator / denominator`, rounded half to even. `None` if any of them is not known
/// or the result does not exist; prices are not below zero.
fn scaled(
    rate: Option<PicoUsdPerToken>,
    numerator: Option<PicoUsdPerToken>,
    denominator: Option<PicoUsdPerToken>,
) -> Option<PicoUsdPerToken> {
    let picos = |price: PicoUsdPerToken| i128::from(price.as_picos());
    let (product, divisor) = (picos(rate?) * picos(numerator?), picos(denominator?));
    let (whole, rest) = (product.checked_div(divisor)?, product.checked_rem(divisor)?);
    let up = divisor < 2 * rest || (divisor == 2 * rest && whole % 2 != 0);
    i64::try_from(whole + i128::from(up)).ok().map(PicoUsdPerToken::from_picos)
}

#[cfg(test)]
mod tests;
