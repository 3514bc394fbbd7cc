//! What a request costs, by what it was charged for.

use serde::{Deserialize, Serialize};

use crate::{MoneyError, Multiplier, NanoUsd};

const N_KINDS: usize = 6;

/// A cost by kind. The kinds add up to the total exactly: a request is rounded once, as a whole.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct CostBreakdown {
    /// Of input that was neither read from nor written to the prompt cache.
    pub input: NanoUsd,
    /// Of output.
    pub output: NanoUsd,
    /// Of input read from the prompt cache.
    pub cache_read: NanoUsd,
    /// Of input written to the prompt cache for five minutes.
    pub cache_write_5m: NanoUsd,
    /// Of input written to the prompt cache for an hour.
    pub cache_write_1h: NanoUsd,
    /// Of web searches that the provider ran.
    pub web_search: NanoUsd,
}

impl CostBreakdown {
    /// Nothing.
    pub const ZERO: Self = Self {
        input: NanoUsd::ZERO,
        output: NanoUsd::ZERO,
        cache_read: NanoUsd::ZERO,
        cache_write_5m: NanoUsd::ZERO,
        cache_write_1h: NanoUsd::ZERO,
        web_search: NanoUsd::ZERO,
    };

    /// The sum of all kinds.
    pub fn total(&self) -> NanoUsd {
        self.kinds().into_iter().sum()
    }

    /// A cost from exact amounts in the order of the fields, in parts of which `parts_per_nano` are a
    /// nano-dollar. The total is rounded once, half to even; what that leaves over goes to the kinds that
    /// lost most, so that they add up to it.
    ///
    /// # Errors
    ///
    /// [`MoneyError::Overflow`] beyond nine billion dollars.
    pub fn from_parts(
        parts: [i128; N_KINDS],
        parts_per_nano: NonZeroParts,
    ) -> Result<Self, MoneyError> {
        let per_nano = parts_per_nano.0;
        let sum = parts.into_iter().try_fold(0_i128, i128::checked_add);
        let sum = sum.ok_or(MoneyError::Overflow)?;
        let mut nanos = parts.map(|part| part.div_euclid(per_nano));
        let missing = round(sum, per_nano) - nanos.iter().sum::<i128>();
        let mut by_loss = [0, 1, 2, 3, 4, 5];
        by_loss.sort_by_key(|&kind: &usize| std::cmp::Reverse(parts[kind].rem_euclid(per_nano)));
        for kind in by_loss.into_iter().take(usize::try_from(missing).unwrap_or(0)) {
            nanos[kind] += 1;
        }
        let mut kinds = [NanoUsd::ZERO; N_KINDS];
        for (kind, nanos) in kinds.iter_mut().zip(nanos) {
            let nanos = i64::try_from(nanos).map_err(|_| MoneyError::Overflow)?;
            *kind = NanoUsd::from_nanos(nanos);
        }
        let sum: i128 = kinds.iter().map(|kind| i128::from(kind.as_nanos())).sum();
        i64::try_from(sum).map_err(|_| MoneyError::Overflow)?;
        Ok(Self::of_kinds(kinds))
    }

    /// This cost times the product of `factors`. Its total is the total of this one times the factors,
    /// rounded once, half to even. What does not fit stops at nine billion dollars.
    #[must_use]
    pub fn rated(&self, factors: &[Multiplier]) -> Self {
        let exact = || {
            let mut denominator = 1_i128;
            let mut parts = self.kinds().map(|kind| i128::from(kind.as_nanos()));
            for factor in factors.iter().filter(|factor| **factor != Multiplier::ONE) {
                denominator = denominator.checked_mul(i128::from(Multiplier::ONE.as_micros()))?;
                for part in &mut parts {
                    *part = part.checked_mul(i128::from(factor.as_micros()))?;
                }
            }
            Self::from_parts(parts, NonZeroParts(denominator)).ok()
        };
        exact().unwrap_or_else(|| {
            Self::of_kinds(self.kinds().map(|kind| Multiplier::apply_all(factors, kind)))
        })
    }

    /// This cost as parts of `total`: each kind has its share of it, and they add up to it exactly. `None`
    /// if this cost is nothing, of which there are no shares.
    pub fn shares_of(&self, total: NanoUsd) -> Option<Self> {
        let whole = self.total().as_nanos();
        if whole <= 0 {
            return None;
        }
        let by = i128::from(total.as_nanos());
        // Two numbers of 64 bits always fit.
        let parts = self.kinds().map(|kind| i128::from(kind.as_nanos()) * by);
        Self::from_parts(parts, NonZeroParts::new(whole)).ok()
    }

    /// The cost of each kind, in the order of the fields.
    pub fn kinds(&self) -> [NanoUsd; N_KINDS] {
        [
            self.input,
            self.output,
            self.cache_read,
            self.cache_write_5m,
            self.cache_write_1h,
            self.web_search,
        ]
    }

