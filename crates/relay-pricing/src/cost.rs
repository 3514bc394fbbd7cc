//! What a usage costs: exact, with one rounding at the end.

use relay_domain::{
    CostBreakdown, MoneyError, NanoUsd, NonZeroParts, RequestRecord, ServedTerms, ServiceTier,
    TokenUsage,
};

use crate::price::Surcharges;
use crate::{ChargeKind, ModelPrice, PricingError, Rates};

/// A multiplier of one, in thousandths.
const ONE_MILLI: u32 = 1_000;
/// The cost is summed in millionths of a pico-dollar, because two multipliers in thousandths apply.
const PARTS_PER_NANO: i64 = 1_000_000_000;

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

impl From<(TokenUsage, ServedTerms)> for Charge {
    fn from((usage, terms): (TokenUsage, ServedTerms)) -> Self {
        let ServedTerms { tier, fast, us_residency, web_searches } = terms;
        Self { usage, tier, fast, us_residency, web_searches }
    }
}

impl From<&RequestRecord> for Charge {
    /// What a request was served.
    fn from(record: &RequestRecord) -> Self {
        (record.usage, record.terms).into()
    }
}

/// What `charge` costs at `price`. Sums are exact; the result is rounded once, half to even.
///
/// # Errors
///
/// As [`breakdown`].
pub fn cost(price: &ModelPrice, charge: &Charge) -> Result<NanoUsd, PricingError> {
    breakdown(price, charge).map(|cost| cost.total())
}

/// What `charge` costs at `price`, by kind. The kinds add up to the total, which alone is rounded.
///
/// # Errors
///
/// [`PricingError::Unpriced`] if something was charged that has no known price: the cost is unknown
/// then, not zero. [`PricingError::Overflow`] beyond nine billion dollars.
pub fn breakdown(price: &ModelPrice, charge: &Charge) -> Result<CostBreakdown, PricingError> {
    let rates = price.rates(charge.tier, charge.usage.all_input());
    breakdown_at(rates, &price.surcharges(), charge)
}

/// What `charge` costs by kind at these prices of tokens and what comes on top of them.
pub(crate) fn breakdown_at(
    rates: &Rates,
    surcharges: &Surcharges,
    charge: &Charge,
) -> Result<CostBreakdown, PricingError> {
    let usage = &charge.usage;
    let multiplier = multiplier(surcharges, charge)?;
    // In the order of the breakdown's fields.
    let lines = [
        (usage.input, rates.input, ChargeKind::Input),
        (usage.output, rates.output, ChargeKind::Output),
        (usage.cache_read, rates.cache_read, ChargeKind::CacheRead),
        (usage.cache_write_5m, rates.cache_write_5m, ChargeKind::CacheWrite5m),
        (usage.cache_write_1h, rates.cache_write_1h, ChargeKind::CacheWrite1h),
    ];
    let mut parts = [0_i128; 6];
    let [token_parts @ .., search_parts] = &mut parts;
    for (part, (tokens, rate, kind)) in token_parts.iter_mut().zip(lines) {
        if tokens.get() == 0 {
            continue;
        }
        let rate = rate.ok_or(PricingError::Unpriced { kind })?;
        // A u64 times an i64 always fits.
        let picos = i128::from(tokens.get()) * i128::from(rate.as_picos());
        *part = picos.checked_mul(multiplier).ok_or_else(overflow)?;
    }
    *search_parts = searches(surcharges, charge)?;
    CostBreakdown::from_parts(parts, NonZeroParts::new(PARTS_PER_NANO))
        .map_err(PricingError::Overflow)
}

/// By how much fast mode and residency multiply the price of all tokens, in millionths.
fn multiplier(surcharges: &Surcharges, charge: &Charge) -> Result<i128, PricingError> {
    let milli = |applies: bool, published: Option<u32>, kind| match (applies, published) {
        (false, _) => Ok(ONE_MILLI),
        (true, Some(milli)) => Ok(milli),
        (true, None) => Err(PricingError::Unpriced { kind }),
    };
    let Surcharges { fast_milli, us_residency_milli, .. } = *surcharges;
    let fast = milli(charge.fast, fast_milli, ChargeKind::FastMode)?;
    let residency = milli(charge.us_residency, us_residency_milli, ChargeKind::UsResidency)?;
    Ok(i128::from(fast) * i128::from(residency))
}

fn searches(surcharges: &Surcharges, charge: &Charge) -> Result<i128, PricingError> {
    if charge.web_searches == 0 {
        return Ok(0);
    }
    let each =
        surcharges.web_search.ok_or(PricingError::Unpriced { kind: ChargeKind::WebSearch })?;
    let nanos = i128::from(charge.web_searches) * i128::from(each.as_nanos());
    nanos.checked_mul(PARTS_PER_NANO.into()).ok_or_else(overflow)
}

fn overflow() -> PricingError {
    PricingError::Overflow(MoneyError::Overflow)
}

#[cfg(test)]
mod tests;
