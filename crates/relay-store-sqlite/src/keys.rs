//! API keys.

mod listing;

use std::sync::Arc;

use async_trait::async_trait;
use relay_domain::{
    AccountBinding, AccountGroup, ApiKey, Expiry, ExpiryMode, GroupId, KeyDigest, KeyId, Platform,
    RetiringSecret, Timestamp,
};
use relay_store::{KeyQuery, KeyRepository, Page, StoreError, Update};
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};

pub(crate) use listing::Listing;

use crate::counters::KEY_SCOPE;
use crate::error::{SqliteError, corrupt, is_taken};
use crate::presence::is_there;
use crate::store::SqliteStore;
use crate::stored::{KeyColumns, KeyForm, millis, moment, number, whole};
use crate::writer::File;

/// How many keys are added in one transaction.
const CREATED_AT_ONCE: usize = 100;

#[async_trait]
impl KeyRepository for SqliteStore {
    async fn create(&self, key: &ApiKey) -> Result<(), StoreError> {
        self.create_many(std::slice::from_ref(key)).await
    }

    async fn create_many(&self, keys: &[ApiKey]) -> Result<(), StoreError> {
        for keys in keys.chunks(CREATED_AT_ONCE) {
            let keys = keys.to_vec();
            let create = move |connection: &mut Connection| {
                let transaction = begin(connection)?;
                for key in &keys {
                    check_groups(&transaction, key, None)?;
                    insert(&transaction, key)?;
                }
                Ok(transaction.commit().map_err(SqliteError::from)?)
            };
            self.core().queue.run(create).await?;
        }
        Ok(())
    }

    async fn import(&self, key: &ApiKey) -> Result<(), StoreError> {
        let key = key.clone();
        let create = move |connection: &mut Connection| {
            let transaction = begin(connection)?;
            insert(&transaction, &key)?;
            Ok(transaction.commit().map_err(SqliteError::from)?)
        };
        self.core().queue.run(create).await
    }

    async fn get(&self, id: &KeyId) -> Result<Option<ApiKey>, StoreError> {
        let id = id.clone();
        self.core().queue.run(move |connection| read(connection, &id)).await
    }

