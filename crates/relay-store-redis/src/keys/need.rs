//! What must be there when a key is written: the groups that it joins or is bound to.

use std::fmt;

use relay_domain::{AccountGroupId, ApiKey, GroupId};

use crate::guarded_write::GuardedWrite;
use crate::keyspace::Keyspace;

/// What must be there when a key is written.
pub(super) enum Need<'a> {
    /// A group of keys.
    Group(&'a GroupId),
    /// A group of accounts.
    AccountGroup(&'a AccountGroupId),
}

impl<'a> Need<'a> {
    /// What `key` needs that `old` did not.
    pub(super) fn of(key: &'a ApiKey, old: Option<&'a ApiKey>) -> impl Iterator<Item = Self> {
        let group = key.newly_joined_group(old).map(Self::Group);
        group.into_iter().chain(key.newly_bound_groups(old).map(Self::AccountGroup))
    }

    /// Lets a write happen only if it is there. One guard each.
    pub(super) fn guard(&self, write: &mut GuardedWrite, keyspace: &Keyspace) {
        match self {
            Self::Group(id) => write.if_has(keyspace.key_groups(), id.as_str()),
            Self::AccountGroup(id) => write.if_present(keyspace.account_group(id.as_str())),
        }
    }
}

impl fmt::Display for Need<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(id) => write!(f, "group {id}"),
            Self::AccountGroup(id) => write!(f, "account group {id}"),
        }
    }
}
