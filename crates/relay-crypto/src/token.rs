//! Tokens of administrators' sessions: JWTs signed with HS256, as v2 issues them.
//!
//! A token cannot be revoked by itself. It names the epoch of its administrator's sessions; when
//! the stored epoch moves on, as with a change of password, every token of before is void. Comparing
//! is the caller's part, because the epoch is in the store.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::error::CryptoError;

/// What a token says.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Claims {
    /// Who logged in.
    pub username: String,
    /// What they may do.
    pub role: Role,
    /// When the token was issued, in seconds since 1970.
    #[serde(rename = "iat")]
    pub issued_at_s: u64,
    /// From when on the token is no longer good, in seconds since 1970.
    #[serde(rename = "exp")]
    pub expires_at_s: u64,
    /// The epoch of sessions that the token belongs to; void unless it equals the stored one. Tokens
    /// of v2 have none and belong to epoch 0.
    #[serde(default, skip_serializing_if = "is_first_epoch")]
    pub epoch: u64,
}

/// What the bearer of a token may do.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Admin,
}

/// Issues and verifies tokens.
pub struct TokenSigner {
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
}

impl TokenSigner {
    /// A signer with `secret`, the text of `JWT_SECRET`.
    #[must_use]
    pub fn new(secret: &SecretString) -> Self {
        let secret = secret.expose_secret().as_bytes();
        let mut validation = Validation::new(Algorithm::HS256);
        // The library would ask the system's clock; the claims are required by their type.
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        Self {
            signing: EncodingKey::from_secret(secret),
            verifying: DecodingKey::from_secret(secret),
            validation,
        }
    }

    /// Issues a token for the administrator `username` in the session epoch `epoch`, at `now_ms`
    /// milliseconds since 1970, good for `ttl` in whole seconds.
    ///
    /// # Errors
    ///
    /// [`CryptoError::TokenSigning`], which does not occur with a key of this kind.
    pub fn issue(
        &self,
        username: &str,
        epoch: u64,
        now_ms: u64,
        ttl: Duration,
    ) -> Result<SecretString, CryptoError> {
        let issued_at_s = now_ms / 1_000;
        let claims = Claims {
            username: username.to_owned(),
            role: Role::Admin,
            issued_at_s,
            expires_at_s: issued_at_s.saturating_add(ttl.as_secs()),
            epoch,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing)
            .map(SecretString::from)
            .map_err(CryptoError::TokenSigning)
    }

