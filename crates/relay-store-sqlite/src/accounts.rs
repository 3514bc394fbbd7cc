//! Upstream accounts.

use async_trait::async_trait;
use relay_domain::{
    Account, AccountGroup, AccountHealth, AccountId, HealthEvent, Priority, Timestamp,
};
use relay_store::{AccountRepository, AccountSecrets, StoreError, Update};
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};

use crate::account_groups;
use crate::counters::ACCOUNT_SCOPE;
use crate::error::{SqliteError, corrupt, is_taken};
use crate::store::SqliteStore;
use crate::stored::{AccountColumns, HealthForm, SettingsForm, millis, moment, number, whole};

#[async_trait]
impl AccountRepository for SqliteStore {
    async fn create(&self, account: &Account) -> Result<(), StoreError> {
        let account = account.clone();
        self.core().queue.run(move |connection| create(connection, &account)).await
    }

    async fn get(&self, id: &AccountId) -> Result<Option<Account>, StoreError> {
        let id = id.clone();
        let read = move |connection: &mut Connection| {
            let found = select(connection, "WHERE account.id = ?1", [id.as_str()])?;
            Ok(found.into_iter().next())
        };
        self.core().queue.run(read).await
    }

    async fn list(&self) -> Result<Vec<Account>, StoreError> {
        let read = |connection: &mut Connection| {
            select(connection, "ORDER BY account.priority, account.id", [])
        };
        self.core().queue.run(read).await
    }

    async fn update(&self, account: &Account) -> Result<Update, StoreError> {
        let account = account.clone();
        self.core().queue.run(move |connection| Ok(update(connection, &account)?)).await
    }

    async fn reseal(
        &self,
        id: &AccountId,
        expected: &AccountSecrets,
        next: &AccountSecrets,
    ) -> Result<bool, StoreError> {
        let (id, expected, next) = (id.clone(), expected.clone(), next.clone());
        self.core().queue.run(move |connection| reseal(connection, &id, &expected, next)).await
    }

    async fn delete(&self, id: &AccountId) -> Result<Option<Vec<AccountGroup>>, StoreError> {
        let id = id.clone();
        self.core().queue.run(move |connection| remove(connection, &id)).await
    }

    async fn apply_health(
        &self,
        id: &AccountId,
        event: &HealthEvent,
        now: Timestamp,
    ) -> Result<Option<AccountHealth>, StoreError> {
        let (id, event) = (id.clone(), event.clone());
        self.core().queue.run(move |connection| apply(connection, &id, event, now)).await
    }
}

fn remove(
    connection: &mut Connection,
    id: &AccountId,
) -> Result<Option<Vec<AccountGroup>>, StoreError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(SqliteError::from)?;
    let groups = account_groups::of(&transaction, id)?;
    let removed = transaction.execute("DELETE FROM account WHERE id = ?1", [id.as_str()]);
    let is_removed = 0 < removed.map_err(SqliteError::from)?;
    transaction.commit().map_err(SqliteError::from)?;
    Ok(is_removed.then_some(groups))
}

fn create(connection: &Connection, account: &Account) -> Result<(), StoreError> {
    let settings = serde_json::to_string(&SettingsForm::of(account)).map_err(SqliteError::from)?;
    let health =
        serde_json::to_string(&HealthForm::of(&account.health)).map_err(SqliteError::from)?;
    let created = connection.execute(
        "INSERT INTO account (id, priority, created_at, last_used_at, settings, health, revision)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            account.id.as_str(),
            u8::from(account.priority),
            millis(account.created_at),
            account.last_used_at.map(millis),
            settings,
            health,
            whole(account.revision),
        ],
    );
    match created {
        Ok(_) => Ok(()),
        Err(error) if is_taken(&error) => {
            Err(StoreError::Duplicate { what: format!("account {}", account.id) })
        }
        Err(error) => Err(SqliteError::from(error).into()),
    }
}

