//! Listing API keys fast: a small index of them in memory, on which every filter and order is decided.
//!
//! An adapter keeps one and brings it up to date by [`ConfigVersion::keys`](crate::ConfigVersion::keys)
//! before it answers; it then reads the keys of the page alone. What use changes of a key is in no version:
//! the adapter says when keys were last used if that is asked for.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use relay_domain::{ApiKey, Expiry, GroupId, KeyId, Permissions, Platform, Timestamp};

use crate::page::page_of;
use crate::{Cursor, Order, Page, SortValue};

/// Which keys, and in which order.
#[derive(Clone, Debug, Default)]
pub struct KeyQuery {
    /// Which.
    pub filter: KeyFilter,
    /// What they are sorted by.
    pub sort: KeySort,
    /// Which way.
    pub order: Order,
    /// Where the page begins.
    pub after: Option<Cursor>,
    /// How many keys a page holds.
    pub limit: usize,
}

/// Which keys. What is `None` is not looked at.
#[derive(Clone, Debug, Default)]
pub struct KeyFilter {
    /// Deleted ones, or those that are not.
    pub is_deleted: Option<bool>,
    /// Those that are switched on, or off.
    pub is_active: Option<bool>,
    /// Those that may use just the platforms that these permissions allow.
    pub permissions: Option<Permissions>,
    /// Those with this tag.
    pub tag: Option<String>,
    /// Those of this group.
    pub group: Option<GroupId>,
    /// Those whose name or id holds this text, in any case.
    pub text: Option<String>,
    /// Those whose time is over at a moment, or is not.
    pub is_expired: Option<(bool, Timestamp)>,
}

/// What keys are sorted by. Among equals the id decides.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum KeySort {
    /// When they were made.
    #[default]
    CreatedAt,
    /// Their name, in any case.
    Name,
    /// When they were last used; those that never were are the earliest.
    LastUsedAt,
}

/// What filters and orders need to know of a key.
#[derive(Clone, Debug)]
pub struct KeyEntry {
    id: KeyId,
    name: String,
    created_at: Timestamp,
    last_used_at: Option<Timestamp>,
    is_deleted: bool,
    is_active: bool,
    platforms: (bool, bool),
    tags: Vec<String>,
    group: Option<GroupId>,
    expiry: Expiry,
}

impl KeyEntry {
    /// The entry of a key.
    #[must_use]
    pub fn of(key: &ApiKey) -> Self {
        Self {
            id: key.id.clone(),
            name: key.name.to_lowercase(),
            created_at: key.created_at,
            last_used_at: key.last_used_at,
            is_deleted: key.deleted.is_some(),
            is_active: key.is_active,
            platforms: platforms(&key.permissions),
            tags: key.tags.clone(),
            group: key.group.clone(),
            expiry: key.expiry,
        }
    }

    /// The key's id.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    fn place(&self, sort: KeySort, last_used: &HashMap<String, u64>) -> Cursor {
        let id = self.id.to_string();
        let value = match sort {
            KeySort::CreatedAt => SortValue::Number(self.created_at.as_millis()),
            KeySort::Name => SortValue::Text(self.name.clone()),
            KeySort::LastUsedAt => {
                let known = self.last_used_at.map_or(0, Timestamp::as_millis);
                SortValue::Number(last_used.get(&id).copied().unwrap_or(known))
            }
        };
        Cursor { value, id }
    }
}

impl KeyFilter {
    fn matches(&self, key: &KeyEntry, text: Option<&str>) -> bool {
        self.is_deleted.is_none_or(|wanted| wanted == key.is_deleted)
            && self.is_active.is_none_or(|wanted| wanted == key.is_active)
            && self.permissions.as_ref().is_none_or(|wanted| platforms(wanted) == key.platforms)
            && self.tag.as_ref().is_none_or(|wanted| key.tags.contains(wanted))
            && self.group.as_ref().is_none_or(|wanted| key.group.as_ref() == Some(wanted))
            && self.is_expired.is_none_or(|(wanted, now)| wanted == key.expiry.is_over(now))
            && text.is_none_or(|text| {
                key.name.contains(text) || key.id.as_str().to_lowercase().contains(text)
            })
    }
}

/// The entries of all keys, as of a version.
#[derive(Clone, Debug, Default)]
pub struct KeyListing {
    /// [`ConfigVersion::keys`](crate::ConfigVersion::keys) of which it is at least. `None`: it holds
    /// nothing yet.
    pub version: Option<u64>,
    entries: BTreeMap<KeyId, Arc<KeyEntry>>,
}

impl KeyListing {
    /// A listing of these keys.
    #[must_use]
    pub fn new(version: u64, keys: impl IntoIterator<Item = KeyEntry>) -> Self {
        let entries = keys.into_iter().map(|key| (key.id.clone(), Arc::new(key)));
        Self { version: Some(version), entries: entries.collect() }
    }

    /// The same as of a later version, in which these keys have changed; `None`: they are gone.
    #[must_use]
    pub fn changed(
        &self,
        version: u64,
        changes: impl IntoIterator<Item = (KeyId, Option<KeyEntry>)>,
    ) -> Self {
        let mut entries = self.entries.clone();
        for (id, entry) in changes {
            match entry {
                Some(entry) => entries.insert(id, Arc::new(entry)),
                None => entries.remove(&id),
            };
        }
        Self { version: Some(version), entries }
    }

    /// Keeps the keys that `is_there` says are still there.
    pub fn retain(&mut self, is_there: impl Fn(&KeyId) -> bool) {
        self.entries.retain(|id, _| is_there(id));
    }

    /// How many keys it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The ids of the page that `query` asks for. `last_used` says of each key that was used since it was
    /// listed when it last was, in milliseconds; it is looked at only if that is what the keys are sorted by.
    pub fn page(&self, query: &KeyQuery, last_used: &HashMap<String, u64>) -> Page<KeyId> {
        let text = query.filter.text.as_ref().map(|text| text.to_lowercase());
        let found = self.entries.values().filter(|key| query.filter.matches(key, text.as_deref()));
        let placed = found.map(|key| (key.place(query.sort, last_used), key.id.clone()));
        page_of(placed, query.order, query.after.as_ref(), query.limit)
    }
}

fn platforms(permissions: &Permissions) -> (bool, bool) {
    (permissions.allow(Platform::ClaudeConsole), permissions.allow(Platform::Codex))
}
