//! Where the trail of changes is kept.

use std::time::Duration;

use async_trait::async_trait;
use relay_domain::{AuditEntry, Timestamp};

use crate::StoreError;

/// How many entries are kept; the oldest go first.
pub const AUDIT_CAPACITY: u64 = 100_000;
/// How long an entry is kept.
pub const AUDIT_AGE: Duration = Duration::from_hours(24 * 400);

/// Which entries, the newest first. What is `None` is not looked at.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Done by this name: an operator's, or a token's id.
    pub actor: Option<String>,
    /// What was done: an action, or what one begins with (`key.`).
    pub action: Option<String>,
    /// What kind of thing it was done to.
    pub target_kind: Option<String>,
    /// Its id.
    pub target_id: Option<String>,
    /// Done at this moment or later.
    pub from: Option<Timestamp>,
    /// Done before this moment.
    pub to: Option<Timestamp>,
    /// Only those with a smaller number: the last one of the page before.
    pub before: Option<u64>,
    /// How many at most.
    pub limit: usize,
}

impl AuditQuery {
    /// Whether it asks for `entry`, its number aside.
    pub fn matches(&self, entry: &AuditEntry) -> bool {
        let is = |wanted: &Option<String>, text: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == text)
        };
        is(&self.actor, &entry.actor.name)
            && is(&self.target_kind, &entry.target_kind)
            && is(&self.target_id, &entry.target_id)
            && self.from.is_none_or(|from| from <= entry.at)
            && self.to.is_none_or(|to| entry.at < to)
            && self.action.as_ref().is_none_or(|action| {
                if action.ends_with('.') {
                    entry.action.starts_with(action.as_str())
                } else {
                    entry.action == *action
                }
            })
    }
}

/// A part of the trail.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuditPage {
    /// The newest first. May be fewer than asked for though there are more.
    pub entries: Vec<AuditEntry>,
    /// What to ask for next, as [`AuditQuery::before`]; `None`: that was all.
    pub next: Option<u64>,
}

/// The trail of changes. Bounded by [`AUDIT_CAPACITY`] and [`AUDIT_AGE`].
///
/// # Errors
///
/// All methods fail with [`StoreError`] when the store does.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AuditRepository: Send + Sync {
    /// Adds an entry, whose number is given here, and returns that. Drops what has outlived its bound.
    async fn append(&self, entry: &AuditEntry) -> Result<u64, StoreError>;

    /// The entries that `query` asks for.
    async fn page(&self, query: &AuditQuery) -> Result<AuditPage, StoreError>;
}