    /// The cost whose kinds these are, in the order of the fields.
    pub fn of_kinds(kinds: [NanoUsd; N_KINDS]) -> Self {
        Self {
            input: kinds[0],
            output: kinds[1],
            cache_read: kinds[2],
            cache_write_5m: kinds[3],
            cache_write_1h: kinds[4],
            web_search: kinds[5],
        }
    }
}

/// How many parts a nano-dollar has: at least one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NonZeroParts(i128);

impl NonZeroParts {
    /// A nano-dollar of `parts` parts; of one if that is less.
    #[must_use]
    pub const fn new(parts: i64) -> Self {
        // A cast that widens; `From` is not const.
        Self(if parts < 1 { 1 } else { parts as i128 })
    }
}

/// `numerator / denominator`, rounded half to even. The denominator is above zero.
pub(crate) fn round(numerator: i128, denominator: i128) -> i128 {
    let (floor, rest) = (numerator.div_euclid(denominator), numerator.rem_euclid(denominator));
    // Without doubling the rest, which might not fit.
    let up = match rest.cmp(&(denominator - rest)) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => floor % 2 != 0,
        std::cmp::Ordering::Greater => true,
    };
    floor + i128::from(up)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TENTHS: NonZeroParts = NonZeroParts::new(10);

    fn nanos(cost: &CostBreakdown) -> [i64; N_KINDS] {
        cost.kinds().map(NanoUsd::as_nanos)
    }

    #[test]
    fn kinds_add_up_to_a_total_that_is_rounded_once() {
        let cases = [
            ("whole", [10, 20, 0, 0, 0, 0], [1, 2, 0, 0, 0, 0]),
            ("a tie above an even total", [5, 20, 0, 0, 0, 0], [0, 2, 0, 0, 0, 0]),
            ("a tie above an odd total", [5, 10, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0]),
            ("who lost most gets it", [3, 4, 4, 0, 0, 0], [0, 1, 0, 0, 0, 0]),
            ("many small ones", [9, 9, 9, 9, 9, 0], [1, 1, 1, 1, 0, 0]),
            ("what costs nothing gets nothing", [0, 0, 0, 0, 0, 7], [0, 0, 0, 0, 0, 1]),
            ("below zero", [-5, -10, 0, 0, 0, 0], [-1, -1, 0, 0, 0, 0]),
        ];
        for (name, parts, expected) in cases {
            let cost = CostBreakdown::from_parts(parts, TENTHS).unwrap();
            assert_eq!(nanos(&cost), expected, "{name}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_or_stops() {
        for parts in [[i128::MAX; N_KINDS], [i128::from(i64::MAX) * 10, 10, 0, 0, 0, 0]] {
            assert_eq!(CostBreakdown::from_parts(parts, TENTHS), Err(MoneyError::Overflow));
        }
        let most = CostBreakdown { input: NanoUsd::from_nanos(i64::MAX), ..CostBreakdown::ZERO };
        let rated = most.rated(&[Multiplier::from_micros(u32::MAX); 3]);
        assert_eq!(rated.total().as_nanos(), i64::MAX);
    }

    #[test]
    fn nothing_has_no_shares() {
        assert_eq!(CostBreakdown::ZERO.shares_of(NanoUsd::from_nanos(5)), None);
    }

    proptest! {
        #[test]
        fn shares_add_up_to_the_whole(
            nanos in prop::array::uniform6(0..10_i64.pow(15)),
            total in 0..i64::MAX,
        ) {
            let cost = CostBreakdown::of_kinds(nanos.map(NanoUsd::from_nanos));
            let total = NanoUsd::from_nanos(total);
            if let Some(shares) = cost.shares_of(total) {
                prop_assert_eq!(shares.total(), total);
            }
        }

        #[test]
        fn the_total_is_the_rounded_sum(
            parts in prop::array::uniform6(-10_000_i128..1_000_000),
            per_nano in 1_i64..2_000,
        ) {
            let cost = CostBreakdown::from_parts(parts, NonZeroParts::new(per_nano)).unwrap();
            let expected = round(parts.iter().sum(), per_nano.into());
            prop_assert_eq!(i128::from(cost.total().as_nanos()), expected);
            for (nanos, part) in nanos(&cost).into_iter().zip(parts) {
                let off = (i128::from(nanos) * i128::from(per_nano) - part).abs();
                prop_assert!(off < per_nano.into(), "{} of {}", nanos, part);
            }
        }

        #[test]
        fn a_rated_cost_adds_up_to_the_rated_total(
            nanos in prop::array::uniform6(0..10_i64.pow(15)),
            micros in prop::array::uniform3(0..5_000_000_u32),
        ) {
            let cost = CostBreakdown::of_kinds(nanos.map(NanoUsd::from_nanos));
            let factors = micros.map(Multiplier::from_micros);
            let expected = Multiplier::apply_all(&factors, cost.total());
            prop_assert_eq!(cost.rated(&factors).total(), expected);
        }
    }
}
