//! API key minting and digests, sealing of account secrets, passwords, admin tokens,
//! signatures of webhooks.
//!
//! Everything is synchronous and does no I/O but drawing randomness from the operating system (a sealed
//! file reads and writes what its caller has opened); no clock is read. Deriving sealing keys and hashing passwords take tens of milliseconds of CPU by
//! design: keep them off the threads that serve requests.
//!
//! Secrets go in and come out as [`secrecy::SecretString`], and no type here prints one.

pub mod affinity;
pub mod api_key;
pub mod error;
mod key_derivation;
pub mod password;
pub mod random;
pub mod seal;
pub mod sealed_file;
pub mod set_digest;
pub mod token;
#[cfg(test)]
mod vectors;
pub mod webhook_signature;

pub use affinity::affinity;
pub use api_key::{ApiKeyMinter, KeyHasher, plausible};
pub use error::CryptoError;
pub use password::Verified;
pub use random::{generate_secret, random_bytes, random_u128};
pub use seal::{Keyring, LegacySalt, SealFormat};
pub use sealed_file::{SealedReader, SealedWriter};
pub use set_digest::SetDigest;
pub use token::{Claims, Role, TokenSigner};
pub use webhook_signature::sign_webhook;
