//! Groups of accounts: pools of the operator's that keys can be bound to. They have nothing to do with groups
//! of keys ([`KeyGroup`](crate::KeyGroup)), which share limits.

use std::collections::BTreeSet;

use crate::{AccountGroupId, AccountId, Platform, Timestamp};

/// A group of accounts of one platform. A key that is bound to it is served by its members and by no others.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccountGroup {
    /// Its id.
    pub id: AccountGroupId,
    /// What the operator calls it.
    pub name: String,
    /// Whose accounts it is of.
    pub platform: Platform,
    /// What the operator notes about it.
    pub description: String,
    /// Its accounts. v1 has members that Relay does not know: they stay, and serve nobody.
    pub members: BTreeSet<AccountId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When an operator last changed it.
    pub updated_at: Option<Timestamp>,
    /// Raised by every change of it and of its members.
    pub revision: u64,
}
