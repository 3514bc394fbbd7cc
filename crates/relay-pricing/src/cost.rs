//! What a usage costs: exact, with one rounding at the end.

use relay_domain::{MoneyError, NanoUsd, TokenUsage};

use crate::{ChargeKind, ModelPrice, PricingError};

/// A multiplier of one, in thousandths.
const ONE_MILLI: u32 = 1_000;
/// The cost is summed in parts of a pico-dollar, because two multipliers in thousandths apply.
const PARTS_PER_PICO: i128 = 1_000_000;
const PICOS_PER_NANO: i128 = 1_000;

/// What a provider charges for one request, by what it served and not by what was asked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Charge {
    /// The tokens.
    pub usage: TokenUsage,
    /// The tier that served it.
    pub tier: ServiceTier,
    /// Whether the fast mode served it.
    pub fast: bool,
    /// Whether it was kept to the United States, where that has a price.
    pub us_residency: bool,
    /// Web searches that the provider ran.
    pub web_searches: u64,
}

impl From<TokenUsage> for Charge {
    /// Tokens of the standard tier and nothing besides.
    fn from(usage: TokenUsage) -> Self {
        Self { usage, ..Self::default() }
    }
}

/// A provider's way of serving requests sooner or cheaper.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum ServiceTier {
    /// The usual.
    #[default]
    Standard,
    /// Sooner.
    Priority,
    /// Cheaper, and later if need be.
    Flex,
    /// Cheapest, within a day.
    Batch,
}

impl ServiceTier {
    /// The tier that a provider's answer names (`service_tier`). Names without a price of their own,
    /// such as `default` and `scale`, are the standard tier.
    pub fn served(name: &str) -> Self {
        match name {
            "priority" => Self::Priority,
            "flex" => Self::Flex,
            "batch" => Self::Batch,
            _ => Self::Standard,
        }
    }
}

/// What `charge` costs at `price`. Sums are exact; the result is rounded once, half to even.
///
/// # Errors
///
/// [`PricingError::Unpriced`] if something was charged that has no known price: the cost is unknown
/// then, not zero. [`PricingError::Overflow`] beyond nine billion dollars.
pub fn cost(price: &ModelPrice, charge: &Charge) -> Result<NanoUsd, PricingError> {
    let usage = &charge.usage;
    let rates = price.rates(charge.tier, usage.all_input());
    let lines = [
        (usage.input, rates.input, ChargeKind::Input),
        (usage.output, rates.output, ChargeKind::Output),
        (usage.cache_read, rates.cache_read, ChargeKind::CacheRead),
        (usage.cache_write_5m, rates.cache_write_5m, ChargeKind::CacheWrite5m),
        (usage.cache_write_1h, rates.cache_write_1h, ChargeKind::CacheWrite1h),
    ];
    let mut token_picos = 0_i128;
    for (tokens, rate, kind) in lines {
        if tokens.get() == 0 {
            continue;
        }
        let rate = rate.ok_or(PricingError::Unpriced { kind })?;
        // A u64 times an i64 always fits.
        let line = i128::from(tokens.get()) * i128::from(rate.as_picos());
        token_picos = token_picos.checked_add(line).ok_or_else(overflow)?;
    }
    let token_parts = token_picos.checked_mul(multiplier(price, charge)?).ok_or_else(overflow)?;
    let search_parts = search_picos(price, charge)?.checked_mul(PARTS_PER_PICO);
    let parts = search_parts.and_then(|parts| parts.checked_add(token_parts));
    round(parts.ok_or_else(overflow)?)
}

/// By how much fast mode and residency multiply the price of all tokens, in millionths.
fn multiplier(price: &ModelPrice, charge: &Charge) -> Result<i128, PricingError> {
    let milli = |applies: bool, published: Option<u32>, kind| match (applies, published) {
        (false, _) => Ok(ONE_MILLI),
        (true, Some(milli)) => Ok(milli),
        (true, None) => Err(PricingError::Unpriced { kind }),
    };
    let fast = milli(charge.fast, price.fast_milli, ChargeKind::FastMode)?;
    let residency = milli(charge.us_residency, price.us_residency_milli, ChargeKind::UsResidency)?;
    Ok(i128::from(fast) * i128::from(residency))
}

fn search_picos(price: &ModelPrice, charge: &Charge) -> Result<i128, PricingError> {
    if charge.web_searches == 0 {
        return Ok(0);
    }
    let each = price.web_search.ok_or(PricingError::Unpriced { kind: ChargeKind::WebSearch })?;
    let nanos = i128::from(charge.web_searches) * i128::from(each.as_nanos());
    nanos.checked_mul(PICOS_PER_NANO).ok_or_else(overflow)
}

/// Rounds once although it divides twice: what the first division cuts off can only decide what
/// would look like a tie to the second.
fn round(parts: i128) -> Result<NanoUsd, PricingError> {
    let (picos, cut) = (parts.div_euclid(PARTS_PER_PICO), parts.rem_euclid(PARTS_PER_PICO));
    let looks_tied = picos.rem_euclid(PICOS_PER_NANO) == PICOS_PER_NANO / 2;
    NanoUsd::from_picos(picos + i128::from(looks_tied && 0 < cut)).map_err(PricingError::Overflow)
}

fn overflow() -> PricingError {
    PricingError::Overflow(MoneyError::Overflow)
}

#[cfg(test)]
mod tests;
