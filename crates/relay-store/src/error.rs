//! What can go wrong with a store, by what the caller can do about it.

use std::error::Error;

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, did not answer in time, or takes no writes now (full, read-only, starting).
    /// Whether a write happened is unknown; trying again later may work.
    #[error("the store cannot be reached")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// It answered that it will not, and would again: a missing permission, or a fault of Relay's own.
    #[error("the store refused")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// What is stored cannot be read as what it should be. An operator has to look at it.
    #[error("{what} cannot be read: {why}")]
    Corrupt {
        /// Which entry, by its name in the store. Never its content.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is one already.
    #[error("{what} exists already")]
    Duplicate {
        /// What exists.
        what: String,
    },
    /// What was to be written names something that is not there.
    #[error("there is no {what}")]
    Missing {
        /// What is not there.
        what: String,
    },
}
