//! API keys, in v1's hashes, with v1's indexes.

pub(crate) mod form;
mod service_rates;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use redis::Pipeline;
use relay_domain::{ApiKey, Expiry, ExpiryMode, KeyDigest, KeyId, Timestamp};
use relay_store::{KeyRepository, StoreError};

use crate::connection;
use crate::fault;
use crate::guarded_write::{ATTEMPTS, GuardedWrite};
use crate::hash::Hash;
use crate::keyspace::Keyspace;
use crate::scan;
use crate::shared::Shared;

/// How long a key is kept after it was last written or used, in seconds: v1's year.
const LIFETIME_S: &str = "31536000";

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
        Ok(scan::read_all(&self.shared.pool, &[name]).await?.pop().unwrap_or_default())
    }

    /// Takes keys into the indexes that v2 made, which keeps none. Once in a process.
    async fn index_what_is_not(&self) -> Result<(), StoreError> {
        let Shared { pool, keyspace, keys_indexed, .. } = &*self.shared;
        if keys_indexed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let indexed: BTreeSet<_> =
            scan::members(pool, keyspace.key_ids()).await?.into_iter().collect();
        let found = scan::hashes(pool, keyspace.key_pattern()).await?;
        let found: BTreeSet<_> = found.iter().filter_map(|name| keyspace.key_id_of(name)).collect();
        for id in found.into_iter().filter(|id| !indexed.contains(*id)) {
            let hash = self.read(id).await?;
            let Some(key) = form::parse_or_pass_over(id, &hash) else { continue };
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
        let mut pipeline = Pipeline::with_capacity(3 * digests.len());
        for digest in digests {
            let digest = digest.to_hex();
            pipeline.cmd("HGET").arg(keyspace.key_digests()).arg(&digest);
            pipeline.cmd("HGET").arg(keyspace.legacy_key_digest(&digest)).arg("id");
            pipeline.cmd("HGET").arg(keyspace.deleted_key_digests()).arg(&digest);
        }
        let answers = self.shared.pool.send(&pipeline).await?;
        let ids = answers.into_iter().map(|answer| connection::read(answer, "HGET"));
        Ok(ids.collect::<Result<Vec<Option<String>>, _>>()?.into_iter().flatten().collect())
    }
}

#[async_trait]
impl KeyRepository for RedisKeys {
    async fn create(&self, key: &ApiKey) -> Result<(), StoreError> {
        let keyspace = self.keyspace();
        let (name, digest) = (keyspace.key(key.id.as_str()), key.digest.to_hex());
        let mut write = GuardedWrite::default();
        write.if_absent(&name);
        write.if_still(keyspace.key_digests(), &digest, None);
        write.if_still(keyspace.deleted_key_digests(), &digest, None);
        write.set_fields(&name, &form::fixed_fields(key));
        write.set_fields(&name, &form::fields(key));
        write.write("EXPIRE", &name, [LIFETIME_S]);
        index(&mut write, keyspace, None, key);
        write.write("INCR", keyspace.key_version(), [""; 0]);
        match write.run(&self.shared).await? {
            None => Ok(()),
            Some(0) => Err(StoreError::Duplicate { what: format!("the API key {}", key.id) }),
            Some(_) => {
                Err(StoreError::Duplicate { what: "an API key with this secret".to_owned() })
            }
        }
    }

    async fn get(&self, id: &KeyId) -> Result<Option<ApiKey>, StoreError> {
        let hash = self.read(id.as_str()).await?;
        if hash.is_absent() { Ok(None) } else { form::parse(id.as_str(), &hash).map(Some) }
    }

    async fn find_by_digest(&self, digests: &[KeyDigest]) -> Result<Option<ApiKey>, StoreError> {
        for id in self.ids_of(digests).await? {
            let hash = self.read(&id).await?;
            // v1 leaves mappings behind whose key is gone.
            if !hash.is_absent() {
                return form::parse(&id, &hash).map(Some);
            }
        }
        Ok(None)
    }

