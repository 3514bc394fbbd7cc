//! Numbers and sections that say how long they are.

use super::codec::Malformed;

/// Writes a number: seven bits a byte, the lowest first.
pub(super) fn put(out: &mut Vec<u8>, mut number: u64) {
    loop {
        // The seven lowest bits.
        let low = number.to_le_bytes()[0] & 0x7f;
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Writes a number that may be negative.
pub(super) fn put_signed(out: &mut Vec<u8>, number: i64) {
    put(out, (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned());
}

/// Writes bytes after their length.
pub(super) fn put_section(out: &mut Vec<u8>, section: &[u8]) {
    put(out, section.len() as u64);
    out.extend_from_slice(section);
}

/// Reads a number, and goes on behind it.
pub(super) fn take(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first().ok_or(Malformed)?;
        *rest = after;
        let low = u64::from(byte & 0x7f);
        if shift == 63 && low > 1 {
            return Err(Malformed);
        }
        number |= low << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Malformed)
}

/// Reads a number that may be negative.
pub(super) fn take_signed(rest: &mut &[u8]) -> Result<i64, Malformed> {
    let raw = take(rest)?;
    Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

/// Reads a number of things.
pub(super) fn take_size(rest: &mut &[u8]) -> Result<usize, Malformed> {
    usize::try_from(take(rest)?).map_err(|_| Malformed)
}

/// Reads so many bytes.
pub(super) fn take_bytes<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    let (bytes, after) = rest.split_at_checked(length).ok_or(Malformed)?;
    *rest = after;
    Ok(bytes)
}

/// Reads bytes that stand after their length.
pub(super) fn take_section<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = take_size(rest)?;
    take_bytes(rest, length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_read_back(number: u64, signed: i64, section: Vec<u8>) {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            put_signed(&mut bytes, signed);
            put_section(&mut bytes, &section);
            let mut rest = &bytes[..];
            prop_assert_eq!(take(&mut rest), Ok(number));
            prop_assert_eq!(take_signed(&mut rest), Ok(signed));
            prop_assert_eq!(take_section(&mut rest), Ok(&section[..]));
            prop_assert!(rest.is_empty());
        }
    }
}
