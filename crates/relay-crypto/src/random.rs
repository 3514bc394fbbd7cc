//! Randomness from the operating system.

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

/// Draws `N` random bytes, fit for keys.
///
/// # Panics
///
/// If the operating system has no randomness to give, which no caller could mend.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// Draws 128 random bits.
///
/// # Panics
///
/// As [`random_bytes`].
#[must_use]
pub fn random_u128() -> u128 {
    u128::from_ne_bytes(random_bytes())
}

/// Makes a secret of `bytes` random bytes, written as twice as many lower-case hex digits.
///
/// # Panics
///
/// As [`random_bytes`].
#[must_use]
pub fn generate_secret(bytes: usize) -> SecretString {
    prefixed_secret("", bytes)
}

/// `prefix` and `bytes` random bytes in lower-case hex.
pub(crate) fn prefixed_secret(prefix: &str, bytes: usize) -> SecretString {
    let mut raw = Zeroizing::new(vec![0; bytes]);
    fill(&mut raw);
    let digits = SecretString::from(hex::encode(&*raw));
    // Of the exact capacity, so that no copy stays behind when the text is boxed.
    let mut secret = String::with_capacity(prefix.len() + digits.expose_secret().len());
    secret.push_str(prefix);
    secret.push_str(digits.expose_secret());
    SecretString::from(secret)
}

#[expect(
    clippy::expect_used,
    reason = "without randomness nothing may be minted, and on supported systems the call cannot fail"
)]
fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives randomness");
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_secret_is_lower_case_hex_of_the_length_asked_for() {
        for bytes in [0, 1, 32, 64] {
            let secret = generate_secret(bytes);
            let secret = secret.expose_secret();
            assert_eq!(secret.len(), 2 * bytes);
            assert!(secret.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{secret}");
        }
    }

    #[test]
    fn draws_do_not_repeat() {
        let numbers: HashSet<u128> = (0..1_000).map(|_| random_u128()).collect();
        let arrays: HashSet<[u8; 12]> = (0..1_000).map(|_| random_bytes()).collect();
        let secrets: HashSet<String> =
            (0..1_000).map(|_| generate_secret(16).expose_secret().to_owned()).collect();
        assert_eq!([numbers.len(), arrays.len(), secrets.len()], [1_000; 3]);
    }
}
