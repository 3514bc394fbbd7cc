//! Money: integers only. A nano-dollar is 10⁻⁹ US dollars, a pico-dollar 10⁻¹².

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

use crate::cost::round;

/// Why an amount cannot be had.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MoneyError {
    /// The amount does not fit into 64 bits of nano-dollars (about nine billion dollars).
    #[error("the amount exceeds nine billion dollars")]
    Overflow,
    /// The text is not a decimal number of dollars.
    #[error("not a decimal amount of dollars")]
    NotDecimal,
}

/// An amount of US dollars in nano-dollars. May be negative (a correction).
///
/// Sums saturate: at nine billion dollars a counter stops rather than wraps.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(transparent)]
pub struct NanoUsd(i64);

impl NanoUsd {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// The most that can be said.
    pub const MAX: Self = Self(i64::MAX);

    /// An amount of `nanos` nano-dollars.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The amount in nano-dollars.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Rounds pico-dollars to the nearest nano-dollar, half to even: the one rounding of a request.
    ///
    /// # Errors
    ///
    /// [`MoneyError::Overflow`] if the result does not fit.
    pub fn from_picos(picos: i128) -> Result<Self, MoneyError> {
        let (floor, rest) = (picos.div_euclid(1_000), picos.rem_euclid(1_000));
        let up = rest > 500 || (rest == 500 && floor % 2 != 0);
        i64::try_from(floor + i128::from(up)).map(Self).map_err(|_| MoneyError::Overflow)
    }

    /// This amount times the share that `part` has of `whole`, rounded once, half to even. `None` if `whole`
    /// is nothing, of which there are no shares, or less, or if the result does not fit.
    #[must_use]
    pub fn times_share(self, part: Self, whole: Self) -> Option<Self> {
        if whole <= Self::ZERO {
            return None;
        }
        // Two numbers of 64 bits always fit.
        let product = i128::from(self.0) * i128::from(part.0);
        i64::try_from(round(product, i128::from(whole.0))).ok().map(Self)
    }

    /// Reads a plain decimal number of dollars, such as `2.75`. Digits beyond the ninth decimal
    /// must be zero: an amount is kept as it was written or refused.
    ///
    /// # Errors
    ///
    /// [`MoneyError::NotDecimal`] for anything else, [`MoneyError::Overflow`] if it does not fit.
    pub fn parse_dollars(text: &str) -> Result<Self, MoneyError> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) {
            return Err(MoneyError::NotDecimal);
        }
        let (kept, beyond) = fraction.split_at(fraction.len().min(9));
        if beyond.bytes().any(|b| b != b'0') {
            return Err(MoneyError::NotDecimal);
        }
        let whole: i64 = whole.parse().map_err(|_| MoneyError::Overflow)?;
        let nanos: i64 = format!("{kept:0<9}").parse().map_err(|_| MoneyError::NotDecimal)?;
        let sum = whole.checked_mul(1_000_000_000).and_then(|n| n.checked_add(nanos));
        sum.map(|n| Self(if negative { -n } else { n })).ok_or(MoneyError::Overflow)
    }
}

impl fmt::Display for NanoUsd {
    /// Decimal dollars without a sign for the currency: `0.0105`, at least two decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let (dollars, mut fraction) = (magnitude / 1_000_000_000, magnitude % 1_000_000_000);
        let mut decimals = 9;
        while 2 < decimals && fraction.is_multiple_of(10) {
            fraction /= 10;
            decimals -= 1;
        }
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{dollars}.{fraction:0decimals$}")
    }
}

impl Add for NanoUsd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for NanoUsd {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for NanoUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// A price in pico-dollars for each token: one US dollar per million tokens is 1,000,000.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(transparent)]
pub struct PicoUsdPerToken(i64);

impl PicoUsdPerToken {
    /// A price of `picos` pico-dollars for each token.
    #[must_use]
    pub const fn from_picos(picos: i64) -> Self {
        Self(picos)
    }

    /// The price in pico-dollars for each token.
    pub const fn as_picos(self) -> i64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_share_is_rounded_once() {
        let share = |amount, part, whole| {
            let [amount, part, whole] = [amount, part, whole].map(NanoUsd::from_nanos);
            amount.times_share(part, whole).map(NanoUsd::as_nanos)
        };
        assert_eq!(share(10, 3, 4), Some(8), "half to even");
        assert_eq!(share(6, 3, 4), Some(4), "half to even");
        assert_eq!(share(7, 0, 4), Some(0));
        assert_eq!(share(7, 4, 4), Some(7));
        assert_eq!(share(i64::MAX, i64::MAX, i64::MAX), Some(i64::MAX));
        assert_eq!(share(i64::MAX, 2, 1), None);
        assert_eq!(share(7, 1, 0), None);
    }

    #[test]
    fn rounding_is_half_to_even() {
        let cases = [
            (499, 0),
            (500, 0),
            (501, 1),
            (1_500, 2),
            (2_500, 2),
            (-500, 0),
            (-1_500, -2),
            (-501, -1),
        ];
        for (picos, nanos) in cases {
            assert_eq!(NanoUsd::from_picos(picos), Ok(NanoUsd(nanos)), "{picos} pico-dollars");
        }
        assert_eq!(
            NanoUsd::from_picos(i128::from(i64::MAX) * 1_000 + 501),
            Err(MoneyError::Overflow)
        );
    }

    #[test]
    fn dollars_are_kept_as_written_or_refused() {
        let cases =
            [("2.75", 2_750_000_000), ("0", 0), ("-0.5", -500_000_000), ("0.0000000010", 1)];
        for (text, nanos) in cases {
            assert_eq!(NanoUsd::parse_dollars(text), Ok(NanoUsd(nanos)), "{text}");
        }
        for text in ["", ".5", "1.", "1e3", "+1", " 1", "0.0000000001", "NaN"] {
            assert_eq!(NanoUsd::parse_dollars(text), Err(MoneyError::NotDecimal), "{text:?}");
        }
        assert_eq!(NanoUsd::parse_dollars("9223372037"), Err(MoneyError::Overflow));
    }

    proptest! {
        #[test]
        fn an_amount_reads_back(nanos in (i64::MIN + 1)..) {
            let amount = NanoUsd(nanos);
            prop_assert_eq!(NanoUsd::parse_dollars(&amount.to_string()), Ok(amount));
        }
    }
}