    /// What `token` says, if it is one of ours and still good at `now_ms` milliseconds since 1970.
    /// The caller compares [`Claims::epoch`] with the stored one.
    ///
    /// # Errors
    ///
    /// [`CryptoError::InvalidToken`] if it is not ours or was signed by any algorithm but HS256,
    /// [`CryptoError::ExpiredToken`] if its time is over.
    pub fn verify(&self, token: &str, now_ms: u64) -> Result<Claims, CryptoError> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.verifying, &self.validation)
            .map_err(CryptoError::InvalidToken)?
            .claims;
        if now_ms / 1_000 < claims.expires_at_s {
            Ok(claims)
        } else {
            Err(CryptoError::ExpiredToken)
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_first_epoch(epoch: &u64) -> bool {
    *epoch == 0
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::vectors::Vectors;

    const NOW_MS: u64 = 1_795_407_891_000;
    const DAY: Duration = Duration::from_hours(24);

    fn signer() -> TokenSigner {
        TokenSigner::new(&Vectors::load().jwt.secret)
    }

    /// A token of any header and claims, signed with `secret` as the header's algorithm says.
    fn forged(header: &Header, claims: &Value, secret: &str) -> String {
        jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    }

    fn refusal(token: &str, now_ms: u64) -> &'static str {
        match signer().verify(token, now_ms) {
            Ok(_) => "good",
            Err(CryptoError::InvalidToken(_)) => "invalid",
            Err(CryptoError::ExpiredToken) => "expired",
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_token_of_v2_is_good_and_belongs_to_epoch_0() {
        let expected = Claims {
            username: "admin".to_owned(),
            role: Role::Admin,
            issued_at_s: 1_795_407_891,
            expires_at_s: 1_795_494_291,
            epoch: 0,
        };
        assert_eq!(signer().verify(&Vectors::load().jwt.token, NOW_MS).unwrap(), expected);
    }

    #[test]
    fn our_token_of_epoch_0_says_what_that_of_v2_says() {
        let ours = signer().issue("admin", 0, NOW_MS + 999, DAY).unwrap();
        let theirs = Vectors::load().jwt.token;
        assert_eq!(ours.expose_secret().split('.').nth(1), theirs.split('.').nth(1));
    }

    #[test]
    fn a_token_carries_its_epoch() {
        let token = signer().issue("röot", 7, NOW_MS, DAY).unwrap();
        let claims = signer().verify(token.expose_secret(), NOW_MS).unwrap();
        assert_eq!((claims.username.as_str(), claims.epoch), ("röot", 7));
    }

    #[test]
    fn a_token_is_good_until_its_last_second() {
        let token = signer().issue("admin", 0, NOW_MS, DAY).unwrap();
        let end_ms = NOW_MS + 86_400_000;
        let cases = [(0, "good"), (NOW_MS, "good"), (end_ms - 1, "good"), (end_ms, "expired")];
        for (now_ms, expected) in cases {
            assert_eq!(refusal(token.expose_secret(), now_ms), expected, "at {now_ms}");
        }
    }

    #[test]
    fn only_the_given_time_counts_and_no_clock() {
        let token = signer().issue("admin", 0, 0, DAY).unwrap();
        assert_eq!(refusal(token.expose_secret(), 1_000), "good");
    }

    #[test]
    fn a_life_without_end_does_not_overflow() {
        let token = signer().issue("admin", 0, u64::MAX, Duration::MAX).unwrap();
        assert_eq!(refusal(token.expose_secret(), u64::MAX), "good");
    }

    #[test]
    fn only_tokens_of_our_own_making_are_good() {
        let secret = Vectors::load().jwt.secret.expose_secret().to_owned();
        let hs256 = Header::new(Algorithm::HS256);
        let claims = json!({"username": "admin", "role": "admin", "iat": 0, "exp": u32::MAX});
        let without = |name: &str| {
            let mut claims = claims.clone();
            claims.as_object_mut().unwrap().remove(name);
            forged(&hs256, &claims, &secret)
        };
        let with = |name: &str, value: Value| {
            let mut claims = claims.clone();
            claims[name] = value;
            forged(&hs256, &claims, &secret)
        };
        let good = forged(&hs256, &claims, &secret);
        let (head, signature) = good.rsplit_once('.').unwrap();
        // {"alg":"none","typ":"JWT"}
        let unsigned =
            format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}", good.split('.').nth(1).unwrap());
        let cases = [
            ("as issued", good.clone(), "good"),
            ("another secret", forged(&hs256, &claims, "another secret"), "invalid"),
            ("HS384", forged(&Header::new(Algorithm::HS384), &claims, &secret), "invalid"),
            ("HS512", forged(&Header::new(Algorithm::HS512), &claims, &secret), "invalid"),
            ("no algorithm", format!("{unsigned}."), "invalid"),
            ("no algorithm, our signature", format!("{unsigned}.{signature}"), "invalid"),
            ("no signature", format!("{head}."), "invalid"),
            ("another role", with("role", json!("viewer")), "invalid"),
            ("an epoch that is text", with("epoch", json!("0")), "invalid"),
            ("a negative epoch", with("epoch", json!(-1)), "invalid"),
            ("no role", without("role"), "invalid"),
            ("no username", without("username"), "invalid"),
            ("no end", without("exp"), "invalid"),
            ("nothing", String::new(), "invalid"),
            ("no token", "a.b.c".to_owned(), "invalid"),
        ];
        for (name, token, expected) in cases {
            assert_eq!(refusal(&token, NOW_MS), expected, "{name}");
        }
    }
}
