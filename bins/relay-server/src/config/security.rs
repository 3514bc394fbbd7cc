//! `[secrets]`, `[admin]` and `[keys]`: what Relay seals, signs and mints with.

use std::time::Duration;

use relay_crypto::api_key::DEFAULT_PREFIX;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};

use super::Objections;
use super::compat::Compat;

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
    pub(super) fn validate(&self, compat: Option<Compat>, objections: &mut Objections) {
        const HINT: &str = "choose a random one, or leave it out and Relay generates one";
        let placeholder = format!("it is a placeholder that everybody knows; {HINT}");
        if self.jwt_secret.as_ref().is_some_and(is_placeholder) {
            objections.add("secrets.jwt_secret", placeholder.clone());
        }
        // Accounts that a predecessor sealed with it can be opened with nothing else.
        if self.encryption_key_is_known() && compat.is_none() {
            let taken_over = "; if a v1 or v2 worked with it and its data is to be taken over, set RELAY_COMPAT too";
            objections.add("secrets.encryption_key", placeholder + taken_over);
        }
        let short = |secret: &SecretString| secret.expose_secret().len() < SHORTEST_JWT_SECRET;
        if self.jwt_secret.as_ref().is_some_and(short) {
            let why = format!("it is shorter than {SHORTEST_JWT_SECRET} bytes; {HINT}");
            objections.add("secrets.jwt_secret", why);
        }
    }

    /// Whether the encryption key is one that everybody knows.
    pub(super) fn encryption_key_is_known(&self) -> bool {
        self.encryption_key.as_ref().is_some_and(is_placeholder)
    }
}

impl Default for AdminSection {
    fn default() -> Self {
        Self { username: None, password: None, session_timeout_ms: 86_400_000 }
    }
}

impl AdminSection {
    pub(super) fn validate(&self, objections: &mut Objections) {
        if self.password.as_ref().is_some_and(is_placeholder) {
            let why = "it is a placeholder that everybody knows; choose another";
            objections.add("admin.password", why);
        }
        let (path, sensible) = ("admin.session_timeout_ms", 60_000..=31_536_000_000);
        objections.within(path, self.session_timeout_ms, sensible);
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
    pub(super) fn validate(&self, objections: &mut Objections) {
        let plain = self.prefix.bytes().all(|b| b.is_ascii_graphic());
        if !plain || self.prefix.len() > 32 {
            objections.add("keys.prefix", "expected at most 32 visible ASCII characters");
        }
    }
}

/// Whether it is what examples have in a secret's place.
pub(super) fn is_placeholder(secret: &SecretString) -> bool {
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
