//! Groups of accounts.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use relay_domain::{AccountGroup, AccountGroupId, AccountId, Platform};
use relay_store::{AccountGroupRepository, GroupRemoval, StoreError, Update};
use rusqlite::{Connection, Row, TransactionBehavior, params};

use crate::error::{SqliteError, corrupt, is_taken};
use crate::keys::count_bound;
use crate::presence::is_there;
use crate::store::SqliteStore;
use crate::stored::{millis, moment, number, whole};

#[async_trait]
impl AccountGroupRepository for SqliteStore {
    async fn create(&self, group: &AccountGroup) -> Result<(), StoreError> {
        let group = group.clone();
        let create = move |connection: &mut Connection| create(connection, &group, &group.members);
        self.core().queue.run(create).await
    }

    async fn import(&self, group: &AccountGroup) -> Result<(), StoreError> {
        let group = group.clone();
        let create =
            move |connection: &mut Connection| create(connection, &group, &BTreeSet::new());
        self.core().queue.run(create).await
    }

    async fn get(&self, id: &AccountGroupId) -> Result<Option<AccountGroup>, StoreError> {
        let id = id.clone();
        let read = move |connection: &mut Connection| {
            Ok(select(connection, Some(&id))?.into_iter().next())
        };
        self.core().queue.run(read).await
    }

    async fn list(&self) -> Result<Vec<AccountGroup>, StoreError> {
        self.core().queue.run(|connection| select(connection, None)).await
    }

    async fn update(&self, group: &AccountGroup) -> Result<Update, StoreError> {
        let group = group.clone();
        self.core().queue.run(move |connection| update(connection, &group)).await
    }

    async fn delete(&self, id: &AccountGroupId, revision: u64) -> Result<GroupRemoval, StoreError> {
        let id = id.clone();
        self.core().queue.run(move |connection| remove(connection, &id, revision)).await
    }
}

/// Adds a group, if these of its members are there.
fn create(
    connection: &mut Connection,
    group: &AccountGroup,
    needed: &BTreeSet<AccountId>,
) -> Result<(), StoreError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(SqliteError::from)?;
    check_accounts(&transaction, needed.iter())?;
    let created = transaction.execute(
        "INSERT INTO account_group
             (id, name, platform, description, created_at, updated_at, revision)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            group.id.as_str(),
            group.name,
            group.platform.as_str(),
            group.description,
            millis(group.created_at),
            group.updated_at.map(millis),
            whole(group.revision),
        ],
    );
    match created {
        Ok(_) => {
            add_members(&transaction, group)?;
            Ok(transaction.commit().map_err(SqliteError::from)?)
        }
        Err(error) if is_taken(&error) => {
            Err(StoreError::Duplicate { what: format!("account group {}", group.id) })
        }
        Err(error) => Err(SqliteError::from(error).into()),
    }
}

fn update(connection: &mut Connection, group: &AccountGroup) -> Result<Update, StoreError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(SqliteError::from)?;
    let Some(old) = select(&transaction, Some(&group.id))?.into_iter().next() else {
        return Ok(Update::Absent);
    };
    if old.revision != group.revision {
        return Ok(Update::Stale { current: old.revision });
    }
    check_accounts(&transaction, group.members.difference(&old.members))?;
    let revision = old.revision.saturating_add(1);
    let write = || {
        transaction.execute(
            "UPDATE account_group SET name = ?2, description = ?3, updated_at = ?4, revision = ?5
             WHERE id = ?1",
            params![
                group.id.as_str(),
                group.name,
                group.description,
                group.updated_at.map(millis),
                whole(revision),
            ],
        )?;
        let sql = "DELETE FROM account_group_member WHERE account_group = ?1";
        transaction.execute(sql, [group.id.as_str()])?;
        add_members(&transaction, group)
    };
    write()?;
    transaction.commit().map_err(SqliteError::from)?;
    Ok(Update::Done { revision })
}

fn remove(
    connection: &mut Connection,
    id: &AccountGroupId,
    revision: u64,
) -> Result<GroupRemoval, StoreError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(SqliteError::from)?;
    let Some(group) = select(&transaction, Some(id))?.into_iter().next() else {
        return Ok(GroupRemoval::Absent);
    };
    if group.revision != revision {
        return Ok(GroupRemoval::Stale { current: group.revision });
    }
    match count_bound(&transaction, &group)? {
        0 => {}
        keys => return Ok(GroupRemoval::InUse { keys }),
    }
    let write = || {
        transaction.execute("DELETE FROM account_group WHERE id = ?1", [id.as_str()])?;
        transaction.commit()
    };
    write().map_err(SqliteError::from)?;
    Ok(GroupRemoval::Done)
}

