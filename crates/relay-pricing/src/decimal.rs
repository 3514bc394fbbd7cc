//! Decimal numbers, exact: a price's text becomes an integer without a floating number in between.

/// The largest number of digits that may fit.
const MAX_DIGITS: usize = 19;

/// Why a text is no number that fits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DecimalError {
    /// It is not a decimal number.
    NotDecimal,
    /// It is too large to be true.
    TooLarge,
}

/// A decimal number, scaled to an integer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Scaled {
    /// The number times a power of ten, rounded to the nearest integer, half to even.
    pub value: i64,
    /// Whether nothing was rounded.
    pub is_exact: bool,
}

/// `text` times ten to the power of `scale`. Takes the numbers of JSON, an exponent among them:
/// `0.000003` and `3e-06` are the same.
///
/// # Errors
///
/// [`DecimalError`] if it is not a number, or does not fit.
pub fn scaled(text: &str, scale: u32) -> Result<Scaled, DecimalError> {
    let (is_negative, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match magnitude.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, read_exponent(exponent)?),
        None => (magnitude, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) if is_digits(fraction) => (whole, fraction),
        Some(_) => return Err(DecimalError::NotDecimal),
        None => (mantissa, ""),
    };
    if !is_digits(whole) {
        return Err(DecimalError::NotDecimal);
    }
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    if digits.is_empty() {
        return Ok(Scaled { value: 0, is_exact: true });
    }
    // How many of the digits stand before the point once the number is scaled.
    let n_dropped = length(&all) - length(digits);
    let n_before = length(whole) - n_dropped + exponent + i64::from(scale);
    let n_before = match usize::try_from(n_before) {
        Ok(n_before) if n_before <= MAX_DIGITS => n_before,
        Ok(_) => return Err(DecimalError::TooLarge),
        Err(_) => return Ok(Scaled { value: 0, is_exact: false }),
    };
    let (before, beyond) = digits.split_at(n_before.min(digits.len()));
    let kept = format!("0{before}{}", "0".repeat(n_before - before.len()));
    let floor: i128 = kept.parse().map_err(|_| DecimalError::NotDecimal)?;
    let value = floor + i128::from(rounds_up(floor, beyond));
    let value = if is_negative { -value } else { value };
    let value = i64::try_from(value).map_err(|_| DecimalError::TooLarge)?;
    Ok(Scaled { value, is_exact: beyond.bytes().all(|digit| digit == b'0') })
}

/// Whether the digits beyond a number round it up, half to even.
fn rounds_up(floor: i128, beyond: &str) -> bool {
    let Some(first) = beyond.bytes().next() else { return false };
    let is_tie = first == b'5' && beyond.bytes().skip(1).all(|digit| digit == b'0');
    if is_tie { floor % 2 != 0 } else { b'5' <= first }
}

fn read_exponent(text: &str) -> Result<i64, DecimalError> {
    let (is_negative, digits) = match (text.strip_prefix('-'), text.strip_prefix('+')) {
        (Some(digits), _) => (true, digits),
        (None, Some(digits)) => (false, digits),
        (None, None) => (false, text),
    };
    if !is_digits(digits) {
        return Err(DecimalError::NotDecimal);
    }
    // Beyond this, only whether the number is zero matters.
    let magnitude = digits.parse::<i64>().unwrap_or(i64::MAX).min(1_000_000_000);
    Ok(if is_negative { -magnitude } else { magnitude })
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prices_are_read_to_the_digit() {
        let exact = |value| Ok(Scaled { value, is_exact: true });
        let rounded = |value| Ok(Scaled { value, is_exact: false });
        let cases = [
            ("3e-06", exact(3_000_000)),
            ("0.000003", exact(3_000_000)),
            ("1.5E-7", exact(150_000)),
            ("5.46875e-07", exact(546_875)),
            ("0", exact(0)),
            ("-0.0", exact(0)),
            ("0e999999999999999999999", exact(0)),
            ("-2e-12", exact(-2)),
            ("15e+0", exact(15_000_000_000_000)),
            ("1.0000000000000001e-07", rounded(100_000)),
            ("7.999999999999999e-07", rounded(800_000)),
            ("5e-13", rounded(0)),
            ("1.5e-12", rounded(2)),
            ("2.5e-12", rounded(2)),
            ("2.50000000000000000001e-12", rounded(3)),
            ("-1.5e-12", rounded(-2)),
            ("1e-400", rounded(0)),
            ("9e-1000000000000", rounded(0)),
            ("1e8", Err(DecimalError::TooLarge)),
            ("1e1000000000000", Err(DecimalError::TooLarge)),
            ("9223372.036854775807", exact(i64::MAX)),
            ("9223372.036854775808", Err(DecimalError::TooLarge)),
        ];
        for (text, expected) in cases {
            assert_eq!(scaled(text, 12), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "", "-", ".5", "1.", "+1", "1e", "1e+", "1e1.5", " 1", "1 ", "NaN", "0x1", "1,5",
            "--1", "１",
        ] {
            assert_eq!(scaled(text, 12), Err(DecimalError::NotDecimal), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_may_be_read(text in "\\PC{0,30}", scale in 0..20_u32) {
            // It must not panic; what it says is for the other tests.
            let _read = scaled(&text, scale);
        }

        #[test]
        fn every_way_to_write_a_number_is_that_number(value: i64, shift in 0..25_usize, scale in 0..13_u32) {
            let sign = if value < 0 { "-" } else { "" };
            let digits = format!("{:0>width$}", value.unsigned_abs(), width = shift + 1);
            let (whole, fraction) = digits.split_at(digits.len() - shift);
            let point = if shift == 0 { "" } else { "." };
            // The point moves left by `shift`, and the exponent says by how much less it should have.
            let exponent = i64::try_from(shift).unwrap() - i64::from(scale);
            let text = format!("{sign}{whole}{point}{fraction}e{exponent}");
            prop_assert_eq!(scaled(&text, scale), Ok(Scaled { value, is_exact: true }), "{}", text);
        }

        #[test]
        fn a_number_is_rounded_to_its_nearest(picos in 0..10_i64.pow(15), beyond in "[0-9]{1,20}") {
            let text = format!("{picos}.{beyond}e-12");
            let read = scaled(&text, 12).unwrap();
            prop_assert!(read.value == picos || read.value == picos + 1, "{} is {}", text, read.value);
            let up = read.value == picos + 1;
            let half = format!("5{}", "0".repeat(beyond.len() - 1));
            prop_assert_eq!(up, beyond > half || (beyond == half && picos % 2 == 1));
        }
    }
}
