//! The ports: what Relay keeps, said without saying where.
//!
//! Each port is a trait with two adapters (`relay-store-redis`, `relay-store-sqlite`) that pass one
//! conformance suite (feature `contract`), and a mock double (feature `mock`) with which tests make a
//! store fail. A port is a repository or a ledger, never a key-value store: an adapter is free to lay
//! its data out as its predecessor did.
//!
//! What no port offers, on purpose: a way to spend without [`Ledger::admit`], or to read a secret in
//! clear.

mod accounts;
mod admin;
mod archive;
pub mod budgets;
#[cfg(feature = "contract")]
pub mod contract;
mod error;
mod keys;
mod ledger;
mod limits_form;
mod orphan;
mod record_form;
mod usage;

use std::sync::Arc;

pub use accounts::{AccountRepository, AccountSecrets};
pub use admin::{AdminCredentials, AdminRepository, PasswordHash};
pub use archive::{Archive, Counted, Page};
pub use error::StoreError;
pub use keys::KeyRepository;
pub use ledger::{
    Admission, AdmitRequest, Assignment, Binding, Charge, Checkpoint, ConfigVersion, Crossing,
    Denial, Estimate, Extension, Grant, HoldAnswer, Ledger, Progress, Rebind, Settled, Settlement,
    THRESHOLDS,
};
pub use limits_form::StoredLimits;
pub use orphan::Orphan;
pub use record_form::StoredRecord;
pub use usage::{UsageRepository, UsageScope, UsageTotals};
#[cfg(feature = "mock")]
pub use {
    accounts::MockAccountRepository, admin::MockAdminRepository, archive::MockArchive,
    keys::MockKeyRepository, ledger::MockLedger, usage::MockUsageRepository,
};

/// Every port of one store.
#[derive(Clone)]
pub struct Stores {
    /// API keys.
    pub keys: Arc<dyn KeyRepository>,
    /// Upstream accounts.
    pub accounts: Arc<dyn AccountRepository>,
    /// What was used, and the records of requests.
    pub usage: Arc<dyn UsageRepository>,
    /// The operator's login.
    pub admin: Arc<dyn AdminRepository>,
    /// What was used, to be moved elsewhere.
    pub archive: Arc<dyn Archive>,
    /// Admission and settlement.
    pub ledger: Arc<dyn Ledger>,
}
