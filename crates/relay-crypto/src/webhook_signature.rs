//! The signature by which a webhook's receiver knows that Relay has sent what it got, and when.

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

/// The value of a webhook's signature header, `t=<seconds>,v1=<hex>`: HMAC-SHA256 under `secret` over the
/// seconds since 1970 in decimal, a full stop and the body. The time is signed too, so that a receiver can
/// refuse what is old.
///
/// # Panics
///
/// Never: HMAC takes a key of any length.
#[must_use]
#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
pub fn sign_webhook(secret: &SecretString, seconds: u64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    format!("t={seconds},v1={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_other_tools_reckon() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 'a secret of the receiver'
        assert_eq!(
            sign_webhook(&"a secret of the receiver".into(), 1_700_000_000, b"{\"a\":1}"),
            "t=1700000000,v1=719d43160dd8091f1cdca2473a26871d7f4f701b9c72dd2391c6e537c2ec685b"
        );
    }

    #[test]
    fn secret_time_and_body_all_count() {
        let sign = |secret: &str, seconds, body: &[u8]| sign_webhook(&secret.into(), seconds, body);
        let signature = |text: String| text.split_once(",v1=").unwrap().1.to_owned();
        let one = signature(sign("s", 1, b"b"));
        assert_eq!(one.len(), 64);
        for other in [sign("t", 1, b"b"), sign("s", 2, b"b"), sign("s", 1, b"c")] {
            assert_ne!(signature(other), one);
        }
    }
}
