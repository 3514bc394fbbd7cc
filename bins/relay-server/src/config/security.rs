//! `[secrets]`, `[admin]` and `[keys]`: what Relay seals, signs and mints with.

use std::time::Duration;

use relay_crypto::api_key::DEFAULT_PREFIX;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};

use super::{Objection, within};

/// Below this a token could be forged by trying secrets. v2 asks for as much.
const SHORTEST_JWT_SECRET: usize = 32;
/// What stands in the examples of v1, v2 and their installers instead of a secret.
const PLACEHOLDERS: &[&str] =
    &["change-this", "change_this", "changethis", "change-me", "change_me", "changeme"];

/// Secrets that the operator gives. Those left out are generated, once.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SecretsSection {
    /// Signs administrators' sessions.
    #[serde(deserialize_with = "secret")]
    pub(crate) jwt_secret: Option<SecretString>,
    /// Seals accounts' credentials and salts the digests of API keys.
    #[serde(deserialize_with = "secret")]
    pub(crate) encryption_key: Option<SecretString>,
}

/// The administrator's login, as it is made at the first start.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AdminSection {
    pub(crate) username: Option<String>,
    #[serde(deserialize_with = "secret")]
    pub(crate) password: Option<SecretString>,
    session_timeout_ms: u64,
}

/// API keys that are minted.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct KeysSection {
    pub(crate) prefix: String,
}

impl SecretsSection {
    pub(super) fn validate(&self) -> Result<(), Objection> {
        let hint = "choose a random one, or leave it out and Relay generates one";
        for (path, secret) in [
            ("secrets.jwt_secret", &self.jwt_secret),
            ("secrets.encryption_key", &self.encryption_key),
        ] {
            if secret.as_ref().is_some_and(is_placeholder) {
                return Err(Objection::new(
                    path,
                    format!("it is a placeholder that everybody knows; {hint}"),
                ));
            }
        }
        let short = |secret: &SecretString| secret.expose_secret().len() < SHORTEST_JWT_SECRET;
        if self.jwt_secret.as_ref().is_some_and(short) {
            let why = format!("it is shorter than {SHORTEST_JWT_SECRET} bytes; {hint}");
            return Err(Objection::new("secrets.jwt_secret", why));
        }
        Ok(())
    }
}

impl Default for AdminSection {
    fn default() -> Self {
        Self { username: None, password: None, session_timeout_ms: 86_400_000 }
    }
}

impl AdminSection {
    pub(super) fn validate(&self) -> Result<(), Objection> {
        if self.password.as_ref().is_some_and(is_placeholder) {
            return Err(Objection::new(
                "admin.password",
                "it is a placeholder that everybody knows; choose another",
            ));
        }
        within("admin.session_timeout_ms", self.session_timeout_ms, 60_000..=31_536_000_000)
    }

    /// How long a session of an administrator lasts.
    pub(crate) fn session_timeout(&self) -> Duration {
        Duration::from_millis(self.session_timeout_ms)
    }
}

impl Default for KeysSection {
    fn default() -> Self {
        Self { prefix: DEFAULT_PREFIX.to_owned() }
    }
}

impl KeysSection {
    pub(super) fn validate(&self) -> Result<(), Objection> {
        let plain = self.prefix.bytes().all(|b| b.is_ascii_graphic());
        if plain && self.prefix.len() <= 32 {
            return Ok(());
        }
        Err(Objection::new("keys.prefix", "expected at most 32 visible ASCII characters"))
    }
}

fn is_placeholder(secret: &SecretString) -> bool {
    let text = secret.expose_secret().to_ascii_lowercase();
    let asks_for_yours = text.starts_with("your-") || text.starts_with("your_");
    asks_for_yours || PLACEHOLDERS.iter().any(|placeholder| text.contains(placeholder))
}

/// A secret; an empty one is none.
pub(super) fn secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()).map(SecretString::from))
}
