//! The seal that v1 and v2 write and read: AES-256-CBC with PKCS#7 padding, stored as
//! `hex(iv):hex(ciphertext)`. It carries no authentication, so that it is written only for stores
//! that a predecessor may have to read again.

use aes::Aes256;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::error::CryptoError;
use crate::random::random_bytes;

/// The salt of v1's Claude console accounts and of all accounts of v2.
pub(super) const CONSOLE_SALT: &str = "claude-console-salt";
/// The salt of v1's `OpenAI` Responses accounts.
pub(super) const RESPONSES_SALT: &str = "openai-responses-salt";

const BLOCK_BYTES: usize = 16;

/// Seals `plain` under `key` with a fresh initialisation vector.
pub(super) fn seal(key: &[u8; 32], plain: &str) -> String {
    seal_with(key, &random_bytes(), plain)
}

/// Seals with an initialisation vector of the caller's: only known answers need that.
pub(super) fn seal_with(key: &[u8; 32], iv: &[u8; BLOCK_BYTES], plain: &str) -> String {
    let ciphertext = cbc::Encryptor::<Aes256>::new(key.into(), iv.into())
        .encrypt_padded_vec::<Pkcs7>(plain.as_bytes());
    format!("{}:{}", hex::encode(iv), hex::encode(ciphertext))
}

/// A sealed text, taken apart.
pub(super) struct Sealed {
    iv: [u8; BLOCK_BYTES],
    ciphertext: Vec<u8>,
}

impl Sealed {
    /// Whether `stored` has the outline of a sealed text: hex of one block, a colon, hex of whole blocks.
    pub(super) fn is_outlined(stored: &str) -> bool {
        let is_hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
        stored.split_once(':').is_some_and(|(iv, ciphertext)| {
            let blocks = 2 * BLOCK_BYTES;
            let whole = !ciphertext.is_empty() && ciphertext.len().is_multiple_of(blocks);
            iv.len() == blocks && whole && is_hex(iv) && is_hex(ciphertext)
        })
    }

    /// Takes `stored` apart: two parts of hex, the first of one block.
    pub(super) fn parse(stored: &str) -> Result<Self, CryptoError> {
        let (iv, ciphertext) = stored.split_once(':').ok_or(CryptoError::UnknownSeal)?;
        let iv = hex::decode(iv).map_err(CryptoError::SealNotHex)?;
        let iv = iv.try_into().map_err(|_| CryptoError::UnknownSeal)?;
        let ciphertext = hex::decode(ciphertext).map_err(CryptoError::SealNotHex)?;
        Ok(Self { iv, ciphertext })
    }

    /// Opens it with `key`.
    pub(super) fn open(&self, key: &[u8; 32]) -> Result<SecretString, CryptoError> {
        let plain = cbc::Decryptor::<Aes256>::new(key.into(), (&self.iv).into())
            .decrypt_padded_vec::<Pkcs7>(&self.ciphertext)
            .map_err(|_| CryptoError::WrongKeyOrDamaged)?;
        super::text(&Zeroizing::new(plain))
    }
}
