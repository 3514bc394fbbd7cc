//! Why an operator's wish was not carried out.

use relay_crypto::CryptoError;
use relay_store::StoreError;
use tokio::task::JoinError;

/// Others changed `what` at every attempt.
pub(super) fn contended(what: &str) -> OperatorError {
    StoreError::Unavailable(format!("{what} was changed by others at every attempt").into()).into()
}

/// Whether what is to be changed still has the revision that the operator has seen, if one is named.
pub(crate) fn check_revision(expected: Option<u64>, current: u64) -> Result<(), OperatorError> {
    match expected {
        Some(expected) if expected != current => Err(OperatorError::Stale { current }),
        Some(_) | None => Ok(()),
    }
}

fn keys_in_group(keys: usize) -> String {
    let belong = if keys == 1 { "API key belongs" } else { "API keys belong" };
    format!("{keys} {belong} to this group")
}

fn bound_keys(keys: usize) -> String {
    let them = if keys == 1 { "API key is" } else { "API keys are" };
    format!("{keys} {them} bound to this group of accounts")
}

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
    /// There is no such thing.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// It was changed since it was looked at; nothing was written.
    #[error("it was changed meanwhile; its revision is now {current}")]
    Stale {
        /// Its revision by now.
        current: u64,
    },
    /// A deleted key cannot be changed or deleted.
    #[error("API Key is deleted; restore it first")]
    AlreadyDeleted,
    /// Only a deleted key can be restored or purged.
    #[error("API Key is not deleted")]
    NotDeleted,
    /// API keys belong to the group.
    #[error("{}", keys_in_group(*.keys))]
    KeysInGroup {
        /// How many.
        keys: usize,
    },
    /// API keys are bound to the group of accounts.
    #[error("{}", bound_keys(*.keys))]
    KeysBound {
        /// How many.
        keys: usize,
    },
    /// The same request is being worked on.
    #[error("a request with this Idempotency-Key is being worked on; try again later")]
    InProgress,
    /// The key came with another request before.
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
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
