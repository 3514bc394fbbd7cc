//! API keys.

use async_trait::async_trait;
use relay_domain::{ApiKey, KeyDigest, KeyId, RetiringSecret, Timestamp};
use relay_store::{KeyRepository, StoreError};
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};

use crate::counters::KEY_SCOPE;
use crate::error::{SqliteError, corrupt, is_taken};
use crate::store::SqliteStore;
use crate::stored::{KeyColumns, KeyForm, millis, moment, number, whole};

#[async_trait]
impl KeyRepository for SqliteStore {
    async fn create(&self, key: &ApiKey) -> Result<(), StoreError> {
        let key = key.clone();
        self.core().queue.run(move |connection| create(connection, &key)).await
    }

    async fn get(&self, id: &KeyId) -> Result<Option<ApiKey>, StoreError> {
        let id = id.clone();
        let read = move |connection: &mut Connection| {
            let found = select(connection, "WHERE api_key.id = ?1", [id.as_str()])?;
            Ok(found.into_iter().next())
        };
        self.core().queue.run(read).await
    }

    async fn find_by_digest(&self, digests: &[KeyDigest]) -> Result<Option<ApiKey>, StoreError> {
        let digests = digests.to_vec();
        let read = move |connection: &mut Connection| {
            for digest in digests {
                let found = select(connection, "WHERE digest = ?1", [digest.as_bytes()])?;
                if let Some(key) = found.into_iter().next() {
                    return Ok(Some(key));
                }
            }
            Ok(None)
        };
        self.core().queue.run(read).await
    }

    async fn list(&self) -> Result<Vec<ApiKey>, StoreError> {
        let read = |connection: &mut Connection| {
            select(connection, "ORDER BY api_key.created_at DESC, api_key.id", [])
        };
        self.core().queue.run(read).await
    }

    async fn update(&self, key: &ApiKey) -> Result<bool, StoreError> {
        let key = key.clone();
        self.core().queue.run(move |connection| update(connection, &key)).await
    }

    async fn activate(
        &self,
        id: &KeyId,
        now: Timestamp,
        end: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let id = id.clone();
        self.core().queue.run(move |connection| activate(connection, &id, now, end)).await
    }
}

fn create(connection: &Connection, key: &ApiKey) -> Result<(), StoreError> {
    let settings = serde_json::to_string(&KeyForm::of(key)).map_err(SqliteError::from)?;
    let created = connection.execute(
        "INSERT INTO api_key (id, digest, created_at, last_used_at, settings, revision,
             retiring_digest, retiring_until)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            key.id.as_str(),
            key.digest.as_bytes(),
            millis(key.created_at),
            key.last_used_at.map(millis),
            settings,
            whole(key.revision),
            key.retiring.map(|retiring| *retiring.digest.as_bytes()),
            key.retiring.map(|retiring| millis(retiring.until)),
        ],
    );
    match created {
        Ok(_) => Ok(()),
        Err(error) if is_taken(&error) => {
            Err(StoreError::Duplicate { what: format!("API key {}", key.id) })
        }
        Err(error) => Err(SqliteError::from(error).into()),
    }
}

fn update(connection: &mut Connection, key: &ApiKey) -> Result<bool, StoreError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(SqliteError::from)?;
    let Some((stored, has_begun)) = settings_of(&transaction, &key.id)? else { return Ok(false) };
    let mut form = KeyForm::of(key);
    let mut end_stands = false;
    if has_begun {
        // An end that use has set is replaced by another one, but never taken back.
        let before = read_form(&key.id, &stored)?.expiry();
        if form.expiry().due().is_some() {
            form.set_expiry(before);
        }
        end_stands = form.expiry() == before;
    }
    let settings = serde_json::to_string(&form).map_err(SqliteError::from)?;
    let write = || {
        transaction.execute(
            "UPDATE api_key SET settings = ?2, activated_at = iif(?3, activated_at, NULL)
             WHERE id = ?1",
            params![key.id.as_str(), settings, end_stands],
        )?;
        transaction.commit()
    };
    write().map_err(SqliteError::from)?;
    Ok(true)
}

/// The settings of a key, and whether its first use has set its end.
fn settings_of(connection: &Connection, id: &KeyId) -> Result<Option<(String, bool)>, SqliteError> {
    let mut read = connection
        .prepare_cached("SELECT settings, activated_at IS NOT NULL FROM api_key WHERE id = ?1")?;
    let found = read.query_row([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(found.optional()?)
}

fn activate(
    connection: &mut Connection,
    id: &KeyId,
    now: Timestamp,
    end: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(SqliteError::from)?;
    let Some((settings, activated)) = settings_of(&transaction, id)? else { return Ok(None) };
    let mut form = read_form(id, &settings)?;
    let expiry = form.expiry();
    if expiry.due().is_none() {
        return Ok(expiry.end().filter(|_| activated));
    }
    form.set_expiry(expiry.activated(now));
    form.set_end(end);
    let settings = serde_json::to_string(&form).map_err(SqliteError::from)?;
    let write = || {
        transaction.execute(
            "UPDATE api_key SET settings = ?2, activated_at = ?3, revision = revision + 1
             WHERE id = ?1",
            params![id.as_str(), settings, millis(now)],
        )?;
        transaction.commit()
    };
    write().map_err(SqliteError::from)?;
    Ok(Some(end))
}

/// The keys that `which` names, with the last use that was counted.
fn select(
    connection: &Connection,
    which: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<ApiKey>, StoreError> {
    let sql = format!(
        "SELECT api_key.id, digest, created_at, -- Usage that was taken in from elsewhere has no date.
             ifnull(nullif(usage.last_at, 0), last_used_at), settings,
             revision, retiring_digest, retiring_until
         FROM api_key LEFT JOIN usage ON usage.kind = 0 AND usage.period = ''
             AND usage.scope = {KEY_SCOPE} AND usage.id = api_key.id
         {which}"
    );
    let mut read = connection.prepare_cached(&sql).map_err(SqliteError::from)?;
    let found = read.query_map(values, columns).map_err(SqliteError::from)?;
    found.map(|row| into_key(row.map_err(SqliteError::from)?)).collect()
}

struct Columns {
    id: String,
    digest: [u8; 32],
    created_at: i64,
    last_used_at: Option<i64>,
    settings: String,
    revision: i64,
    retiring: Option<([u8; 32], i64)>,
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok(Columns {
        id: row.get(0)?,
        digest: row.get(1)?,
        created_at: row.get(2)?,
        last_used_at: row.get(3)?,
        settings: row.get(4)?,
        revision: row.get(5)?,
        retiring: row.get::<_, Option<[u8; 32]>>(6)?.zip(row.get(7)?),
    })
}

fn into_key(columns: Columns) -> Result<ApiKey, StoreError> {
    let Columns { id, digest, created_at, last_used_at, settings, revision, retiring } = columns;
    let retiring = retiring.map(|(digest, until)| RetiringSecret {
        digest: KeyDigest::new(digest),
        until: moment(until),
    });
    let id = KeyId::try_from(id.as_str()).map_err(|why| corrupt(format!("API key {id}"), why))?;
    let form = read_form(&id, &settings)?;
    Ok(form.into_key(KeyColumns {
        id,
        digest: KeyDigest::new(digest),
        retiring,
        created_at: moment(created_at),
        last_used_at: last_used_at.map(moment),
        revision: number(revision),
    }))
}

fn read_form(id: &KeyId, settings: &str) -> Result<KeyForm, StoreError> {
    serde_json::from_str(settings).map_err(|why| corrupt(format!("API key {id}"), why))
}
