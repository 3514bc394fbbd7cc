//! v1's indexes of API keys, compared with the keys.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use redis::Pipeline;
use relay_domain::{ApiKey, Timestamp};
use relay_store::StoreError;

use super::Wrongs;
use crate::connection;
use crate::guarded_write::GuardedWrite;
use crate::keys::users::Users;
use crate::keys::{form, index};
use crate::keyspace::Keyspace;
use crate::scan;
use crate::shared::Shared;

/// What v1 takes for whole indexes.
const WHOLE: &str = "2";

/// What is to be done about the indexes.
#[derive(Default)]
pub(super) struct KeyRepairs {
    /// Keys that are to be indexed anew.
    unindexed: Vec<ApiKey>,
    /// Entries that are about no key, or not about that one, by the id that they name.
    stale: BTreeMap<String, Vec<StaleEntry>>,
    /// Ids of keys that are there.
    present: HashSet<String>,
    is_marked_whole: bool,
}

/// An entry to be removed: with which command, from where, and what.
struct StaleEntry {
    command: &'static str,
    index: String,
    member: String,
}

/// The indexes as they are.
struct Indexes {
    all: HashSet<String>,
    active: HashSet<String>,
    deleted: HashSet<String>,
    by_creation: HashMap<String, f64>,
    by_use: HashMap<String, f64>,
    /// Members, by the id in them.
    by_name: HashMap<String, BTreeSet<String>>,
    tags: HashSet<String>,
    tagged: BTreeMap<String, HashSet<String>>,
    digests: HashMap<String, String>,
    deleted_digests: HashMap<String, String>,
    retiring_digests: HashMap<String, String>,
}

impl KeyRepairs {
    /// Compares the indexes with the keys that are there: the ids of all, those that can be read, and the
    /// tags that have a set.
    pub(super) async fn of(
        shared: &Shared,
        (ids, keys, tags): (&[String], &[ApiKey], &[String]),
        wrongs: &mut Wrongs,
    ) -> Result<Self, StoreError> {
        let keyspace = &shared.keyspace;
        let indexes = Indexes::read(shared, tags).await?;
        let version = text(shared, keyspace.key_index_version()).await?;
        let is_marked_whole = version.as_deref() == Some(WHOLE);
        let mut repairs = Self {
            present: ids.iter().cloned().collect(),
            is_marked_whole: is_marked_whole || ids.is_empty(),
            ..Self::default()
        };
        if !repairs.is_marked_whole {
            wrongs.missing(keyspace.key_index_version());
        }
        for key in keys {
            let missing = indexes.missing(keyspace, key);
            if !missing.is_empty() {
                for index in missing {
                    wrongs.missing(index);
                }
                repairs.unindexed.push(key.clone());
            }
        }
        let readable: HashMap<&str, &ApiKey> =
            keys.iter().map(|key| (key.id.as_str(), key)).collect();
        for (id, entry) in indexes.stale(keyspace, &repairs.present, &readable) {
            wrongs.stale(&entry.index);
            repairs.stale.entry(id).or_default().push(entry);
        }
        Ok(repairs)
    }

    /// Does it. A key that is changed meanwhile indexes itself.
    pub(super) async fn make(self, shared: &Shared) -> Result<(), StoreError> {
        let keyspace = &shared.keyspace;
        for key in &self.unindexed {
            let name = keyspace.key(key.id.as_str());
            let Some(mut write) = unchanged(shared, &name, key).await? else { continue };
            index(&mut write, keyspace, None, key);
            write.run(shared).await?;
        }
        for (id, entries) in self.stale {
            let name = keyspace.key(&id);
            let mut write = GuardedWrite::default();
            if self.present.contains(&id) {
                write.if_present(&name);
            } else {
                write.if_absent(&name);
            }
            for StaleEntry { command, index, member } in entries {
                write.write(command, index, [member]);
            }
            write.run(shared).await?;
        }
        if !self.is_marked_whole {
            let mut pipeline = Pipeline::with_capacity(1);
            pipeline.cmd("SET").arg(keyspace.key_index_version()).arg(WHOLE);
            shared.pool.send(&pipeline).await?;
        }
        Ok(())
    }
}

