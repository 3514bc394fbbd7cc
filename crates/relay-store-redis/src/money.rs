//! Amounts as v1 and v2 stored them: whatever JavaScript prints for a number.

use relay_domain::NanoUsd;

/// Reads a decimal number of dollars, with an exponent if it has one, to the nearest nano-dollar (half to
/// even), without going through a float. `None` if it is no number or too large.
pub(crate) fn parse(text: &str) -> Option<NanoUsd> {
    let text = text.trim();
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if whole.len() + fraction.len() == 0 || !digits().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // More digits than this are beyond a pico-dollar of any amount that fits.
    let (mut value, mut taken) = (0_i128, 0_i32);
    for byte in digits().take(30) {
        value = value * 10 + i128::from(byte - b'0');
        taken += 1;
    }
    let whole_digits = i32::try_from(whole.len()).ok()?;
    let shift = whole_digits.checked_sub(taken)?.checked_add(exponent)?.checked_add(12)?;
    let picos = if shift >= 0 {
        let factor = 10_i128.checked_pow(u32::try_from(shift).ok()?);
        if value == 0 { 0 } else { value.checked_mul(factor?)? }
    } else {
        10_i128.checked_pow(shift.unsigned_abs()).map_or(0, |factor| value / factor)
    };
    NanoUsd::from_picos(if negative { -picos } else { picos }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_javascript_prints_is_read_exactly() {
        let cases = [
            ("0", Some(0)),
            ("2.75", Some(2_750_000_000)),
            ("10", Some(10_000_000_000)),
            ("1e-7", Some(100)),
            ("1.5e-8", Some(15)),
            ("1e3", Some(1_000_000_000_000)),
            ("0.1", Some(100_000_000)),
            ("0.30000000000000004", Some(300_000_000)),
            ("0.0000000005", Some(0)),
            ("0.0000000015", Some(2)),
            ("-0.5", Some(-500_000_000)),
            (" 5 ", Some(5_000_000_000)),
            (".5", Some(500_000_000)),
            ("5.", Some(5_000_000_000)),
            ("0e99999", Some(0)),
            ("1e-99999", Some(0)),
            ("1e21", None),
            ("Infinity", None),
            ("NaN", None),
            ("", None),
            (".", None),
            ("1e", None),
            ("0x10", None),
        ];
        for (text, nanos) in cases {
            assert_eq!(parse(text), nanos.map(NanoUsd::from_nanos), "{text:?}");
        }
    }

    #[test]
    fn what_relay_writes_reads_back() {
        for nanos in [0, 1, 100_000_000_001, i64::MAX, -7] {
            let amount = NanoUsd::from_nanos(nanos);
            assert_eq!(parse(&amount.to_string()), Some(amount));
        }
    }
}
