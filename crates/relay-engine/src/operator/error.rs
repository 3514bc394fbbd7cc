//! Why an operator's wish was not carried out.

use relay_crypto::CryptoError;
use relay_store::StoreError;
use tokio::task::JoinError;

/// Why an operator's wish was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// What was asked for cannot be. Nothing was written.
    #[error("{field} {why}")]
    Invalid {
        /// Which field, by the name that the admin REST gives it.
        field: &'static str,
        /// What is wrong with it, as the end of a sentence.
        why: &'static str,
    },
    /// There is no login yet.
    #[error("there is no login yet; it is made when the server starts for the first time")]
    NoLogin,
    /// The name or the password is wrong; which of them is not told.
    #[error("the username or the password is wrong")]
    WrongPassword,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A secret or a password could not be handled.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// The process is shutting down, or a fault of Relay's own ended the work.
    #[error("the work was cut short")]
    Interrupted(#[from] JoinError),
}