impl Indexes {
    async fn read(shared: &Shared, tags: &[String]) -> Result<Self, StoreError> {
        let Shared { pool, keyspace, .. } = shared;
        let set = async |name: &str| {
            Ok::<HashSet<_>, StoreError>(scan::members(pool, name).await?.into_iter().collect())
        };
        let mut tagged = BTreeMap::new();
        for tag in tags {
            tagged.insert(tag.clone(), set(&keyspace.key_tag(tag)).await?);
        }
        let mut by_name: HashMap<String, BTreeSet<String>> = HashMap::new();
        for member in scores(shared, keyspace.keys_by_name()).await?.into_keys() {
            let id = member.rsplit('\0').next().unwrap_or_default().to_owned();
            by_name.entry(id).or_default().insert(member);
        }
        Ok(Self {
            all: set(keyspace.key_ids()).await?,
            active: set(keyspace.active_keys()).await?,
            deleted: set(keyspace.deleted_keys()).await?,
            by_creation: scores(shared, keyspace.keys_by_creation()).await?,
            by_use: scores(shared, keyspace.keys_by_use()).await?,
            by_name,
            tags: set(keyspace.key_tags()).await?,
            tagged,
            digests: map(shared, keyspace.key_digests()).await?,
            deleted_digests: map(shared, &keyspace.deleted_key_digests()).await?,
            retiring_digests: map(shared, &keyspace.retiring_key_digests()).await?,
        })
    }

    /// The indexes that do not say of `key` what they should.
    fn missing(&self, keyspace: &Keyspace, key: &ApiKey) -> Vec<String> {
        let (id, digest) = (key.id.as_str(), key.digest.to_hex());
        let is_deleted = key.deleted.is_some();
        let is_active = key.is_active && !is_deleted;
        let scored = |index: &HashMap<String, f64>, moment: Timestamp| {
            // Scores are numbers of milliseconds, which fit.
            index
                .get(id)
                .is_some_and(|score| format!("{score:.0}") == moment.as_millis().to_string())
        };
        let maps =
            |digests: &HashMap<String, String>| digests.get(&digest).is_some_and(|of| of == id);
        let has_name = self.by_name.get(id).is_some_and(|names| names.contains(&by_name(key)));
        let (here, there) = if is_deleted {
            (&self.deleted_digests, &self.digests)
        } else {
            (&self.digests, &self.deleted_digests)
        };
        let is_mapped = maps(here) && !maps(there);
        let checks = [
            (self.all.contains(id), keyspace.key_ids()),
            (scored(&self.by_creation, key.created_at), keyspace.keys_by_creation()),
            (scored(&self.by_use, key.last_used_at.unwrap_or_default()), keyspace.keys_by_use()),
            (has_name, keyspace.keys_by_name()),
            (self.active.contains(id) == is_active, keyspace.active_keys()),
            (self.deleted.contains(id) == is_deleted, keyspace.deleted_keys()),
            (is_mapped, keyspace.key_digests()),
        ];
        let wrong = checks.into_iter().filter(|(is_right, _)| !is_right);
        let mut missing: Vec<String> = wrong.map(|(_, index)| index.to_owned()).collect();
        let is_retiring_mapped = key.retiring.is_none_or(|retiring| {
            self.retiring_digests.get(&retiring.digest.to_hex()).is_some_and(|of| of == id)
        });
        if !is_retiring_mapped {
            missing.push(keyspace.retiring_key_digests());
        }
        for tag in &key.tags {
            if !self.tagged.get(tag).is_some_and(|ids| ids.contains(id)) {
                missing.push(keyspace.key_tag(tag));
            }
            if !self.tags.contains(tag) {
                missing.push(keyspace.key_tags().to_owned());
            }
        }
        missing
    }