fn update(connection: &Connection, account: &Account) -> Result<Update, SqliteError> {
    let (id, settings) = (account.id.as_str(), serde_json::to_string(&SettingsForm::of(account))?);
    let changed = connection.execute(
        "UPDATE account SET priority = ?3, settings = ?4, revision = revision + 1
         WHERE id = ?1 AND revision = ?2",
        params![id, whole(account.revision), u8::from(account.priority), settings],
    )?;
    if 0 < changed {
        return Ok(Update::Done { revision: account.revision.saturating_add(1) });
    }
    let sql = "SELECT revision FROM account WHERE id = ?1";
    let current = connection.query_row(sql, [id], |row| row.get(0)).optional()?.map(number);
    Ok(current.map_or(Update::Absent, |current| Update::Stale { current }))
}

fn reseal(
    connection: &mut Connection,
    id: &AccountId,
    expected: &AccountSecrets,
    next: AccountSecrets,
) -> Result<bool, StoreError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(SqliteError::from)?;
    let found = select(&transaction, "WHERE account.id = ?1", [id.as_str()])?.into_iter().next();
    let Some(account) = found.filter(|account| AccountSecrets::of(account) == *expected) else {
        return Ok(false);
    };
    let updated = update(&transaction, &next.put_into(account))?;
    transaction.commit().map_err(SqliteError::from)?;
    Ok(matches!(updated, Update::Done { .. }))
}

fn apply(
    connection: &mut Connection,
    id: &AccountId,
    event: HealthEvent,
    now: Timestamp,
) -> Result<Option<AccountHealth>, StoreError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(SqliteError::from)?;
    let found: Option<String> = transaction
        .query_row("SELECT health FROM account WHERE id = ?1", [id.as_str()], |row| row.get(0))
        .optional()
        .map_err(SqliteError::from)?;
    let Some(before) = found else { return Ok(None) };
    let before = read_health(id, &before)?;
    let after = before.clone().on(event, now);
    if after == before {
        return Ok(Some(after));
    }
    let health = serde_json::to_string(&HealthForm::of(&after)).map_err(SqliteError::from)?;
    let write = || {
        let columns = params![id.as_str(), health];
        transaction.execute("UPDATE account SET health = ?2 WHERE id = ?1", columns)?;
        transaction.commit()
    };
    write().map_err(SqliteError::from)?;
    Ok(Some(after))
}

/// The accounts that `which` names, with the last use that was counted.
fn select(
    connection: &Connection,
    which: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<Account>, StoreError> {
    let sql = format!(
        "SELECT account.id, priority, created_at, -- An account that was removed may have left usage under the same id.
             iif(created_at <= usage.last_at, usage.last_at, last_used_at), settings, health, revision
         FROM account LEFT JOIN usage ON usage.kind = 0 AND usage.period = ''
             AND usage.scope = {ACCOUNT_SCOPE} AND usage.id = account.id
         {which}"
    );
    let mut read = connection.prepare_cached(&sql).map_err(SqliteError::from)?;
    let found = read.query_map(values, columns).map_err(SqliteError::from)?;
    found.map(|row| into_account(row.map_err(SqliteError::from)?)).collect()
}

struct Columns {
    id: String,
    priority: u8,
    created_at: i64,
    last_used_at: Option<i64>,
    settings: String,
    health: String,
    revision: i64,
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok(Columns {
        id: row.get(0)?,
        priority: row.get(1)?,
        created_at: row.get(2)?,
        last_used_at: row.get(3)?,
        settings: row.get(4)?,
        health: row.get(5)?,
        revision: row.get(6)?,
    })
}

fn into_account(columns: Columns) -> Result<Account, StoreError> {
    let Columns { id, priority, created_at, last_used_at, settings, health, revision } = columns;
    let id =
        AccountId::try_from(id.as_str()).map_err(|why| corrupt(format!("account {id}"), why))?;
    let form: SettingsForm =
        serde_json::from_str(&settings).map_err(|why| corrupt(format!("account {id}"), why))?;
    let priority =
        Priority::try_from(priority).map_err(|why| corrupt(format!("account {id}"), why))?;
    let health = read_health(&id, &health)?;
    Ok(form.into_account(AccountColumns {
        id,
        priority,
        health,
        created_at: moment(created_at),
        last_used_at: last_used_at.map(moment),
        revision: number(revision),
    }))
}

fn read_health(id: &AccountId, health: &str) -> Result<AccountHealth, StoreError> {
    let form: HealthForm = serde_json::from_str(health)
        .map_err(|why| corrupt(format!("the health of account {id}"), why))?;
    Ok(form.into_health())
}
