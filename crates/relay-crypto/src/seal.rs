//! Sealing of account secrets: what is written to a store, and how it opens again.
//!
//! Two forms exist. Ours is authenticated (AES-256-GCM) and says its version. The predecessors'
//! (AES-256-CBC, in `seal::legacy`) is written only where they must be able to read it.
//!
//! Nothing here ever hands the stored text back as the secret because it failed to open: it would
//! be sent to a provider as a credential.

mod legacy;

use std::sync::OnceLock;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, ExposeSecretMut, SecretBox, SecretString};

use crate::error::CryptoError;
use crate::key_derivation::stretch;
use crate::random::random_bytes;

/// What an authenticated seal begins with. Being part of what is authenticated, it cannot be
/// exchanged for that of another version.
const AEAD_PREFIX: &str = "v1.aead:";
const AEAD_SALT: &str = "relay-seal-v1";
const NONCE_BYTES: usize = 12;

/// The form in which secrets are sealed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SealFormat {
    /// `v1.aead:` and hex of nonce, ciphertext and tag of AES-256-GCM.
    Aead,
    /// The predecessors' form, for a store that they read too.
    Legacy,
}

/// From which salt the key of a legacy seal was derived. The sealed text does not say it; the kind
/// of account does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LegacySalt {
    /// v1's Claude console accounts, and all accounts of v2.
    Console,
    /// v1's `OpenAI` Responses accounts.
    Responses,
}

/// Seals and opens secrets with keys derived from `ENCRYPTION_KEY`.
///
/// Each key is derived when it is first needed, which takes tens of milliseconds, and kept.
pub struct Keyring {
    format: SealFormat,
    aead: DerivedKey,
    console: DerivedKey,
    responses: DerivedKey,
}

impl Keyring {
    /// A keyring for `encryption_key`, the text of `ENCRYPTION_KEY` as configured, that seals in
    /// `format` and opens every form.
    #[must_use]
    pub fn new(encryption_key: &SecretString, format: SealFormat) -> Self {
        let key = |salt| DerivedKey::new(encryption_key, salt);
        Self {
            format,
            aead: key(AEAD_SALT),
            console: key(legacy::CONSOLE_SALT),
            responses: key(legacy::RESPONSES_SALT),
        }
    }

    /// Seals `secret` in this keyring's format; `salt` says with which key, if that is the legacy one.
    /// An empty secret stays an empty text.
    ///
    /// # Errors
    ///
    /// [`CryptoError::TooLongToSeal`] above 64 GiB, and the scrypt errors, which do not occur.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give.
    pub fn seal(&self, secret: &SecretString, salt: LegacySalt) -> Result<String, CryptoError> {
        let plain = secret.expose_secret();
        if plain.is_empty() {
            return Ok(String::new());
        }
        match self.format {
            SealFormat::Aead => seal_aead(self.aead.get()?, plain),
            SealFormat::Legacy => Ok(legacy::seal(self.legacy(salt).get()?, plain)),
        }
    }

    /// Opens `stored`, whichever format it is in; `salt` says how a legacy one was sealed.
    ///
    /// An empty text is an empty secret, and one without a colon is a secret that was stored before
    /// its account's kind was sealed at all: both are returned as they are.
    ///
    /// # Errors
    ///
    /// [`CryptoError::WrongKeyOrDamaged`] where the key does not fit or the text was altered. A
    /// legacy seal carries no authentication: with a wrong key fewer than one in a million still
    /// opens, as text of no meaning. [`CryptoError::SealNotHex`] and [`CryptoError::UnknownSeal`]
    /// where the text is not a sealed one.
    pub fn open(&self, stored: &str, salt: LegacySalt) -> Result<SecretString, CryptoError> {
        if let Some(sealed) = stored.strip_prefix(AEAD_PREFIX) {
            return open_aead(self.aead.get()?, sealed);
        }
        if !stored.contains(':') {
            return Ok(SecretString::from(stored));
        }
        legacy::Sealed::parse(stored)?.open(self.legacy(salt).get()?)
    }

