//! By how much a cost is multiplied before it counts: v1's service rates, exact.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::NanoUsd;
use crate::cost::round;

/// One, in millionths.
const ONE_MICROS: u32 = 1_000_000;
const DECIMALS: usize = 6;

/// Why a number is no multiplier.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidMultiplier {
    /// It is not a plain decimal number of zero or more.
    #[error("must be a decimal number of zero or more")]
    NotDecimal,
    /// It says more than a millionth.
    #[error("must have at most six decimals")]
    TooFine,
    /// It does not fit.
    #[error("must be at most 4294.967295")]
    TooLarge,
}

/// A factor on a cost, in millionths. Zero makes it free of charge; the default is one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Multiplier(u32);

impl Multiplier {
    /// A cost counts as it is.
    pub const ONE: Self = Self(ONE_MICROS);

    /// A factor of `micros` millionths.
    #[must_use]
    pub const fn from_micros(micros: u32) -> Self {
        Self(micros)
    }

    /// The factor in millionths.
    pub const fn as_micros(self) -> u32 {
        self.0
    }

    /// Reads a factor that something else wrote, such as v1: like [`Multiplier::from_str`], but what is
    /// finer than a millionth is rounded to the nearest, half to even.
    ///
    /// # Errors
    ///
    /// [`InvalidMultiplier::NotDecimal`] and [`InvalidMultiplier::TooLarge`].
    pub fn nearest(text: &str) -> Result<Self, InvalidMultiplier> {
        let (kept, beyond) = split(text)?;
        let half = beyond.strip_prefix('5').map(|rest| rest.bytes().all(|digit| digit == b'0'));
        let up = match half {
            Some(true) => kept % 2 == 1,
            Some(false) => true,
            None => beyond.bytes().next().is_some_and(|digit| b'5' < digit),
        };
        fit(kept.saturating_add(u64::from(up)))
    }

    /// `amount` times this factor, rounded to the nearest nano-dollar, half to even.
    #[must_use]
    pub fn apply(self, amount: NanoUsd) -> NanoUsd {
        Self::apply_all(&[self], amount)
    }

    /// `amount` times the product of `factors`, exact but for one rounding at the end, half to even.
    /// What does not fit stops at nine billion dollars.
    #[must_use]
    pub fn apply_all(factors: &[Self], amount: NanoUsd) -> NanoUsd {
        let exact = factors.iter().filter(|factor| **factor != Self::ONE).try_fold(
            (i128::from(amount.as_nanos()), 1_i128),
            |(numerator, denominator), factor| {
                let numerator = numerator.checked_mul(i128::from(factor.0))?;
                Some((numerator, denominator.checked_mul(i128::from(ONE_MICROS))?))
            },
        );
        // Of up to three factors, only a product that is beyond nine billion dollars does not fit.
        let beyond = if amount < NanoUsd::ZERO { i64::MIN } else { i64::MAX };
        let nanos = exact.map_or(beyond, |(numerator, denominator)| {
            i64::try_from(round(numerator, denominator)).unwrap_or(beyond)
        });
        NanoUsd::from_nanos(nanos)
    }
}

impl Default for Multiplier {
    fn default() -> Self {
        Self::ONE
    }
}

impl FromStr for Multiplier {
    type Err = InvalidMultiplier;

    /// Reads a plain decimal number such as `1.25`. It is kept as it was written or refused.
    fn from_str(text: &str) -> Result<Self, InvalidMultiplier> {
        match split(text)? {
            (kept, beyond) if beyond.bytes().all(|digit| digit == b'0') => fit(kept),
            _ => Err(InvalidMultiplier::TooFine),
        }
    }
}

/// The millionths of a decimal text, and the digits beyond them.
fn split(text: &str) -> Result<(u64, &str), InvalidMultiplier> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return Err(InvalidMultiplier::NotDecimal);
    }
    let (kept, beyond) = fraction.split_at(fraction.len().min(DECIMALS));
    let micros = format!("{whole}{kept:0<DECIMALS$}").parse();
    Ok((micros.map_err(|_| InvalidMultiplier::TooLarge)?, beyond))
}

fn fit(micros: u64) -> Result<Multiplier, InvalidMultiplier> {
    u32::try_from(micros).map(Multiplier).map_err(|_| InvalidMultiplier::TooLarge)
}

impl fmt::Display for Multiplier {
    /// The shortest decimal that reads back: `1`, `1.25`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, micros) = (self.0 / ONE_MICROS, self.0 % ONE_MICROS);
        if micros == 0 {
            return write!(f, "{whole}");
        }
        write!(f, "{whole}.{}", format!("{micros:06}").trim_end_matches('0'))
    }
}

