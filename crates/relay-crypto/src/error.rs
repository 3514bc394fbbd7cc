//! What can go wrong with secrets, by what the caller can do about it.

use thiserror::Error;

/// Why a secret, a password or a token could not be handled.
///
/// No message and no source carries the secret, the stored value or the token itself.
#[derive(Debug, Error)]
pub enum CryptoError {
    /// A stored secret is neither of the forms that are sealed nor plain text from old data.
    #[error("the stored secret is in no known form")]
    UnknownSeal,
    /// A stored secret has the outline of a sealed one, but parts of it are not hex digits.
    #[error("the stored secret is damaged: it is not hex throughout")]
    SealNotHex(#[source] hex::FromHexError),
    /// A stored secret does not open: it was sealed with another `ENCRYPTION_KEY`, or altered since.
    #[error(
        "the stored secret does not open: another ENCRYPTION_KEY sealed it, or it was altered since"
    )]
    WrongKeyOrDamaged,
    /// A secret could not be sealed: it is longer than the cipher allows (64 GiB).
    #[error("the secret is too long to be sealed")]
    TooLongToSeal,
    /// scrypt refused its parameters.
    #[error("scrypt refused its parameters")]
    ScryptParameters(#[from] scrypt::errors::InvalidParams),
    /// scrypt refused the length of the key asked for.
    #[error("scrypt refused the length of the derived key")]
    ScryptLength(#[from] scrypt::errors::InvalidOutputLen),
    /// A stored password hash is of a kind that Relay does not read.
    #[error("the stored password hash is of no known kind")]
    UnknownPasswordHash,
    /// A stored `salt.hash` password hash has parts that are not hex digits.
    #[error("the stored scrypt password hash is not hex throughout")]
    PasswordHashNotHex(#[source] hex::FromHexError),
    /// Argon2 refused its parameters.
    #[error("argon2 refused its parameters")]
    Argon2(#[from] argon2::Error),
    /// A password could not be hashed, or a stored argon2 hash could not be read.
    #[error("the argon2 password hash could not be made or read")]
    PasswordHash(#[from] argon2::password_hash::Error),
    /// A stored argon2 hash is not a valid PHC string.
    #[error("the stored argon2 password hash is malformed")]
    Phc(#[from] argon2::password_hash::phc::Error),
    /// A stored bcrypt hash could not be read.
    #[error("the stored bcrypt password hash is malformed")]
    Bcrypt(#[from] bcrypt::BcryptError),
    /// A file is not one that this crate seals.
    #[error("the file is no export of Relay")]
    NotASealedFile,
    /// A file is sealed in a form that a later version brought.
    #[error("the file is of version {found}, and this version of Relay reads version {known}")]
    UnknownFileVersion {
        /// The version that the file says.
        found: u8,
        /// The version that is known.
        known: u8,
    },
    /// The first part of a file does not open.
    #[error("the passphrase is wrong, or the beginning of the file was altered")]
    WrongPassphrase,
    /// A later part of a file does not open, or there is something after its end.
    #[error("the file is damaged: a part of it was altered, moved or added")]
    FileDamaged,
    /// A file stops before its end.
    #[error("the file is cut short: its end is missing")]
    FileTruncated,
    /// A file is longer than the form allows (256 TiB).
    #[error("the file is too long to be sealed")]
    FileTooLong,
    /// A file could not be read or written.
    #[error("the file cannot be read or written")]
    FileIo(#[source] std::io::Error),
    /// A token could not be signed.
    #[error("the token could not be signed")]
    TokenSigning(#[source] jsonwebtoken::errors::Error),
    /// A token is not one of ours: malformed, wrongly signed, or without the claims of an admin.
    #[error("the token is not valid")]
    InvalidToken(#[source] jsonwebtoken::errors::Error),
    /// A token was ours, but its time is over.
    #[error("the token has expired")]
    ExpiredToken,
}
