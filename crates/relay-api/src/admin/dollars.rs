//! Money in the admin REST's JSON: a number of dollars, as v2 has it. Inside it is never a float.

use relay_domain::{LimitKind, NanoUsd, PicoUsdPerToken};
use relay_pricing::decimal::scaled;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Number;

use super::error::ApiError;

/// Reads a limit. Zero and nothing mean none.
pub(super) fn limit(
    field: &'static str,
    given: Option<&Number>,
) -> Result<Option<NanoUsd>, ApiError> {
    let amount = given.map_or(Ok(NanoUsd::ZERO), |dollars| amount(field, dollars))?;
    Ok((amount > NanoUsd::ZERO).then_some(amount))
}

/// What is wrong with an amount that is none.
const NO_AMOUNT: &str = "must be an amount of dollars, at least 0, with up to nine decimals";

/// Reads an amount of zero or more.
pub(super) fn amount(field: &'static str, dollars: &Number) -> Result<NanoUsd, ApiError> {
    parse(dollars).ok_or(ApiError::Invalid { field, why: NO_AMOUNT })
}

fn parse(dollars: &Number) -> Option<NanoUsd> {
    let amount = NanoUsd::parse_dollars(&decimal(dollars)).ok();
    amount.filter(|amount| *amount >= NanoUsd::ZERO)
}

/// An amount of zero or more in a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Dollars(pub(super) NanoUsd);

impl<'de> Deserialize<'de> for Dollars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let dollars = Number::deserialize(deserializer)?;
        parse(&dollars).map(Self).ok_or_else(|| D::Error::custom(NO_AMOUNT))
    }
}

/// Reads a price in dollars per million tokens.
pub(super) fn read_per_million(
    field: &'static str,
    dollars: &Number,
) -> Result<PicoUsdPerToken, ApiError> {
    let why = "must be dollars per million tokens, at least 0, with up to six decimals";
    let picos = exact(dollars, 6).map(PicoUsdPerToken::from_picos);
    picos.ok_or(ApiError::Invalid { field, why })
}

/// Shows a price in dollars per million tokens.
pub(super) fn show_per_million(rate: PicoUsdPerToken) -> Number {
    // So many millionths of a dollar as the price has pico-dollars.
    show(Some(NanoUsd::from_nanos(rate.as_picos().saturating_mul(1_000))))
}

/// Reads a multiplier with up to three decimals, in thousandths.
pub(super) fn read_milli(field: &'static str, number: &Number) -> Result<u32, ApiError> {
    let milli = exact(number, 3).and_then(|milli| u32::try_from(milli).ok());
    milli.ok_or(ApiError::Invalid { field, why: "must be a number with up to three decimals" })
}

/// Shows a multiplier of so many thousandths.
pub(super) fn show_milli(milli: u32) -> Number {
    show(Some(NanoUsd::from_nanos(i64::from(milli) * 1_000_000)))
}

/// A number of zero or more times ten to the power of `scale`, if that is a whole one.
fn exact(number: &Number, scale: u32) -> Option<i64> {
    let scaled = scaled(&decimal(number), scale).ok()?;
    (scaled.is_exact && 0 <= scaled.value).then_some(scaled.value)
}

/// Shows a limit. None is zero.
pub(crate) fn show(limit: Option<NanoUsd>) -> Number {
    let amount = limit.unwrap_or(NanoUsd::ZERO);
    if amount == NanoUsd::ZERO {
        return Number::from(0);
    }
    let dollars = amount.to_string();
    // Its text is a decimal number, so that it is one in JSON too.
    dollars.strip_suffix(".00").unwrap_or(&dollars).parse().unwrap_or_else(|_| Number::from(0))
}

/// Shows an amount of what a limit counts: dollars where that is money.
pub(super) fn amount_of(limit: LimitKind, amount: u64) -> Number {
    if !limit.is_money() {
        return Number::from(amount);
    }
    let nanos = i64::try_from(amount).unwrap_or(i64::MAX);
    show(Some(NanoUsd::from_nanos(nanos)))
}

/// The number as the shortest decimal text that means it, without an exponent.
pub(crate) fn decimal(number: &Number) -> String {
    match (number.as_i64(), number.as_f64()) {
        (None, Some(fraction)) => fraction.to_string(),
        (Some(_), _) | (None, None) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_shown_exactly() {
        let cases = [
            ("0", None, "0"),
            ("0.0", None, "0"),
            ("2.75", Some(2_750_000_000), "2.75"),
            ("100", Some(100_000_000_000), "100"),
            ("0.000000001", Some(1), "1e-9"),
            ("0.0000000001", None, "refused"),
            ("1e400", None, "refused"),
            ("0.0001", Some(100_000), "0.0001"),
            ("-1", None, "refused"),
        ];
        for (text, nanos, shown) in cases {
            let Ok(number) = text.parse() else {
                assert_eq!(shown, "refused", "{text}");
                continue;
            };
            match limit("dailyCostLimit", Some(&number)) {
                Ok(limit) => {
                    assert_eq!(limit, nanos.map(NanoUsd::from_nanos), "{text}");
                    assert_eq!(show(limit).to_string(), shown, "{text}");
                }
                Err(error) => {
                    assert_eq!(shown, "refused", "{text}");
                    assert!(error.to_string().starts_with("dailyCostLimit must be"), "{error}");
                }
            }
        }
        assert!(matches!(limit("dailyCostLimit", None), Ok(None)));
    }

    #[test]
    fn prices_and_multipliers_are_read_and_shown_exactly() {
        let prices = [
            ("3", Some(3_000_000), "3"),
            ("0.3", Some(300_000), "0.3"),
            ("22.5", Some(22_500_000), "22.5"),
            ("0.000001", Some(1), "0.000001"),
            ("0.0000001", None, ""),
            ("-1", None, ""),
            ("0", Some(0), "0"),
            ("1e30", None, ""),
        ];
        for (text, picos, shown) in prices {
            let read = read_per_million("input", &text.parse().unwrap());
            let picos = picos.map(PicoUsdPerToken::from_picos);
            assert_eq!(read.ok(), picos, "{text}");
            if let Some(picos) = picos {
                let number: Number = shown.parse().unwrap();
                assert_eq!(show_per_million(picos), number, "{text}");
            }
        }
        let multipliers =
            [("1.1", Some(1_100)), ("6", Some(6_000)), ("1.0001", None), ("-1", None)];
        for (text, milli) in multipliers {
            let number: Number = text.parse().unwrap();
            assert_eq!(read_milli("fastMultiplier", &number).ok(), milli, "{text}");
            if let Some(milli) = milli {
                assert_eq!(show_milli(milli), number, "{text}");
            }
        }
    }
}