    async fn find_by_digest(&self, digests: &[KeyDigest]) -> Result<Option<ApiKey>, StoreError> {
        let digests = digests.to_vec();
        let read = move |connection: &mut Connection| {
            for digest in digests {
                for column in ["digest", "retiring_digest"] {
                    let which = format!("WHERE {column} = ?1");
                    let found = select(connection, &which, [digest.as_bytes()])?;
                    if let Some(key) = found.into_iter().next() {
                        return Ok(Some(key));
                    }
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

    async fn page(&self, query: &KeyQuery) -> Result<Page<ApiKey>, StoreError> {
        self.page_of_keys(query).await
    }

    async fn all(&self, query: &KeyQuery) -> Result<Page<Arc<ApiKey>>, StoreError> {
        self.all_keys(query).await
    }

    async fn update(&self, key: &ApiKey) -> Result<Update, StoreError> {
        let key = key.clone();
        self.core().queue.run(move |connection| update(connection, &key)).await
    }

    async fn purge(&self, id: &KeyId, revision: u64) -> Result<Update, StoreError> {
        let id = id.clone();
        let purge = move |file: &mut File| {
            // What is counted later would bring the key's counter back.
            file.count()?;
            purge(&mut file.connection, &id, revision)
        };
        self.core().queue.run_as_writer(purge).await
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

fn insert(connection: &Connection, key: &ApiKey) -> Result<(), StoreError> {
    check_digests(connection, key)?;
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
        Err(error) if is_taken(&error) => Err(duplicate(key)),
        Err(error) => Err(SqliteError::from(error).into()),
    }
}

fn update(connection: &mut Connection, key: &ApiKey) -> Result<Update, StoreError> {
    let transaction = begin(connection)?;
    let Some(old) = read(&transaction, &key.id)? else { return Ok(Update::Absent) };
    if old.revision != key.revision {
        return Ok(Update::Stale { current: old.revision });
    }
    check_digests(&transaction, key)?;
    check_groups(&transaction, key, Some(&old))?;
    let settings = serde_json::to_string(&KeyForm::of(key)).map_err(SqliteError::from)?;
    let revision = key.revision.saturating_add(1);
    let write = || {
        transaction.execute(
            "UPDATE api_key SET digest = ?2, settings = ?3, revision = ?4, retiring_digest = ?5,
                 retiring_until = ?6
             WHERE id = ?1",
            params![
                key.id.as_str(),
                key.digest.as_bytes(),
                settings,
                whole(revision),
                key.retiring.map(|retiring| *retiring.digest.as_bytes()),
                key.retiring.map(|retiring| millis(retiring.until)),
            ],
        )?;
        transaction.commit()
    };
    write().map_err(SqliteError::from)?;
    Ok(Update::Done { revision })
}

fn purge(connection: &mut Connection, id: &KeyId, revision: u64) -> Result<Update, StoreError> {
    let transaction = begin(connection)?;
    match revision_of(&transaction, id)? {
        None => return Ok(Update::Absent),
        Some(current) if current != revision => return Ok(Update::Stale { current }),
        Some(_) => {}
    }
    let write = || {
        transaction.execute("DELETE FROM api_key WHERE id = ?1", [id.as_str()])?;
        let counted = "DELETE FROM usage WHERE kind = 0 AND period = '' AND scope = ?1 AND id = ?2";
        transaction.execute(counted, params![KEY_SCOPE, id.as_str()])?;
        transaction.commit()
    };
    write().map_err(SqliteError::from)?;
    Ok(Update::Done { revision })
}

fn activate(
    connection: &mut Connection,
    id: &KeyId,
    now: Timestamp,
    end: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let transaction = begin(connection)?;
    let read =
        transaction.query_row("SELECT settings FROM api_key WHERE id = ?1", [id.as_str()], |row| {
            row.get(0)
        });
    let settings: Option<String> = read.optional().map_err(SqliteError::from)?;
    let Some(settings) = settings else { return Ok(None) };
    let mut form = read_form(id, &settings)?;
    let expiry = form.expiry();
    if expiry.mode == ExpiryMode::Fixed {
        return Ok(None);
    }
    if expiry.due().is_none() {
        return Ok(expiry.end());
    }
    form.set_expiry(Expiry { at: Some(end), ..expiry.activated(now) });
    let settings = serde_json::to_string(&form).map_err(SqliteError::from)?;
    let write = || {
        transaction.execute(
            "UPDATE api_key SET settings = ?2, revision = revision + 1 WHERE id = ?1",
            params![id.as_str(), settings],
        )?;
        transaction.commit()
    };
    write().map_err(SqliteError::from)?;
    Ok(Some(end))
}

fn begin(connection: &mut Connection) -> Result<rusqlite::Transaction<'_>, SqliteError> {
    Ok(connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
}

fn revision_of(connection: &Connection, id: &KeyId) -> Result<Option<u64>, SqliteError> {
    let mut read = connection.prepare_cached("SELECT revision FROM api_key WHERE id = ?1")?;
    Ok(read.query_row([id.as_str()], |row| row.get(0)).optional()?.map(number))
}

/// A secret opens one key only, in whichever of the two places it is.
fn check_digests(connection: &Connection, key: &ApiKey) -> Result<(), StoreError> {
    let taken = || {
        let mut read = connection.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM api_key WHERE id != ?1 AND digest IN (?2, ?3))
                 OR EXISTS (SELECT 1 FROM api_key WHERE id != ?1 AND retiring_digest IN (?2, ?3))",
        )?;
        let retiring = key.retiring.map_or(key.digest, |retiring| retiring.digest);
        let columns = params![key.id.as_str(), key.digest.as_bytes(), retiring.as_bytes()];
        read.query_row(columns, |row| row.get::<_, bool>(0))
    };
    if taken().map_err(SqliteError::from)? { Err(duplicate(key)) } else { Ok(()) }
}

/// Whether the groups that a key is to belong to and to be bound to are there.
fn check_groups(
    connection: &Connection,
    key: &ApiKey,
    old: Option<&ApiKey>,
) -> Result<(), StoreError> {
    if let Some(group) = key.newly_joined_group(old)
        && !is_there(connection, "key_group", group.as_str())?
    {
        return Err(StoreError::Missing { what: format!("group {group}") });
    }
    for group in key.newly_bound_groups(old) {
        if !is_there(connection, "account_group", group.as_str())? {
            return Err(StoreError::Missing { what: format!("account group {group}") });
        }
    }
    Ok(())
}

/// How many keys that are not deleted belong to a group.
pub(crate) fn count_members(
    connection: &Connection,
    group: &GroupId,
) -> Result<usize, SqliteError> {
    count_living(connection, "$.group", group.as_str())
}

/// How many keys that are not deleted are bound to a group of accounts.
pub(crate) fn count_bound(
    connection: &Connection,
    group: &AccountGroup,
) -> Result<usize, SqliteError> {
    let field = match group.platform {
        Platform::ClaudeConsole => "$.bound_claude_account",
        Platform::Codex => "$.bound_codex_account",
    };
    let binding = AccountBinding::Group(group.id.clone()).text();
    count_living(connection, field, &binding.unwrap_or_default())
}

/// How many keys that are not deleted have this in their settings.
fn count_living(connection: &Connection, field: &str, text: &str) -> Result<usize, SqliteError> {
    let sql = "SELECT count(*) FROM api_key
               WHERE settings ->> ?1 = ?2 AND settings ->> '$.deleted' IS NULL";
    let count = connection.query_row(sql, params![field, text], |row| row.get(0))?;
    Ok(usize::try_from(number(count)).unwrap_or(usize::MAX))
}

fn duplicate(key: &ApiKey) -> StoreError {
    StoreError::Duplicate { what: format!("API key {}", key.id) }
}

fn read(connection: &Connection, id: &KeyId) -> Result<Option<ApiKey>, StoreError> {
    Ok(select(connection, "WHERE api_key.id = ?1", [id.as_str()])?.into_iter().next())
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
    let id = KeyId::try_from(id.as_str()).map_err(|why| corrupt(format!("API key {id}"), why))?;
    let retiring = retiring.map(|(digest, until)| RetiringSecret {
        digest: KeyDigest::new(digest),
        until: moment(until),
    });
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
