//! Money in the admin REST's JSON: a number of dollars, as v2 has it. Inside it is never a float.

use relay_domain::{LimitKind, NanoUsd};
use serde_json::Number;

use super::error::ApiError;

/// Reads a limit. Zero and nothing mean none.
pub(super) fn limit(
    field: &'static str,
    given: Option<&Number>,
) -> Result<Option<NanoUsd>, ApiError> {
    let why = "must be an amount of dollars, at least 0, with up to nine decimals";
    let amount =
        given.map_or(Ok(NanoUsd::ZERO), |dollars| NanoUsd::parse_dollars(&decimal(dollars)));
    match amount {
        Ok(amount) if amount >= NanoUsd::ZERO => Ok((amount > NanoUsd::ZERO).then_some(amount)),
        Ok(_) | Err(_) => Err(ApiError::Invalid { field, why }),
    }
}

/// Shows a limit. None is zero.
pub(crate) fn show(limit: Option<NanoUsd>) -> Number {
    let dollars = limit.unwrap_or(NanoUsd::ZERO).to_string();
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
fn decimal(number: &Number) -> String {
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
}
