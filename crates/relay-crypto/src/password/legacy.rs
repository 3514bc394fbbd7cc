//! Password hashes of the predecessors, read and never written.

use argon2::password_hash::phc::Output;
use secrecy::{ExposeSecret, SecretString};

use crate::error::CryptoError;
use crate::key_derivation::stretch;

const SCRYPT_HASH_BYTES: usize = 64;

/// Verifies against v1's bcrypt. Like v1's library it looks at the first 72 bytes only.
pub(super) fn verify_bcrypt(password: &SecretString, stored: &str) -> Result<bool, CryptoError> {
    Ok(bcrypt::verify(password.expose_secret(), stored)?)
}

/// Verifies against v2's `salt.hash`, both in hex.
pub(super) fn verify_scrypt(password: &SecretString, stored: &str) -> Result<bool, CryptoError> {
    let (salt, expected) = stored.split_once('.').ok_or(CryptoError::UnknownPasswordHash)?;
    let salt = hex::decode(salt).map_err(CryptoError::PasswordHashNotHex)?;
    let expected = hex::decode(expected).map_err(CryptoError::PasswordHashNotHex)?;
    if salt.is_empty() || expected.len() != SCRYPT_HASH_BYTES {
        return Err(CryptoError::UnknownPasswordHash);
    }
    let mut actual = [0; SCRYPT_HASH_BYTES];
    stretch(password.expose_secret(), &salt, &mut actual)?;
    // This type compares in constant time.
    Ok(Output::new(&actual)? == Output::new(&expected)?)
}