    /// Opens `stored` with the first of `salts` whose key fits: of an account that v1 or v2 may have made,
    /// the sealed text does not say which of them it was.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), from the last of `salts`.
    pub fn open_first(
        &self,
        stored: &str,
        salts: [LegacySalt; 2],
    ) -> Result<(SecretString, LegacySalt), CryptoError> {
        let [first, second] = salts;
        match self.open(stored, first) {
            Ok(secret) => Ok((secret, first)),
            Err(CryptoError::WrongKeyOrDamaged) if !stored.starts_with(AEAD_PREFIX) => {
                Ok((self.open(stored, second)?, second))
            }
            Err(other) => Err(other),
        }
    }

    /// Whether `stored` is not in the form that this keyring seals in, and should be: a seal of the
    /// predecessors or a plain text where ours is wanted, ours where they must be able to read.
    #[must_use]
    pub fn is_outdated(&self, stored: &str) -> bool {
        let is_aead = stored.starts_with(AEAD_PREFIX);
        match self.format {
            SealFormat::Aead => !is_aead && !stored.is_empty(),
            SealFormat::Legacy => is_aead,
        }
    }

    /// Derives the keys of this keyring's format now, so that no request waits for it later.
    ///
    /// # Errors
    ///
    /// The scrypt errors, which do not occur.
    pub fn derive(&self) -> Result<(), CryptoError> {
        match self.format {
            SealFormat::Aead => self.aead.get().map(drop),
            SealFormat::Legacy => self.console.get().and_then(|_| self.responses.get()).map(drop),
        }
    }

    /// Opens a password that the predecessors kept in clear, with or without a colon in it, and that
    /// only Relay seals.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), for a text that has the outline of a sealed one.
    pub fn open_unless_plain(
        &self,
        stored: &str,
        salt: LegacySalt,
    ) -> Result<SecretString, CryptoError> {
        if stored.starts_with(AEAD_PREFIX) || legacy::Sealed::is_outlined(stored) {
            return self.open(stored, salt);
        }
        Ok(SecretString::from(stored))
    }

    fn legacy(&self, salt: LegacySalt) -> &DerivedKey {
        match salt {
            LegacySalt::Console => &self.console,
            LegacySalt::Responses => &self.responses,
        }
    }
}

/// A key that is derived once, when it is first asked for.
struct DerivedKey {
    encryption_key: SecretString,
    salt: &'static str,
    key: OnceLock<SecretBox<[u8; 32]>>,
}

impl DerivedKey {
    fn new(encryption_key: &SecretString, salt: &'static str) -> Self {
        Self { encryption_key: encryption_key.clone(), salt, key: OnceLock::new() }
    }

    fn get(&self) -> Result<&[u8; 32], CryptoError> {
        if let Some(key) = self.key.get() {
            return Ok(key.expose_secret());
        }
        let mut key = SecretBox::new(Box::new([0; 32]));
        stretch(
            self.encryption_key.expose_secret(),
            self.salt.as_bytes(),
            key.expose_secret_mut(),
        )?;
        Ok(self.key.get_or_init(|| key).expose_secret())
    }
}

fn seal_aead(key: &[u8; 32], plain: &str) -> Result<String, CryptoError> {
    let nonce = random_bytes::<NONCE_BYTES>();
    let ciphertext = Aes256Gcm::new(key.into())
        .encrypt((&nonce).into(), payload(plain.as_bytes()))
        .map_err(|_| CryptoError::TooLongToSeal)?;
    Ok(format!("{AEAD_PREFIX}{}{}", hex::encode(nonce), hex::encode(ciphertext)))
}

fn open_aead(key: &[u8; 32], sealed: &str) -> Result<SecretString, CryptoError> {
    let sealed = hex::decode(sealed).map_err(CryptoError::SealNotHex)?;
    let (nonce, ciphertext) =
        sealed.split_first_chunk::<NONCE_BYTES>().ok_or(CryptoError::UnknownSeal)?;
    let plain = Aes256Gcm::new(key.into())
        .decrypt(nonce.into(), payload(ciphertext))
        .map_err(|_| CryptoError::WrongKeyOrDamaged)?;
    text(&Zeroizing::new(plain))
}

fn payload(msg: &[u8]) -> Payload<'_, '_> {
    Payload { msg, aad: AEAD_PREFIX.as_bytes() }
}

/// An opened secret as the text it must be; a wrong key shows in bytes that are no text.
fn text(plain: &[u8]) -> Result<SecretString, CryptoError> {
    std::str::from_utf8(plain).map(SecretString::from).map_err(|_| CryptoError::WrongKeyOrDamaged)
}

#[cfg(test)]
mod tests;
