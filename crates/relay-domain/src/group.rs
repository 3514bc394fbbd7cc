//! Groups of API keys: teams that share limits.

use crate::{GroupId, Limits, Timestamp};

/// A group of API keys. Which keys belong to it, the keys say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyGroup {
    /// Its id.
    pub id: GroupId,
    /// What the operator calls it.
    pub name: String,
    /// What the operator notes about it.
    pub description: String,
    /// What its keys may spend together, and how fast.
    pub limits: Limits,
    /// When it was made.
    pub created_at: Timestamp,
    /// When an operator last changed it.
    pub updated_at: Option<Timestamp>,
    /// Raised by every change of an operator's.
    pub revision: u64,
}
