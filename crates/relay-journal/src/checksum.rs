//! CRC-32 (IEEE 802.3): tells a whole frame from a torn one.

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    // What `index` is as a number; a const function has no conversions.
    let mut value = 0_u32;
    while index < table.len() {
        let mut remainder = value;
        let mut bit = 0;
        while bit < 8 {
            let carry = remainder & 1 == 1;
            remainder >>= 1;
            if carry {
                remainder ^= 0xEDB8_8320;
            }
            bit += 1;
        }
        table[index] = remainder;
        index += 1;
        value += 1;
    }
    table
}

/// The checksum of `bytes`.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut state = u32::MAX;
    for byte in bytes {
        let [low, ..] = state.to_le_bytes();
        state = TABLE[usize::from(low ^ byte)] ^ (state >> 8);
    }
    !state
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_check_value_of_the_standard_comes_out() {
        assert_eq!(super::crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(super::crc32(b""), 0);
    }
}