    /// The entries that are about no key, or say of one what is not so. What cannot be read is left alone.
    fn stale(
        &self,
        keyspace: &Keyspace,
        present: &HashSet<String>,
        readable: &HashMap<&str, &ApiKey>,
    ) -> Vec<(String, StaleEntry)> {
        let mut stale = Vec::new();
        let mut remove = |command, index: &str, id: &str, member: &str| {
            let (index, member) = (index.to_owned(), member.to_owned());
            stale.push((id.to_owned(), StaleEntry { command, index, member }));
        };
        let gone = |id: &str| !present.contains(id);
        let sets = [
            (&self.all, keyspace.key_ids()),
            (&self.active, keyspace.active_keys()),
            (&self.deleted, keyspace.deleted_keys()),
        ];
        for (set, index) in sets {
            set.iter().filter(|id| gone(id)).for_each(|id| remove("SREM", index, id, id));
        }
        let scored = [
            (&self.by_creation, keyspace.keys_by_creation()),
            (&self.by_use, keyspace.keys_by_use()),
        ];
        for (scores, index) in scored {
            scores.keys().filter(|id| gone(id)).for_each(|id| remove("ZREM", index, id, id));
        }
        for (id, members) in &self.by_name {
            let name = readable.get(id.as_str()).map(|key| by_name(key));
            let is_stale =
                |member: &&String| gone(id) || name.as_ref().is_some_and(|name| name != *member);
            for member in members.iter().filter(is_stale) {
                remove("ZREM", keyspace.keys_by_name(), id, member);
            }
        }
        for (tag, ids) in &self.tagged {
            let has = |id: &str| readable.get(id).is_none_or(|key| key.tags.contains(tag));
            for id in ids.iter().filter(|id| gone(id) || !has(id)) {
                remove("SREM", &keyspace.key_tag(tag), id, id);
            }
        }
        let deleted_digests = keyspace.deleted_key_digests();
        let maps =
            [(&self.digests, keyspace.key_digests()), (&self.deleted_digests, &deleted_digests)];
        for (digests, index) in maps {
            for (digest, id) in digests.iter().filter(|(_, id)| gone(id)) {
                remove("HDEL", index, id, digest);
            }
        }
        let retiring_digests = keyspace.retiring_key_digests();
        for (digest, id) in &self.retiring_digests {
            let is_other = |key: &&ApiKey| {
                key.retiring.is_none_or(|retiring| retiring.digest.to_hex() != *digest)
            };
            if gone(id) || readable.get(id.as_str()).is_some_and(is_other) {
                remove("HDEL", &retiring_digests, id, digest);
            }
        }
        stale
    }
}

/// A write that happens only if the key's indexed fields still are what `key` was read from.
async fn unchanged(
    shared: &Shared,
    name: &str,
    key: &ApiKey,
) -> Result<Option<GuardedWrite>, StoreError> {
    let hash = scan::read_all(&shared.pool, &[name.to_owned()]).await?.pop().unwrap_or_default();
    let users = Users::of(shared, std::slice::from_ref(&hash)).await?;
    let now = form::parse(key.id.as_str(), &hash, &users, shared.calendar);
    if !now.is_ok_and(|now| now == *key) {
        return Ok(None);
    }
    let mut write = GuardedWrite::default();
    for field in form::INDEXED {
        write.if_still(name, field, hash.stored(field));
    }
    Ok(Some(write))
}

fn by_name(key: &ApiKey) -> String {
    format!("{}\0{}", key.name.to_lowercase(), key.id)
}

async fn text(shared: &Shared, name: &str) -> Result<Option<String>, StoreError> {
    let mut pipeline = Pipeline::with_capacity(1);
    pipeline.cmd("GET").arg(name);
    connection::read(shared.pool.send(&pipeline).await?.pop().unwrap_or_default(), "GET")
}

async fn scores(shared: &Shared, name: &str) -> Result<HashMap<String, f64>, StoreError> {
    let mut pipeline = Pipeline::with_capacity(1);
    pipeline.cmd("ZRANGE").arg(name).arg(0).arg(-1).arg("WITHSCORES");
    let answer = shared.pool.send(&pipeline).await?.pop().unwrap_or_default();
    let pairs: Vec<(String, f64)> = connection::read(answer, "ZRANGE")?;
    Ok(pairs.into_iter().collect())
}

async fn map(shared: &Shared, name: &str) -> Result<HashMap<String, String>, StoreError> {
    let mut pipeline = Pipeline::with_capacity(1);
    pipeline.cmd("HGETALL").arg(name);
    connection::read(shared.pool.send(&pipeline).await?.pop().unwrap_or_default(), "HGETALL")
}