fn add_members(connection: &Connection, group: &AccountGroup) -> Result<(), SqliteError> {
    let sql = "INSERT INTO account_group_member (account_group, account) VALUES (?1, ?2)";
    let mut add = connection.prepare_cached(sql)?;
    for member in &group.members {
        add.execute([group.id.as_str(), member.as_str()])?;
    }
    Ok(())
}

/// Whether accounts that are to be members are there.
fn check_accounts<'a>(
    connection: &Connection,
    accounts: impl Iterator<Item = &'a AccountId>,
) -> Result<(), StoreError> {
    for account in accounts {
        if !is_there(connection, "account", account.as_str())? {
            return Err(StoreError::Missing { what: format!("account {account}") });
        }
    }
    Ok(())
}

/// The groups that an account is in.
pub(crate) fn of(
    connection: &Connection,
    account: &AccountId,
) -> Result<Vec<AccountGroup>, StoreError> {
    let mut groups = select(connection, None)?;
    groups.retain(|group| group.members.contains(account));
    Ok(groups)
}

/// The group with this id, or every one.
fn select(
    connection: &Connection,
    only: Option<&AccountGroupId>,
) -> Result<Vec<AccountGroup>, StoreError> {
    let only = only.map(AccountGroupId::as_str);
    let mut members = members(connection, only)?;
    let sql = "SELECT id, name, platform, description, created_at, updated_at, revision
               FROM account_group WHERE ?1 IS NULL OR id = ?1 ORDER BY name, id";
    let mut read = connection.prepare_cached(sql).map_err(SqliteError::from)?;
    let found = read.query_map([only], columns).map_err(SqliteError::from)?;
    let group = |row: rusqlite::Result<Columns>| {
        let columns = row.map_err(SqliteError::from)?;
        let members = members.remove(&columns.id).unwrap_or_default();
        into_group(columns, members)
    };
    found.map(group).collect()
}

/// The members of groups, by the group.
fn members(
    connection: &Connection,
    only: Option<&str>,
) -> Result<BTreeMap<String, BTreeSet<AccountId>>, StoreError> {
    let sql = "SELECT account_group, account FROM account_group_member
               WHERE ?1 IS NULL OR account_group = ?1";
    let mut read = connection.prepare_cached(sql).map_err(SqliteError::from)?;
    let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let mut members: BTreeMap<String, BTreeSet<AccountId>> = BTreeMap::new();
    for found in read.query_map([only], pair).map_err(SqliteError::from)? {
        let (group, account): (String, String) = found.map_err(SqliteError::from)?;
        let account = AccountId::try_from(account)
            .map_err(|why| corrupt(format!("a member of account group {group}"), why))?;
        members.entry(group).or_default().insert(account);
    }
    Ok(members)
}

struct Columns {
    id: String,
    name: String,
    platform: String,
    description: String,
    created_at: i64,
    updated_at: Option<i64>,
    revision: i64,
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok(Columns {
        id: row.get(0)?,
        name: row.get(1)?,
        platform: row.get(2)?,
        description: row.get(3)?,
        created_at: row.get(4)?,
        updated_at: row.get(5)?,
        revision: row.get(6)?,
    })
}

fn into_group(columns: Columns, members: BTreeSet<AccountId>) -> Result<AccountGroup, StoreError> {
    let Columns { id, name, platform, description, created_at, updated_at, revision } = columns;
    let what = || format!("account group {id}");
    let of_name = |known: &Platform| known.as_str() == platform;
    let platform = [Platform::ClaudeConsole, Platform::Codex].into_iter().find(of_name);
    Ok(AccountGroup {
        id: AccountGroupId::try_from(id.as_str()).map_err(|why| corrupt(what(), why))?,
        name,
        platform: platform.ok_or_else(|| corrupt(what(), "its platform is unknown"))?,
        description,
        members,
        created_at: moment(created_at),
        updated_at: updated_at.map(moment),
        revision: number(revision),
    })
}