impl Serialize for Multiplier {
    /// A number, as v1 writes it: whole without decimals, otherwise the shortest decimal.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(ONE_MICROS) {
            serializer.serialize_u32(self.0 / ONE_MICROS)
        } else {
            // Both numbers are exact, and so the quotient is the nearest to the decimal.
            serializer.serialize_f64(f64::from(self.0) / f64::from(ONE_MICROS))
        }
    }
}

impl<'de> Deserialize<'de> for Multiplier {
    /// A number, or one in a text. It is read by its shortest decimal.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Multiplier;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal number of zero or more with at most six decimals")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Multiplier, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Multiplier, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Multiplier, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Multiplier, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, F64Deserializer};

    use super::*;

    fn times(text: &str) -> Multiplier {
        text.parse().unwrap()
    }

    #[test]
    fn a_factor_is_kept_as_written_or_refused() {
        let cases = [("1", 1_000_000), ("0", 0), ("1.25", 1_250_000), ("0.0000010", 1)];
        for (text, micros) in cases {
            assert_eq!(text.parse(), Ok(Multiplier(micros)), "{text}");
        }
        for text in ["", ".5", "1.", "-1", "+1", "1e3", " 1", "NaN", "1.2.3"] {
            assert_eq!(text.parse::<Multiplier>(), Err(InvalidMultiplier::NotDecimal), "{text:?}");
        }
        assert_eq!("0.0000001".parse::<Multiplier>(), Err(InvalidMultiplier::TooFine));
        for text in ["4295", "99999999999999999999"] {
            assert_eq!(text.parse::<Multiplier>(), Err(InvalidMultiplier::TooLarge), "{text}");
        }
    }

    #[test]
    fn what_others_wrote_is_rounded_half_to_even() {
        let cases = [
            ("0.3333333333333333", 333_333),
            ("0.6666666666666666", 666_667),
            ("0.0000005", 0),
            ("0.0000015", 2),
            ("0.00000050001", 1),
            ("1.1", 1_100_000),
        ];
        for (text, micros) in cases {
            assert_eq!(Multiplier::nearest(text), Ok(Multiplier(micros)), "{text}");
        }
        assert_eq!(Multiplier::nearest("-1"), Err(InvalidMultiplier::NotDecimal));
        assert_eq!(Multiplier::nearest("4294.9672956"), Err(InvalidMultiplier::TooLarge));
    }

    #[test]
    fn a_cost_is_rounded_once_half_to_even() {
        let cases = [
            (3, "0.5", 2),
            (5, "0.5", 2),
            (-3, "0.5", -2),
            (-5, "0.5", -2),
            (7, "1", 7),
            (7, "0", 0),
            (1_000, "1.25", 1_250),
            (1, "0.500001", 1),
        ];
        for (nanos, factor, expected) in cases {
            let rated = times(factor).apply(NanoUsd::from_nanos(nanos));
            assert_eq!(rated.as_nanos(), expected, "{nanos} × {factor}");
        }
        // 5 × 0.5 = 2.5 would be 2, and 2 × 0.6 = 1.2 would be 1; at once it is 1.5.
        let once = Multiplier::apply_all(&[times("0.5"), times("0.6")], NanoUsd::from_nanos(5));
        assert_eq!(once.as_nanos(), 2);
        let huge = [Multiplier(u32::MAX); 3];
        for nanos in [i64::MAX, i64::MIN] {
            let rated = Multiplier::apply_all(&huge, NanoUsd::from_nanos(nanos));
            assert_eq!(rated.as_nanos(), nanos);
        }
    }

    proptest! {
        #[test]
        fn a_factor_reads_back(micros: u32) {
            let factor = Multiplier(micros);
            prop_assert_eq!(factor.to_string().parse(), Ok(factor));
            prop_assert_eq!(Multiplier::nearest(&factor.to_string()), Ok(factor));
            let number = f64::from(micros) / 1e6;
            let number: F64Deserializer<Error> = number.into_deserializer();
            prop_assert_eq!(Multiplier::deserialize(number), Ok(factor));
        }

        #[test]
        fn the_order_of_factors_does_not_matter(a: u32, b: u32, c: u32, nanos: i64) {
            let rated = |factors: [u32; 3]| {
                Multiplier::apply_all(&factors.map(Multiplier), NanoUsd::from_nanos(nanos))
            };
            prop_assert_eq!(rated([a, b, c]), rated([c, b, a]));
            prop_assert_eq!(rated([a, b, c]), rated([b, c, a]));
        }
    }
}
