//! What one model costs: the published prices, completed where the provider's rules say how.
//!
//! All combinations of tier and context length are worked out once, when the book is read, so that
//! pricing a request is a lookup and a sum. A price worked out here is a whole number of
//! pico-dollars, as a published one is.

use relay_domain::{NanoUsd, PicoUsdPerToken, TokenCount};
use serde::Deserialize;

use crate::ServiceTier;
use crate::file::PublishedPrice;

/// Anthropic charges every web search alike, whatever the model: 10 dollars for a thousand.
const ANTHROPIC_WEB_SEARCH: NanoUsd = NanoUsd::from_nanos(10_000_000);

/// What one model costs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ModelPrice {
    provider: String,
    long_above: Option<TokenCount>,
    standard: Tariff,
    priority: Tariff,
    flex: Tariff,
    batch: Tariff,
    pub(crate) fast_milli: Option<u32>,
    pub(crate) us_residency_milli: Option<u32>,
    pub(crate) web_search: Option<NanoUsd>,
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

    /// The prices of tokens for a request with so much input of all kinds: beyond the provider's
    /// threshold all of its tokens cost the long-context price, output included.
    ///
    /// A tier that the provider does not sell for the model costs what the standard tier does: the
    /// provider serves such a request as a standard one.
    pub fn rates(&self, tier: ServiceTier, all_input: TokenCount) -> &Rates {
        let tariff = match tier {
            ServiceTier::Standard => &self.standard,
            ServiceTier::Priority => &self.priority,
            ServiceTier::Flex => &self.flex,
            ServiceTier::Batch => &self.batch,
        };
        let is_long = self.long_above.is_some_and(|above| above < all_input);
        if is_long { &tariff.long } else { &tariff.short }
    }

    /// The price that follows from what is published.
    pub(crate) fn complete(published: PublishedPrice) -> Self {
        let is_anthropic = published.provider == "anthropic";
        let of_provider = match published.provider.as_str() {
            "anthropic" => anthropic_rules(published.standard.input),
            "openai" => openai_rules(published.standard.input),
            _ => Rates::default(),
        };
        let short = published.standard.or(&of_provider);
        let long =
            published.long.as_ref().map_or(short, |long| long.rates.or(&short.like(&long.rates)));
        let standard = Tariff { short, long };
        let tier = |rates: &Rates| standard.tier(rates);
        Self {
            provider: published.provider,
            long_above: published.long.as_ref().map(|long| long.above),
            standard,
            priority: tier(&published.priority),
            flex: tier(&published.flex),
            batch: tier(&published.batch),
            fast_milli: published.fast_milli,
            us_residency_milli: published.us_residency_milli,
            web_search: published
                .web_search_nanos
                .or_else(|| is_anthropic.then_some(ANTHROPIC_WEB_SEARCH)),
            max_input_tokens: published.max_input_tokens,
            max_output_tokens: published.max_output_tokens,
        }
    }
}

/// Prices of tokens by kind. `None`: not known.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Of input that is neither read from nor written to the prompt cache.
    pub input: Option<PicoUsdPerToken>,
    /// Of output.
    pub output: Option<PicoUsdPerToken>,
    /// Of input read from the prompt cache.
    pub cache_read: Option<PicoUsdPerToken>,
    /// Of input written to the prompt cache for five minutes.
    pub cache_write_5m: Option<PicoUsdPerToken>,
    /// Of input written to the prompt cache for an hour.
    pub cache_write_1h: Option<PicoUsdPerToken>,
}

impl Rates {
    pub(crate) fn all(&self) -> [Option<PicoUsdPerToken>; 5] {
        [self.input, self.output, self.cache_read, self.cache_write_5m, self.cache_write_1h]
    }

    /// These prices, and where there is none that of `fallback`.
    fn or(&self, fallback: &Self) -> Self {
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
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Tariff {
    short: Rates,
    /// Beyond the long-context threshold; the same as `short` if there is none.
    long: Rates,
}

impl Tariff {
    /// Another tier than this standard one, from what is published for it. A tier is sold if both
    /// its input and its output have a price; what else it lacks follows the price of its input,
    /// and its long-context price follows the standard tier's.
    fn tier(&self, published: &Rates) -> Self {
        if published.input.is_none() || published.output.is_none() {
            return *self;
        }
        let short = published.or(&self.short.like(published));
        Self { short, long: short.moved(&self.short, &self.long) }
    }
}

/// Anthropic's rule for its prompt cache: writing costs 1.25 times the input for five minutes and
/// twice for an hour, reading a tenth.
fn anthropic_rules(input: Option<PicoUsdPerToken>) -> Rates {
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
