//! Pages of API keys, by an index of them in memory that is brought up to date before each.
//!
//! Every change of a key raises the version of keys and puts the key's id in front of a short list, in one
//! step: who knows an older version reads only the keys at the front of that list.

use std::collections::{BTreeSet, HashMap};

use redis::Pipeline;
use relay_domain::{ApiKey, KeyId};
use relay_store::{KeyEntry, KeyListing, KeyQuery, KeySort, Page, StoreError};

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
    /// A page of keys. Only those on it are read as a whole.
    pub(super) async fn page_of_keys(&self, query: &KeyQuery) -> Result<Page<ApiKey>, StoreError> {
        self.index_what_is_not().await?;
        let Shared { pool, keyspace, calendar, .. } = &*self.shared;
        let last_used = match query.sort {
            KeySort::LastUsedAt => self.last_uses().await?,
            KeySort::CreatedAt | KeySort::Name => HashMap::new(),
        };
        let Page { items, total, next } = {
            let mut listing = self.shared.key_listing.lock().await;
            self.bring_up_to_date(&mut listing).await?;
            listing.page(query, &last_used)
        };
        let names: Vec<_> = items.iter().map(|id| keyspace.key(id.as_str())).collect();
        let hashes = scan::read_all(pool, &names).await?;
        let read =
            |(id, hash): (&KeyId, &Hash)| form::parse_or_pass_over(id.as_str(), hash, *calendar);
        let items = items.iter().zip(&hashes).filter_map(read).collect();
        Ok(Page { items, total, next })
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
                let entries = self.entries(ids.iter().map(KeyId::as_str)).await?;
                *listing = listing.changed(version, ids.into_iter().zip(entries));
            }
            Some(_) | None => {
                let ids = scan::members(pool, keyspace.key_ids()).await?;
                let entries = self.entries(ids.iter().map(String::as_str)).await?;
                *listing = KeyListing::new(version, entries.into_iter().flatten());
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

    /// The entries of keys, in the order of their ids; `None`: there is no such key.
    async fn entries(
        &self,
        ids: impl Iterator<Item = &str>,
    ) -> Result<Vec<Option<KeyEntry>>, StoreError> {
        let (ids, names): (Vec<_>, Vec<_>) =
            ids.map(|id| (id, self.shared.keyspace.key(id))).unzip();
        let hashes = scan::read_fields(&self.shared.pool, &names, &form::LISTED).await?;
        let read = |(id, hash): (&&str, &Hash)| {
            form::parse_or_pass_over(id, hash, self.shared.calendar).map(|key| KeyEntry::of(&key))
        };
        Ok(ids.iter().zip(&hashes).map(read).collect())
    }

    /// When every key was last used.
    async fn last_uses(&self) -> Result<HashMap<String, u64>, StoreError> {
        let Shared { pool, keyspace, .. } = &*self.shared;
        let mut uses = HashMap::new();
        for from in (0..).step_by(MEMBERS_AT_ONCE) {
            let mut pipeline = Pipeline::with_capacity(1);
            pipeline.cmd("ZRANGE").arg(keyspace.keys_by_use()).arg(from);
            pipeline.arg(from + MEMBERS_AT_ONCE - 1).arg("WITHSCORES");
            let answer = pool.send(&pipeline).await?.pop().unwrap_or_default();
            let found: Vec<(String, f64)> = connection::read(answer, "ZRANGE")?;
            let is_last = found.len() < MEMBERS_AT_ONCE;
            uses.extend(found.into_iter().map(|(id, score)| (id, whole(score))));
            if is_last {
                break;
            }
        }
        Ok(uses)
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
