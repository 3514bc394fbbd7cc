//! Lists of API keys, by all of them in memory, which are brought up to date before each.
//!
//! Every change of a key raises the version of keys and puts the key's id in front of a short list, in one
//! step: who knows an older version reads only the keys at the front of that list.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use redis::Pipeline;
use relay_domain::{ApiKey, KeyId, Timestamp};
use relay_store::{KeyListing, KeyQuery, KeySort, Page, StoreError};

use super::users::Users;
use super::{RedisKeys, form};
use crate::connection;
use crate::guarded_write::GuardedWrite;
use crate::hash::Hash;
use crate::keyspace::Keyspace;
use crate::scan;
use crate::shared::Shared;

/// How many changes are remembered. Who has missed more reads all keys anew.
const CHANGES_KEPT: u64 = 1_000;
/// How many members of a sorted set are read in one step.
const MEMBERS_AT_ONCE: usize = 1_000;

/// Raises the version of keys for a change of the key with this id.
pub(super) fn announce(write: &mut GuardedWrite, keyspace: &Keyspace, id: &str) {
    write.write("INCR", keyspace.key_version(), [""; 0]);
    write.write("LPUSH", keyspace.key_changes(), [id]);
    write.write("LTRIM", keyspace.key_changes(), ["0", &(CHANGES_KEPT - 1).to_string()]);
}

impl RedisKeys {
    /// A page of keys. Those on it are read anew.
    pub(super) async fn page_of_keys(&self, query: &KeyQuery) -> Result<Page<ApiKey>, StoreError> {
        let Page { items, total, next } =
            self.listed(query, query.sort == KeySort::LastUsedAt).await?;
        let keys = self.read_keys(items.iter().map(|key| key.id.as_str())).await?;
        Ok(Page { items: keys.into_iter().flatten().collect(), total, next })
    }

    /// All keys that are asked for.
    pub(super) async fn all_keys(&self, query: &KeyQuery) -> Result<Page<Arc<ApiKey>>, StoreError> {
        self.listed(&KeyQuery { limit: usize::MAX, ..query.clone() }, true).await
    }

    /// What is asked for, of the listing as it is now.
    async fn listed(
        &self,
        query: &KeyQuery,
        with_uses: bool,
    ) -> Result<Page<Arc<ApiKey>>, StoreError> {
        self.index_what_is_not().await?;
        let mut listing = self.shared.key_listing.lock().await;
        self.bring_up_to_date(&mut listing).await?;
        if with_uses {
            let uses = self.last_uses(&listing).await?;
            listing.note_uses(uses.iter().map(|(id, at)| (id.as_str(), *at)));
        }
        Ok(listing.page(query))
    }

    async fn bring_up_to_date(&self, listing: &mut KeyListing) -> Result<(), StoreError> {
        let Shared { pool, keyspace, .. } = &*self.shared;
        let version = self.version_of_keys().await?;
        let missed = listing.version.and_then(|known| version.checked_sub(known));
        match missed {
            Some(0) => {}
            Some(missed) if missed < CHANGES_KEPT / 2 => {
                let mut pipeline = Pipeline::with_capacity(2);
                pipeline.cmd("LRANGE").arg(keyspace.key_changes()).arg(0).arg(CHANGES_KEPT - 1);
                pipeline.cmd("GET").arg(keyspace.key_version());
                let mut answers = pool.send(&pipeline).await?.into_iter();
                let changes: Vec<String> =
                    connection::read(answers.next().unwrap_or_default(), "LRANGE")?;
                let by_now: u64 = connection::read(answers.next().unwrap_or_default(), "GET")?;
                // What came in between has pushed what was missed further back.
                let front = usize::try_from(missed + by_now.saturating_sub(version));
                let changes = changes.iter().take(front.unwrap_or(usize::MAX));
                let ids: BTreeSet<KeyId> =
                    changes.filter_map(|id| KeyId::try_from(id.as_str()).ok()).collect();
                let keys = self.read_keys(ids.iter().map(KeyId::as_str)).await?;
                listing.change(version, ids.into_iter().zip(keys));
            }
            Some(_) | None => {
                let ids = scan::members(pool, keyspace.key_ids()).await?;
                let keys = self.read_keys(ids.iter().map(String::as_str)).await?;
                *listing = KeyListing::new(version, keys.into_iter().flatten());
            }
        }
        Ok(())
    }

