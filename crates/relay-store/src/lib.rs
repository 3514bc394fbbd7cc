//! The ports: what Relay keeps, said without saying where.
//!
//! Each port is a trait with two adapters (`relay-store-redis`, `relay-store-sqlite`) that pass one
//! conformance suite (feature `contract`), and a mock double (feature `mock`) with which tests make a
//! store fail. A port is a repository or a ledger, never a key-value store: an adapter is free to lay
//! its data out as its predecessor did.
//!
//! What no port offers, on purpose: a way to spend without [`Ledger::admit`], or to read a secret in
//! clear.

mod account_groups;
mod account_listing;
mod accounts;
mod admin;
mod admin_tokens;
mod archive;
mod audit;
pub mod budgets;
#[cfg(feature = "contract")]
pub mod contract;
mod corrections;
mod error;
mod events;
mod groups;
mod idempotency;
mod key_listing;
mod keys;
mod ledger;
mod limits_form;
mod orphan;
mod page;
mod record_form;
mod record_search;
mod removal;
mod settings;
pub mod statistics;
mod update;
mod usage;
mod waiting;

use std::sync::Arc;

pub use account_groups::AccountGroupRepository;
pub use account_listing::{AccountQuery, AccountSort};
pub use accounts::{AccountRepository, AccountSecrets};
pub use admin::{AdminCredentials, AdminRepository, PasswordHash};
pub use admin_tokens::AdminTokenRepository;
pub use archive::{
    Archive, ArchivePage, Counted, LimitFacts, LimitRestart, OpenWindow, SpentInPeriod,
    StatisticsProgress, StoredSegment,
};
pub use audit::{AUDIT_AGE, AUDIT_CAPACITY, AuditPage, AuditQuery, AuditRepository};
pub use corrections::{Corrected, Correction, Corrections, Price, Spent, Uncorrectable};
pub use error::StoreError;
pub use events::{
    EVENT_AGE, EVENT_CAPACITY, EventPage, EventQuery, EventRepository, MODELS_A_DAY, oldest_kept,
};
pub use groups::GroupRepository;
pub use idempotency::{ANSWER_KEPT, CLAIM_KEPT, Claim, IdempotencyRepository};
pub use key_listing::{KeyFilter, KeyListing, KeyQuery, KeySort};
pub use keys::KeyRepository;
pub use ledger::{
    Admission, AdmitRequest, Assignment, Binding, Charge, Checkpoint, ConfigVersion, Crossing,
    Denial, Estimate, Extension, Grant, HoldAnswer, Ledger, Progress, Rebind, Settled, Settlement,
    THRESHOLDS,
};
pub use limits_form::StoredLimits;
pub use orphan::Orphan;
pub use page::{Cursor, Order, Page, SortValue};
pub use record_form::{LARGEST_RECORD, StoredRecord};
pub use record_search::{RecordPage, RecordQuery};
pub use removal::GroupRemoval;
pub use settings::{SettingsChange, SettingsName, SettingsRepository};
pub use update::Update;
pub use usage::{UsageRepository, UsageScope, UsageTotals};
pub use waiting::{Line, Waiting, WaitsTo};
#[cfg(feature = "mock")]
pub use {
    account_groups::MockAccountGroupRepository, accounts::MockAccountRepository,
    admin::MockAdminRepository, admin_tokens::MockAdminTokenRepository, archive::MockArchive,
    audit::MockAuditRepository, corrections::MockCorrections, events::MockEventRepository,
    groups::MockGroupRepository, idempotency::MockIdempotencyRepository, keys::MockKeyRepository,
    ledger::MockLedger, settings::MockSettingsRepository, usage::MockUsageRepository,
};

/// Every port of one store.
#[derive(Clone)]
pub struct Stores {
    /// API keys.
    pub keys: Arc<dyn KeyRepository>,
    /// Upstream accounts.
    pub accounts: Arc<dyn AccountRepository>,
    /// Groups of accounts.
    pub account_groups: Arc<dyn AccountGroupRepository>,
    /// What was used, and the records of requests.
    pub usage: Arc<dyn UsageRepository>,
    /// The operator's login.
    pub admin: Arc<dyn AdminRepository>,
    /// Groups of API keys.
    pub groups: Arc<dyn GroupRepository>,
    /// Tokens of automation.
    pub admin_tokens: Arc<dyn AdminTokenRepository>,
    /// The trail of changes.
    pub audit: Arc<dyn AuditRepository>,
    /// What an operator should hear of.
    pub events: Arc<dyn EventRepository>,
    /// Answers that are given again.
    pub idempotency: Arc<dyn IdempotencyRepository>,
    /// What an operator has set while Relay runs.
    pub settings: Arc<dyn SettingsRepository>,
    /// What was used, to be moved elsewhere.
    pub archive: Arc<dyn Archive>,
    /// Corrections of what settled requests came to.
    pub corrections: Arc<dyn Corrections>,
    /// Admission and settlement.
    pub ledger: Arc<dyn Ledger>,
}
