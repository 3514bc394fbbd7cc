//! Listing API keys fast: all of them in memory, on which every filter and order is decided.
//!
//! An adapter keeps one and brings it up to date by [`ConfigVersion::keys`](crate::ConfigVersion::keys)
//! before it answers. What use changes of a key is in no version: the adapter says when keys were last used
//! if that is asked for. Nothing is kept before the first list is asked for.

use std::collections::HashMap;
use std::sync::Arc;

use relay_domain::{ApiKey, GroupId, KeyId, Permissions, Platform, Timestamp};

use crate::page::{Place, PlaceValue, page_of};
use crate::{Cursor, Order, Page};

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

/// All keys, as of a version.
#[derive(Debug, Default)]
pub struct KeyListing {
    /// [`ConfigVersion::keys`](crate::ConfigVersion::keys) of which it is at least. `None`: it holds
    /// nothing yet.
    pub version: Option<u64>,
    entries: HashMap<KeyId, Entry>,
}

/// A key, and what of it has to be made to be compared.
#[derive(Debug)]
struct Entry {
    key: Arc<ApiKey>,
    /// Its name in lower case.
    name: String,
}

impl KeyListing {
    /// A listing of these keys.
    #[must_use]
    pub fn new(version: u64, keys: impl IntoIterator<Item = ApiKey>) -> Self {
        let entries = keys.into_iter().map(|key| (key.id.clone(), Entry::of(key)));
        Self { version: Some(version), entries: entries.collect() }
    }

    /// Makes it that of a later version, in which these keys have changed; `None`: they are gone.
    pub fn change(
        &mut self,
        version: u64,
        changes: impl IntoIterator<Item = (KeyId, Option<ApiKey>)>,
    ) {
        for (id, key) in changes {
            match key {
                Some(key) => self.entries.insert(id, Entry::of(key)),
                None => self.entries.remove(&id),
            };
        }
        self.version = Some(version);
    }

    /// Notes of keys when they were last used. Nothing makes a use forgotten that is known.
    pub fn note_uses<'a>(&mut self, uses: impl IntoIterator<Item = (&'a str, Timestamp)>) {
        for (id, at) in uses {
            if let Some(entry) = self.entries.get_mut(id)
                && entry.key.last_used_at.unwrap_or_default() < at
            {
                // Copied only while an answer is made of it.
                Arc::make_mut(&mut entry.key).last_used_at = Some(at);
            }
        }
    }

    /// Keeps the keys that `is_there` says are still there.
    pub fn retain(&mut self, is_there: impl Fn(&KeyId) -> bool) {
        self.entries.retain(|id, _| is_there(id));
    }

    /// The ids of its keys.
    pub fn ids(&self) -> impl Iterator<Item = &KeyId> {
        self.entries.keys()
    }

    /// How many keys it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The page that `query` asks for, of keys as they were when they were last changed, and last noted to
    /// be used.
    pub fn page(&self, query: &KeyQuery) -> Page<Arc<ApiKey>> {
        let text = query.filter.text.as_ref().map(|text| text.to_lowercase());
        let found =
            self.entries.values().filter(|entry| entry.matches(&query.filter, text.as_deref()));
        let placed = found.map(|entry| (entry.place(query.sort), &entry.key));
        page_of(placed, query.order, query.after.as_ref(), query.limit).map(Arc::clone)
    }
}

impl Entry {
    fn of(key: ApiKey) -> Self {
        Self { name: key.name.to_lowercase(), key: Arc::new(key) }
    }

    fn place(&self, sort: KeySort) -> Place<'_> {
        let moment = |at: Timestamp| PlaceValue::Number(at.as_millis());
        let value = match sort {
            KeySort::CreatedAt => moment(self.key.created_at),
            KeySort::Name => PlaceValue::Text(&self.name),
            KeySort::LastUsedAt => moment(self.key.last_used_at.unwrap_or_default()),
        };
        Place { value, id: self.key.id.as_str() }
    }

    /// Whether a filter, whose text is `text` in lower case, asks for it.
    fn matches(&self, filter: &KeyFilter, text: Option<&str>) -> bool {
        let Self { key, name } = self;
        filter.is_deleted.is_none_or(|wanted| wanted == key.deleted.is_some())
            && filter.is_active.is_none_or(|wanted| wanted == key.is_active)
            && filter
                .permissions
                .as_ref()
                .is_none_or(|wanted| platforms(wanted) == platforms(&key.permissions))
            && filter.tag.as_ref().is_none_or(|wanted| key.tags.contains(wanted))
            && filter.group.as_ref().is_none_or(|wanted| key.group.as_ref() == Some(wanted))
            && filter.is_expired.is_none_or(|(wanted, now)| wanted == key.expiry.is_over(now))
            && text.is_none_or(|text| {
                name.contains(text) || key.id.as_str().to_lowercase().contains(text)
            })
    }
}

fn platforms(permissions: &Permissions) -> (bool, bool) {
    (permissions.allow(Platform::ClaudeConsole), permissions.allow(Platform::Codex))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::fixture::{at, key};

    #[test]
    fn a_use_is_noted_and_never_forgotten() {
        let mut listing = KeyListing::new(1, [key("a", 1), key("b", 2)]);
        let query = KeyQuery { sort: KeySort::LastUsedAt, limit: 9, ..KeyQuery::default() };
        let uses = |listing: &KeyListing| {
            let keys = listing.page(&query).items;
            keys.into_iter().map(|key| key.last_used_at).collect::<Vec<_>>()
        };
        let shown = listing.page(&query);
        listing.note_uses([("b", at(9)), ("gone", at(9))]);
        listing.note_uses([("b", at(8)), ("a", Timestamp::EPOCH)]);
        assert_eq!(uses(&listing), [Some(at(9)), key("a", 1).last_used_at]);
        assert_eq!(shown.items.len(), 2);
        assert!(
            shown.items.iter().all(|key| key.last_used_at != Some(at(9))),
            "it is the reader's"
        );
    }
}
