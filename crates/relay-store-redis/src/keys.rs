//! API keys, in v1's hashes, with v1's indexes.

pub(crate) mod bindings;
mod bound;
pub(crate) mod form;
mod listing;
mod need;
mod service_rates;
pub(crate) mod users;
mod week;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use need::Need;
use redis::Pipeline;
use relay_domain::{ApiKey, Expiry, ExpiryMode, KeyDigest, KeyId, Timestamp};
use relay_store::{KeyQuery, KeyRepository, Page, StoreError, Update};
use users::Users;

use crate::connection;
use crate::fault;
use crate::guarded_write::{ATTEMPTS, GuardedWrite};
use crate::hash::Hash;
use crate::keyspace::Keyspace;
use crate::scan;
use crate::shared::Shared;

/// How long a key is kept after it was last written or used, in seconds: v1's year.
const LIFETIME_S: &str = "31536000";
/// How many keys are added in one step.
const CREATED_AT_ONCE: usize = 5;

/// API keys.
pub(crate) struct RedisKeys {
    pub(crate) shared: Arc<Shared>,
}

impl RedisKeys {
    fn keyspace(&self) -> &Keyspace {
        &self.shared.keyspace
    }

    async fn read(&self, id: &str) -> Result<Hash, StoreError> {
        let name = self.keyspace().key(id);
        // One of v1's indexes is a hash too.
        if self.keyspace().key_id_of(&name).is_none() {
            return Ok(Hash::default());
        }
        Ok(scan::read_all(&self.shared.pool, &[name]).await?.pop().unwrap_or_default())
    }

    /// The key that a hash is, for a change: how its user stands is not looked up.
    fn parse(&self, id: &str, hash: &Hash) -> Result<ApiKey, StoreError> {
        form::parse(id, hash, &Users::unread(), self.shared.calendar)
    }

    /// The key that a hash is, with how its user stands.
    async fn parse_whole(&self, id: &str, hash: &Hash) -> Result<ApiKey, StoreError> {
        let users = Users::of(&self.shared, std::slice::from_ref(hash)).await?;
        form::parse(id, hash, &users, self.shared.calendar)
    }