    async fn list(&self) -> Result<Vec<ApiKey>, StoreError> {
        self.index_what_is_not().await?;
        let Shared { pool, keyspace, .. } = &*self.shared;
        let ids = scan::members(pool, keyspace.key_ids()).await?;
        let names: Vec<_> = ids.iter().map(|id| keyspace.key(id)).collect();
        let hashes = scan::read_all(pool, &names).await?;
        let read = |(id, hash): (&String, &Hash)| form::parse_or_pass_over(id, hash);
        let mut keys: Vec<_> = ids.iter().zip(&hashes).filter_map(read).collect();
        keys.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        Ok(keys)
    }

    async fn update(&self, key: &ApiKey) -> Result<bool, StoreError> {
        let keyspace = self.keyspace();
        let name = keyspace.key(key.id.as_str());
        for _ in 0..ATTEMPTS {
            let hash = self.read(key.id.as_str()).await?;
            if hash.is_absent() {
                return Ok(false);
            }
            let old = form::parse(key.id.as_str(), &hash)?;
            let has_begun = old.expiry.mode == ExpiryMode::Activation && old.expiry.due().is_none();
            let asks_to_begin = key.expiry.due().is_some();
            let new = ApiKey {
                expiry: if has_begun && asks_to_begin { old.expiry } else { key.expiry },
                digest: old.digest,
                created_at: old.created_at,
                last_used_at: old.last_used_at,
                revision: old.revision,
                ..key.clone()
            };
            let mut write = GuardedWrite::default();
            for field in form::INDEXED.into_iter().chain(form::ACTIVATION) {
                write.if_still(&name, field, hash.stored(field));
            }
            write.set_fields(&name, &form::changes(&hash, &old, &new));
            write.write("EXPIRE", &name, [LIFETIME_S]);
            index(&mut write, keyspace, Some(&old), &new);
            write.write("INCR", keyspace.key_version(), [""; 0]);
            if write.run(&self.shared).await?.is_none() {
                return Ok(true);
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
            let expiry = form::expiry(&hash);
            if hash.is_absent() || expiry.mode == ExpiryMode::Fixed {
                return Ok(None);
            }
            if expiry.due().is_none() {
                return Ok(expiry.end());
            }
            let mut write = GuardedWrite::default();
            for field in form::ACTIVATION {
                write.if_still(&name, field, hash.stored(field));
            }
            let begun =
                Expiry { at: Some(end), is_activated: true, activated_at: Some(now), ..expiry };
            write.set_fields(&name, &form::expiry_fields(begun));
            let revision = form::revision(&hash).saturating_add(1).to_string();
            write.set_fields(&name, &[(form::REVISION, revision)]);
            write.write("EXPIRE", &name, [LIFETIME_S]);
            write.write("INCR", keyspace.key_version(), [""; 0]);
            if write.run(&self.shared).await?.is_none() {
                return Ok(Some(end));
            }
        }
        Err(fault::contended(name))
    }
}

/// Brings the indexes from what `old` needs to what `new` needs.
pub(crate) fn index(
    write: &mut GuardedWrite,
    keyspace: &Keyspace,
    old: Option<&ApiKey>,
    new: &ApiKey,
) {
    let id = new.id.as_str();
    let by_name = |key: &ApiKey| format!("{}\0{id}", key.name.to_lowercase());
    if let Some(old) = old {
        if by_name(old) != by_name(new) {
            write.write("ZREM", keyspace.keys_by_name(), [by_name(old)]);
        }
        for tag in old.tags.iter().filter(|tag| !new.tags.contains(tag)) {
            write.write("SREM", keyspace.key_tag(tag), [id]);
        }
    }
    let used = new.last_used_at.map_or(0, Timestamp::as_millis).to_string();
    write.write("SADD", keyspace.key_ids(), [id]);
    write.write("ZADD", keyspace.keys_by_creation(), [&new.created_at.as_millis().to_string(), id]);
    write.write("ZADD", keyspace.keys_by_use(), [&used, id]);
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
    } else {
        write.write("HDEL", keyspace.deleted_key_digests(), [&digest]);
        write.write("HSET", keyspace.key_digests(), [&digest, id]);
    }
}
