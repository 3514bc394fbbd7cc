//! Groups of API keys.

use async_trait::async_trait;
use relay_domain::{GroupId, KeyGroup, Timestamp};
use relay_store::{GroupRemoval, GroupRepository, StoreError, StoredLimits, Update};
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use crate::error::{SqliteError, corrupt, is_taken};
use crate::keys::count_members;
use crate::store::SqliteStore;
use crate::stored::{millis, moment, number, whole};

/// What an operator may change of a group, but for its name, which is a column.
#[derive(Debug, Deserialize, Serialize)]
struct SettingsForm {
    description: String,
    limits: StoredLimits,
    updated_at: Option<Timestamp>,
}

#[async_trait]
impl GroupRepository for SqliteStore {
    async fn create(&self, group: &KeyGroup) -> Result<(), StoreError> {
        let group = group.clone();
        self.core().queue.run(move |connection| create(connection, &group)).await
    }

    async fn get(&self, id: &GroupId) -> Result<Option<KeyGroup>, StoreError> {
        let id = id.clone();
        let read = move |connection: &mut Connection| {
            Ok(select(connection, "WHERE id = ?1", [id.as_str()])?.into_iter().next())
        };
        self.core().queue.run(read).await
    }

    async fn list(&self) -> Result<Vec<KeyGroup>, StoreError> {
        self.core().queue.run(|connection| select(connection, "ORDER BY name, id", [])).await
    }

    async fn update(&self, group: &KeyGroup) -> Result<Update, StoreError> {
        let group = group.clone();
        let write = move |connection: &mut Connection| {
            let settings = settings(&group)?;
            let changed = connection.execute(
                "UPDATE key_group SET name = ?3, settings = ?4, revision = revision + 1
                 WHERE id = ?1 AND revision = ?2",
                params![group.id.as_str(), whole(group.revision), group.name, settings],
            );
            let changed = changed.map_err(SqliteError::from)?;
            outcome(connection, &group.id, changed, group.revision.saturating_add(1))
        };
        self.core().queue.run(write).await
    }

    async fn delete(&self, id: &GroupId, revision: u64) -> Result<GroupRemoval, StoreError> {
        let id = id.clone();
        self.core().queue.run(move |connection| remove(connection, &id, revision)).await
    }
}

fn remove(
    connection: &mut Connection,
    id: &GroupId,
    revision: u64,
) -> Result<GroupRemoval, StoreError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(SqliteError::from)?;
    match revision_of(&transaction, id)? {
        None => return Ok(GroupRemoval::Absent),
        Some(current) if current != revision => return Ok(GroupRemoval::Stale { current }),
        Some(_) => {}
    }
    match count_members(&transaction, id)? {
        0 => {}
        keys => return Ok(GroupRemoval::InUse { keys }),
    }
    let write = || {
        transaction.execute("DELETE FROM key_group WHERE id = ?1", [id.as_str()])?;
        transaction.commit()
    };
    write().map_err(SqliteError::from)?;
    Ok(GroupRemoval::Done)
}

fn create(connection: &Connection, group: &KeyGroup) -> Result<(), StoreError> {
    let created = connection.execute(
        "INSERT INTO key_group (id, name, created_at, revision, settings)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            group.id.as_str(),
            group.name,
            millis(group.created_at),
            whole(group.revision),
            settings(group)?,
        ],
    );
    match created {
        Ok(_) => Ok(()),
        Err(error) if is_taken(&error) => {
            Err(StoreError::Duplicate { what: format!("group {}", group.id) })
        }
        Err(error) => Err(SqliteError::from(error).into()),
    }
}

/// What a change of so many rows amounts to. The connection is one thread's: nothing came in between.
fn outcome(
    connection: &Connection,
    id: &GroupId,
    changed: usize,
    revision: u64,
) -> Result<Update, StoreError> {
    if 0 < changed {
        return Ok(Update::Done { revision });
    }
    let current = revision_of(connection, id)?;
    Ok(current.map_or(Update::Absent, |current| Update::Stale { current }))
}

fn revision_of(connection: &Connection, id: &GroupId) -> Result<Option<u64>, SqliteError> {
    let sql = "SELECT revision FROM key_group WHERE id = ?1";
    let found = connection.query_row(sql, [id.as_str()], |row| row.get(0)).optional()?;
    Ok(found.map(number))
}

fn settings(group: &KeyGroup) -> Result<String, SqliteError> {
    let form = SettingsForm {
        description: group.description.clone(),
        limits: group.limits.into(),
        updated_at: group.updated_at,
    };
    Ok(serde_json::to_string(&form)?)
}

fn select(
    connection: &Connection,
    which: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<KeyGroup>, StoreError> {
    let sql = format!("SELECT id, name, created_at, revision, settings FROM key_group {which}");
    let mut read = connection.prepare_cached(&sql).map_err(SqliteError::from)?;
    let found = read.query_map(values, columns).map_err(SqliteError::from)?;
    found.map(|row| into_group(row.map_err(SqliteError::from)?)).collect()
}

type Columns = (String, String, i64, i64, String);

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
}

fn into_group((id, name, created_at, revision, settings): Columns) -> Result<KeyGroup, StoreError> {
    let what = || format!("group {id}");
    let form: SettingsForm = serde_json::from_str(&settings).map_err(|why| corrupt(what(), why))?;
    Ok(KeyGroup {
        id: GroupId::try_from(id.as_str()).map_err(|why| corrupt(what(), why))?,
        name,
        description: form.description,
        limits: form.limits.into(),
        created_at: moment(created_at),
        updated_at: form.updated_at,
        revision: number(revision),
    })
}