    /// Takes keys into the indexes that v2 made, which keeps none. Once in a process.
    async fn index_what_is_not(&self) -> Result<(), StoreError> {
        let Shared { pool, keyspace, calendar, keys_indexed, .. } = &*self.shared;
        if keys_indexed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let indexed: BTreeSet<_> =
            scan::members(pool, keyspace.key_ids()).await?.into_iter().collect();
        let found = scan::hashes(pool, keyspace.key_pattern()).await?;
        let found: BTreeSet<_> = found.iter().filter_map(|name| keyspace.key_id_of(name)).collect();
        for id in found.into_iter().filter(|id| !indexed.contains(*id)) {
            let hash = self.read(id).await?;
            let key = form::parse_or_pass_over(id, &hash, &Users::unread(), *calendar);
            let Some(key) = key else { continue };
            let mut write = GuardedWrite::default();
            write.if_present(keyspace.key(id));
            index(&mut write, keyspace, None, &key);
            write.run(&self.shared).await?;
        }
        keys_indexed.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The ids under which digests are stored, in the digests' order, alive before deleted.
    async fn ids_of(&self, digests: &[KeyDigest]) -> Result<Vec<String>, StoreError> {
        let keyspace = self.keyspace();
        let mut pipeline = Pipeline::with_capacity(4 * digests.len());
        for digest in digests {
            let digest = digest.to_hex();
            pipeline.cmd("HGET").arg(keyspace.key_digests()).arg(&digest);
            pipeline.cmd("HGET").arg(keyspace.legacy_key_digest(&digest)).arg("id");
            pipeline.cmd("HGET").arg(keyspace.deleted_key_digests()).arg(&digest);
            pipeline.cmd("HGET").arg(keyspace.retiring_key_digests()).arg(&digest);
        }
        let answers = self.shared.pool.send(&pipeline).await?;
        let ids = answers.into_iter().map(|answer| connection::read(answer, "HGET"));
        Ok(ids.collect::<Result<Vec<Option<String>>, _>>()?.into_iter().flatten().collect())
    }
}

impl RedisKeys {
    /// Adds so few keys that Redis is held up for a moment only, all or none of them, if what they need is
    /// there; each with what `more` says besides.
    async fn create_few(
        &self,
        keys: &[ApiKey],
        needs: &[Need<'_>],
        more: fn(&ApiKey) -> Vec<(&'static str, String)>,
    ) -> Result<(), StoreError> {
        let keyspace = self.keyspace();
        let mut write = GuardedWrite::default();
        for key in keys {
            write.if_absent(keyspace.key(key.id.as_str()));
        }
        for digest in keys.iter().flat_map(secrets) {
            self.guard_digest(&mut write, digest);
        }
        let on_needs = write.guard_count();
        for need in needs {
            need.guard(&mut write, keyspace);
        }
        for key in keys {
            let name = keyspace.key(key.id.as_str());
            write.set_fields(&name, &form::fixed_fields(key));
            write.set_fields(&name, &form::fields(key));
            write.set_fields(&name, &more(key));
            write.write("EXPIRE", &name, [LIFETIME_S]);
            index(&mut write, keyspace, None, key);
            listing::announce(&mut write, keyspace, key.id.as_str());
        }
        match write.run(&self.shared).await? {
            None => Ok(()),
            Some(position) if on_needs <= position => Err(missing(needs, position - on_needs)),
            Some(position) => Err(keys.get(position).map_or_else(secret_is_taken, |key| {
                StoreError::Duplicate { what: format!("the API key {}", key.id) }
            })),
        }
    }

    /// Only if no key has this secret.
    fn guard_digest(&self, write: &mut GuardedWrite, digest: KeyDigest) {
        let digest = digest.to_hex();
        write.if_still(self.keyspace().key_digests(), &digest, None);
        write.if_still(self.keyspace().deleted_key_digests(), &digest, None);
        write.if_still(self.keyspace().retiring_key_digests(), &digest, None);
    }
}

#[async_trait]
impl KeyRepository for RedisKeys {
    async fn create(&self, key: &ApiKey) -> Result<(), StoreError> {
        self.create_many(std::slice::from_ref(key)).await
    }

    async fn create_many(&self, keys: &[ApiKey]) -> Result<(), StoreError> {
        for keys in keys.chunks(CREATED_AT_ONCE) {
            let needs: Vec<_> = keys.iter().flat_map(|key| Need::of(key, None)).collect();
            self.create_few(keys, &needs, |_| Vec::new()).await?;
        }
        Ok(())
    }

    async fn import(&self, key: &ApiKey) -> Result<(), StoreError> {
        self.create_few(std::slice::from_ref(key), &[], form::fields_of_import).await
    }

    async fn get(&self, id: &KeyId) -> Result<Option<ApiKey>, StoreError> {
        let hash = self.read(id.as_str()).await?;
        if hash.is_absent() {
            return Ok(None);
        }
        self.parse_whole(id.as_str(), &hash).await.map(Some)
    }

    async fn find_by_digest(&self, digests: &[KeyDigest]) -> Result<Option<ApiKey>, StoreError> {
        for id in self.ids_of(digests).await? {
            let hash = self.read(&id).await?;
            // v1 leaves mappings behind whose key is gone.
            if !hash.is_absent() {
                return self.parse_whole(&id, &hash).await.map(Some);
            }
        }
        Ok(None)
    }

    async fn list(&self) -> Result<Vec<ApiKey>, StoreError> {
        self.index_what_is_not().await?;
        let Shared { pool, keyspace, calendar, .. } = &*self.shared;
        let ids = scan::members(pool, keyspace.key_ids()).await?;
        let names: Vec<_> = ids.iter().map(|id| keyspace.key(id)).collect();
        let hashes = scan::read_all(pool, &names).await?;
        let users = Users::of(&self.shared, &hashes).await?;
        let read =
            |(id, hash): (&String, &Hash)| form::parse_or_pass_over(id, hash, &users, *calendar);
        let mut keys: Vec<_> = ids.iter().zip(&hashes).filter_map(read).collect();
        keys.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        Ok(keys)
    }

    async fn page(&self, query: &KeyQuery) -> Result<Page<ApiKey>, StoreError> {
        self.page_of_keys(query).await
    }

    async fn all(&self, query: &KeyQuery) -> Result<Page<Arc<ApiKey>>, StoreError> {
        self.all_keys(query).await
    }

    async fn update(&self, key: &ApiKey) -> Result<Update, StoreError> {
        let keyspace = self.keyspace();
        let name = keyspace.key(key.id.as_str());
        for _ in 0..ATTEMPTS {
            let hash = self.read(key.id.as_str()).await?;
            if hash.is_absent() {
                return Ok(Update::Absent);
            }
            let old = self.parse(key.id.as_str(), &hash)?;
            if old.revision != key.revision {
                return Ok(Update::Stale { current: old.revision });
            }
            let revision = old.revision.saturating_add(1);
            let new = ApiKey {
                created_at: old.created_at,
                last_used_at: old.last_used_at,
                revision,
                ..key.clone()
            };
            let mut write = GuardedWrite::default();
            guard(&mut write, &name, &hash);
            week::carry_over(&mut write, &self.shared, (&old, &hash), &new);
            let has_changed = write.guard_count();
            let known = [Some(old.digest), old.retiring.map(|secret| secret.digest)];
            for digest in secrets(&new).filter(|digest| !known.contains(&Some(*digest))) {
                self.guard_digest(&mut write, digest);
            }
            let on_needs = write.guard_count();
            let needs: Vec<_> = Need::of(&new, Some(&old)).collect();
            for need in &needs {
                need.guard(&mut write, keyspace);
            }
            write.set_fields(&name, &form::changes(&hash, &old, &new));
            write.write("EXPIRE", &name, [LIFETIME_S]);
            index(&mut write, keyspace, Some(&old), &new);
            listing::announce(&mut write, keyspace, key.id.as_str());
            match write.run(&self.shared).await? {
                None => return Ok(Update::Done { revision }),
                Some(position) if on_needs <= position => {
                    return Err(missing(&needs, position - on_needs));
                }
                Some(position) if has_changed <= position => return Err(secret_is_taken()),
                Some(_) => {}
            }
        }
        Err(fault::contended(name))
    }

    async fn purge(&self, id: &KeyId, revision: u64) -> Result<Update, StoreError> {
        let keyspace = self.keyspace();
        let name = keyspace.key(id.as_str());
        for _ in 0..ATTEMPTS {
            let hash = self.read(id.as_str()).await?;
            if hash.is_absent() {
                return Ok(Update::Absent);
            }
            let old = self.parse(id.as_str(), &hash)?;
            if old.revision != revision {
                return Ok(Update::Stale { current: old.revision });
            }
            let mut write = GuardedWrite::default();
            guard(&mut write, &name, &hash);
            write.write("DEL", &name, [""; 0]);
            for total in keyspace.key_totals(id.as_str()) {
                write.write("DEL", total, [""; 0]);
            }
            remove_from_indexes(&mut write, keyspace, &old);
            listing::announce(&mut write, keyspace, id.as_str());
            if write.run(&self.shared).await?.is_none() {
                return Ok(Update::Done { revision });
            }
        }
        Err(fault::contended(name))
    }

    async fn activate(
        &self,
        id: &KeyId,
        now: Timestamp,
        end: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let keyspace = self.keyspace();
        let name = keyspace.key(id.as_str());
        for _ in 0..ATTEMPTS {
            let hash = self.read(id.as_str()).await?;
            let expiry = form::expiry(&hash, self.shared.calendar);
            if hash.is_absent() || expiry.mode == ExpiryMode::Fixed {
                return Ok(None);
            }
            if expiry.due().is_none() {
                return Ok(expiry.end());
            }
            let mut write = GuardedWrite::default();
            for field in form::ACTIVATION.into_iter().chain([form::REVISION]) {
                write.if_still(&name, field, hash.stored(field));
            }
            let begun =
                Expiry { at: Some(end), is_activated: true, activated_at: Some(now), ..expiry };
            write.set_fields(&name, &form::expiry_fields(begun));
            let revision = form::revision(&hash).saturating_add(1).to_string();
            write.set_fields(&name, &[(form::REVISION, revision)]);
            write.write("EXPIRE", &name, [LIFETIME_S]);
            listing::announce(&mut write, keyspace, id.as_str());
            if write.run(&self.shared).await?.is_none() {
                return Ok(Some(end));
            }
        }
        Err(fault::contended(name))
    }
}

/// Only if nobody has changed the key since it was read as `hash`, in what a change depends on.
fn guard(write: &mut GuardedWrite, name: &str, hash: &Hash) {
    let fields = form::INDEXED.into_iter().chain(form::ACTIVATION).chain([form::REVISION]);
    for field in fields {
        write.if_still(name, field, hash.stored(field));
    }
}

/// The digests of a key's secrets.
fn secrets(key: &ApiKey) -> impl Iterator<Item = KeyDigest> {
    std::iter::once(key.digest).chain(key.retiring.map(|retiring| retiring.digest))
}

fn secret_is_taken() -> StoreError {
    StoreError::Duplicate { what: "an API key with this secret".to_owned() }
}

/// What is needed at this position is not there.
fn missing(needs: &[Need<'_>], position: usize) -> StoreError {
    StoreError::Missing { what: needs.get(position).map(ToString::to_string).unwrap_or_default() }
}

/// Brings the indexes from what `old` needs to what `new` needs.
pub(crate) fn index(
    write: &mut GuardedWrite,
    keyspace: &Keyspace,
    old: Option<&ApiKey>,
    new: &ApiKey,
) {
    let id = new.id.as_str();
    if let Some(old) = old {
        if by_name(old) != by_name(new) {
            write.write("ZREM", keyspace.keys_by_name(), [by_name(old)]);
        }
        for tag in old.tags.iter().filter(|tag| !new.tags.contains(tag)) {
            write.write("SREM", keyspace.key_tag(tag), [id]);
        }
        if old.digest != new.digest {
            forget_digest(write, keyspace, &old.digest);
        }
        if let Some(retiring) = old.retiring {
            write.write("HDEL", keyspace.retiring_key_digests(), [retiring.digest.to_hex()]);
        }
    }
    let used = new.last_used_at.map_or(0, Timestamp::as_millis).to_string();
    write.write("SADD", keyspace.key_ids(), [id]);
    write.write("ZADD", keyspace.keys_by_creation(), [&new.created_at.as_millis().to_string(), id]);
    // Settlements set it forward meanwhile.
    write.write("ZADD", keyspace.keys_by_use(), ["NX", &used, id]);
    write.write("ZADD", keyspace.keys_by_name(), ["0".to_owned(), by_name(new)]);
    for tag in &new.tags {
        write.write("SADD", keyspace.key_tag(tag), [id]);
        write.write("SADD", keyspace.key_tags(), [tag]);
    }
    let (is_deleted, digest) = (new.deleted.is_some(), new.digest.to_hex());
    let place = |is_in: bool| if is_in { "SADD" } else { "SREM" };
    write.write(place(new.is_active && !is_deleted), keyspace.active_keys(), [id]);
    write.write(place(is_deleted), keyspace.deleted_keys(), [id]);
    // v1 finds a key by this map alone, so a deleted key may not be in it.
    if is_deleted {
        write.write("HDEL", keyspace.key_digests(), [&digest]);
        write.write("DEL", keyspace.legacy_key_digest(&digest), [""; 0]);
        write.write("HSET", keyspace.deleted_key_digests(), [&digest, id]);
        for ranking in keyspace.cost_rankings() {
            write.write("ZREM", ranking, [id]);
        }
    } else {
        write.write("HDEL", keyspace.deleted_key_digests(), [&digest]);
        write.write("HSET", keyspace.key_digests(), [&digest, id]);
    }
    if let Some(retiring) = new.retiring {
        let pair = [retiring.digest.to_hex(), id.to_owned()];
        write.write("HSET", keyspace.retiring_key_digests(), pair);
    }
}

/// Takes a key out of every index.
fn remove_from_indexes(write: &mut GuardedWrite, keyspace: &Keyspace, key: &ApiKey) {
    let id = key.id.as_str();
    write.write("SREM", keyspace.key_ids(), [id]);
    write.write("SREM", keyspace.active_keys(), [id]);
    write.write("SREM", keyspace.deleted_keys(), [id]);
    write.write("ZREM", keyspace.keys_by_creation(), [id]);
    write.write("ZREM", keyspace.keys_by_use(), [id]);
    write.write("ZREM", keyspace.keys_by_name(), [by_name(key)]);
    for ranking in keyspace.cost_rankings() {
        write.write("ZREM", ranking, [id]);
    }
    for tag in &key.tags {
        write.write("SREM", keyspace.key_tag(tag), [id]);
    }
    forget_digest(write, keyspace, &key.digest);
    if let Some(retiring) = key.retiring {
        write.write("HDEL", keyspace.retiring_key_digests(), [retiring.digest.to_hex()]);
    }
}

fn forget_digest(write: &mut GuardedWrite, keyspace: &Keyspace, digest: &KeyDigest) {
    let digest = digest.to_hex();
    write.write("HDEL", keyspace.key_digests(), [&digest]);
    write.write("HDEL", keyspace.deleted_key_digests(), [&digest]);
    write.write("DEL", keyspace.legacy_key_digest(&digest), [""; 0]);
}

/// v1's member of the index by name.
fn by_name(key: &ApiKey) -> String {
    format!("{}\0{}", key.name.to_lowercase(), key.id)
}
