//! Groups of API keys: v1 has none, so they lie in a hash of Relay's own, each as JSON.

use std::sync::Arc;

use async_trait::async_trait;
use redis::Pipeline;
use relay_domain::{GroupId, KeyGroup, Timestamp};
use relay_store::{GroupRemoval, GroupRepository, StoreError, StoredLimits, Update};
use serde::{Deserialize, Serialize};

use crate::connection;
use crate::fault;
use crate::group_removal::{self, Removal};
use crate::guarded_write::{ATTEMPTS, GuardedWrite};
use crate::keys::RedisKeys;
use crate::scan;
use crate::shared::Shared;

/// Groups of API keys.
pub(crate) struct RedisGroups {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug, Deserialize, Serialize)]
struct GroupForm {
    name: String,
    description: String,
    limits: StoredLimits,
    created_at: Timestamp,
    updated_at: Option<Timestamp>,
    revision: u64,
}

impl RedisGroups {
    async fn read(&self, id: &str) -> Result<Option<String>, StoreError> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("HGET").arg(self.shared.keyspace.key_groups()).arg(id);
        let answer = self.shared.pool.send(&pipeline).await?.pop();
        connection::read(answer.unwrap_or_default(), "HGET")
    }

    /// The group with this id as it is stored, and as Relay knows it.
    async fn find(&self, id: &GroupId) -> Result<Option<(String, KeyGroup)>, StoreError> {
        let Some(json) = self.read(id.as_str()).await? else { return Ok(None) };
        let group = parse(id.as_str(), &json)?;
        Ok(Some((json, group)))
    }

    /// The writes that remove a group, which happen only if neither it nor any key has been changed since;
    /// or why it stays.
    async fn removal(&self, id: &GroupId, revision: u64) -> Result<Removal, StoreError> {
        let keyspace = &self.shared.keyspace;
        let Some((json, old)) = self.find(id).await? else {
            return Ok(Err(GroupRemoval::Absent));
        };
        if old.revision != revision {
            return Ok(Err(GroupRemoval::Stale { current: old.revision }));
        }
        let mut write = GuardedWrite::default();
        write.if_still(keyspace.key_groups(), id.as_str(), Some(&json));
        let keys = RedisKeys { shared: Arc::clone(&self.shared) };
        match keys.count_members(id, &mut write).await? {
            0 => {}
            keys => return Ok(Err(GroupRemoval::InUse { keys })),
        }
        write.write("HDEL", keyspace.key_groups(), [id.as_str()]);
        write.write("INCR", keyspace.key_version(), [""; 0]);
        Ok(Ok(write))
    }
}

#[async_trait]
impl GroupRepository for RedisGroups {
    async fn create(&self, group: &KeyGroup) -> Result<(), StoreError> {
        let keyspace = &self.shared.keyspace;
        let mut write = GuardedWrite::default();
        write.if_still(keyspace.key_groups(), group.id.as_str(), None);
        write.write("HSET", keyspace.key_groups(), [group.id.to_string(), text(group)?]);
        write.write("INCR", keyspace.key_version(), [""; 0]);
        match write.run(&self.shared).await? {
            None => Ok(()),
            Some(_) => Err(StoreError::Duplicate { what: format!("the group {}", group.id) }),
        }
    }

    async fn get(&self, id: &GroupId) -> Result<Option<KeyGroup>, StoreError> {
        self.read(id.as_str()).await?.map(|json| parse(id.as_str(), &json)).transpose()
    }

    async fn list(&self) -> Result<Vec<KeyGroup>, StoreError> {
        let found = scan::fields(&self.shared.pool, &self.shared.keyspace.key_groups()).await?;
        let read = |(id, json): &(String, String)| {
            let group = parse(id, json);
            group.inspect_err(|error| tracing::error!(%error, "a group is passed over")).ok()
        };
        let mut groups: Vec<_> = found.iter().filter_map(read).collect();
        groups.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        groups.dedup_by(|a, b| a.id == b.id);
        Ok(groups)
    }

    async fn update(&self, group: &KeyGroup) -> Result<Update, StoreError> {
        let keyspace = &self.shared.keyspace;
        for _ in 0..ATTEMPTS {
            let Some((json, old)) = self.find(&group.id).await? else {
                return Ok(Update::Absent);
            };
            if old.revision != group.revision {
                return Ok(Update::Stale { current: old.revision });
            }
            let revision = old.revision.saturating_add(1);
            let new = KeyGroup { created_at: old.created_at, revision, ..group.clone() };
            let mut write = GuardedWrite::default();
            write.if_still(keyspace.key_groups(), group.id.as_str(), Some(&json));
            write.write("HSET", keyspace.key_groups(), [group.id.to_string(), text(&new)?]);
            write.write("INCR", keyspace.key_version(), [""; 0]);
            if write.run(&self.shared).await?.is_none() {
                return Ok(Update::Done { revision });
            }
        }
        Err(fault::contended(format!("group {}", group.id)))
    }

    async fn delete(&self, id: &GroupId, revision: u64) -> Result<GroupRemoval, StoreError> {
        let what = format!("group {id}");
        group_removal::remove(&self.shared, what, || self.removal(id, revision)).await
    }
}

fn text(group: &KeyGroup) -> Result<String, StoreError> {
    let form = GroupForm {
        name: group.name.clone(),
        description: group.description.clone(),
        limits: group.limits.into(),
        created_at: group.created_at,
        updated_at: group.updated_at,
        revision: group.revision,
    };
    serde_json::to_string(&form).map_err(|error| StoreError::Refused(Box::new(error)))
}

fn parse(id: &str, json: &str) -> Result<KeyGroup, StoreError> {
    let corrupt = |why: String| StoreError::Corrupt { what: format!("group {id}"), why };
    let form: GroupForm = serde_json::from_str(json).map_err(|error| corrupt(error.to_string()))?;
    Ok(KeyGroup {
        id: GroupId::try_from(id).map_err(|error| corrupt(error.to_string()))?,
        name: form.name,
        description: form.description,
        limits: form.limits.into(),
        created_at: form.created_at,
        updated_at: form.updated_at,
        revision: form.revision,
    })
}