    pub(super) async fn version_of_keys(&self) -> Result<u64, StoreError> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("GET").arg(self.shared.keyspace.key_version());
        let answer = self.shared.pool.send(&pipeline).await?.pop();
        let version: Option<u64> = connection::read(answer.unwrap_or_default(), "GET")?;
        Ok(version.unwrap_or(0))
    }

    /// Keys, in the order of their ids; `None`: there is none that can be read.
    async fn read_keys(
        &self,
        ids: impl Iterator<Item = &str>,
    ) -> Result<Vec<Option<ApiKey>>, StoreError> {
        let (ids, names): (Vec<_>, Vec<_>) =
            ids.map(|id| (id, self.shared.keyspace.key(id))).unzip();
        let hashes = scan::read_all(&self.shared.pool, &names).await?;
        let users = Users::of(&self.shared, &hashes).await?;
        let read = |(id, hash): (&&str, &Hash)| {
            form::parse_or_pass_over(id, hash, &users, self.shared.calendar)
        };
        Ok(ids.iter().zip(&hashes).map(read).collect())
    }

    /// When the keys of a listing were last used.
    async fn last_uses(
        &self,
        listing: &KeyListing,
    ) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let Shared { pool, keyspace, .. } = &*self.shared;
        let mut uses = Vec::with_capacity(listing.len());
        let mut is_last = false;
        // As many as there should be in one trip, and then on until there are no more.
        let mut at_once = listing.len() / MEMBERS_AT_ONCE + 1;
        let mut from = 0;
        while !is_last {
            let mut pipeline = Pipeline::with_capacity(at_once);
            for _ in 0..at_once {
                pipeline.cmd("ZRANGE").arg(keyspace.keys_by_use()).arg(from);
                pipeline.arg(from + MEMBERS_AT_ONCE - 1).arg("WITHSCORES");
                from += MEMBERS_AT_ONCE;
            }
            for answer in pool.send(&pipeline).await? {
                let found: Vec<(String, f64)> = connection::read(answer, "ZRANGE")?;
                is_last = found.len() < MEMBERS_AT_ONCE;
                let moment = |score| Timestamp::from_millis(whole(score));
                uses.extend(found.into_iter().map(|(id, score)| (id, moment(score))));
            }
            at_once = 1;
        }
        if uses.len() < listing.len() {
            uses.extend(self.uses_beside_the_index(listing, &uses).await?);
        }
        Ok(uses)
    }

    /// When keys were last used that v1 has left out of its index: settlements note it in the keys alone.
    async fn uses_beside_the_index(
        &self,
        listing: &KeyListing,
        indexed: &[(String, Timestamp)],
    ) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let indexed: HashSet<&str> = indexed.iter().map(|(id, _)| id.as_str()).collect();
        let ids = listing.ids().map(KeyId::as_str).filter(|id| !indexed.contains(id));
        let (ids, names): (Vec<_>, Vec<_>) =
            ids.map(|id| (id.to_owned(), self.shared.keyspace.key(id))).unzip();
        let hashes = scan::read_fields(&self.shared.pool, &names, &[form::LAST_USED]).await?;
        let uses = hashes.iter().map(|hash| hash.moment(form::LAST_USED));
        Ok(ids.into_iter().zip(uses).filter_map(|(id, at)| Some((id, at?))).collect())
    }
}

/// A moment in milliseconds, which a score holds exactly.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it saturates, and a moment is a whole number below 2^53"
)]
fn whole(score: f64) -> u64 {
    score as u64
}
