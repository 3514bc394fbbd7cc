//! Moving everything between stores and machines, in one file that only a passphrase opens.
//!
//! The file is a list of entries, one JSON a line, each named by its section, so that a new section is a new
//! variant of `entry::Entry`. Secrets of accounts are opened by the exporting side and sealed anew by the
//! importing one; digests of API keys cannot be made anew without the keys, so the `ENCRYPTION_KEY` that
//! salted them travels along, and the importing side recognises keys under it as well.
//!
//! An import adds what is not there and changes nothing that is, so that it can be repeated. The whole file
//! is checked before anything is written.

mod account_form;
mod entry;
mod export;
mod import;
mod key_form;
mod limit_form;
mod operator_forms;
mod section;
mod statistics_form;
mod taking_in;

use std::collections::BTreeMap;
use std::io;

use relay_crypto::{CryptoError, SetDigest};
use relay_domain::AccountId;
use relay_store::StoreError;

use super::OperatorError;

pub use export::ExportOptions;
pub use import::{ImportFile, ImportReport, Tally};
pub use section::Section;

/// Why a transfer failed.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The file does not open.
    #[error(transparent)]
    File(#[from] CryptoError),
    /// The file cannot be read or written.
    #[error("the file cannot be read or written")]
    Io(#[source] io::Error),
    /// What is in the file is no entry that this version knows. Nothing was written.
    #[error("entry {line} of the file cannot be read; was it made by a later version of Relay?")]
    UnknownEntry {
        /// Its number, from 1.
        line: usize,
    },
    /// The store has something already. Nothing was written.
    #[error("the store is not empty")]
    NotEmpty,
    /// The store or a secret failed.
    #[error(transparent)]
    Operator(#[from] OperatorError),
}

impl From<StoreError> for TransferError {
    fn from(error: StoreError) -> Self {
        Self::Operator(error.into())
    }
}

/// What a file or a store holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Contents {
    counts: BTreeMap<Section, usize>,
    /// The accounts whose secrets did not open: they travel as they are sealed.
    pub unopened: Vec<AccountId>,
    /// The same for two stores that hold the same, secrets opened.
    pub state: SetDigest,
}

impl Contents {
    /// How many entries of a section there are.
    pub fn count(&self, section: Section) -> usize {
        self.counts.get(&section).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
