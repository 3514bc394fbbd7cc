//! Conversations that are bound, given and taken in.

use relay_domain::{AccountId, AffinityKey, Platform, Timestamp};
use relay_store::{ArchivePage, Binding, Rebind, StoreError};
use rusqlite::{Connection, TransactionBehavior, params};

use super::PAGE;
use crate::error::{SqliteError, corrupt};
use crate::stored::{millis, moment};

pub(super) fn page(
    connection: &Connection,
    position: Option<String>,
) -> Result<ArchivePage<Rebind>, StoreError> {
    let read = || -> rusqlite::Result<Vec<(String, String, i64)>> {
        let mut read = connection.prepare_cached(
            "SELECT affinity, account, until FROM binding WHERE affinity > ?1
             ORDER BY affinity LIMIT ?2",
        )?;
        let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
        let rows = read.query_map(params![position.unwrap_or_default(), limit], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
        rows.collect()
    };
    let rows = read().map_err(SqliteError::from)?;
    let next = rows.last().filter(|_| rows.len() == PAGE).map(|(affinity, ..)| affinity.clone());
    let bound = |(affinity, account, until): (String, String, i64)| {
        let what = || "the binding of a conversation".to_owned();
        let account = AccountId::try_from(account).map_err(|why| corrupt(what(), why))?;
        let affinity = AffinityKey::try_from(affinity).map_err(|why| corrupt(what(), why))?;
        Ok(Rebind { affinity, binding: Binding { account, until: moment(until) } })
    };
    Ok(ArchivePage { items: rows.into_iter().map(bound).collect::<Result<_, StoreError>>()?, next })
}

pub(super) fn add(
    connection: &mut Connection,
    bindings: &[(Platform, Rebind)],
    now: Timestamp,
) -> Result<usize, SqliteError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut added = 0;
    for (_, Rebind { affinity, binding: Binding { account, until } }) in bindings {
        if now < *until {
            let sql = "INSERT INTO binding (affinity, account, until) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO NOTHING";
            added += transaction.prepare_cached(sql)?.execute(params![
                affinity.as_str(),
                account.as_str(),
                millis(*until)
            ])?;
        }
    }
    transaction.commit()?;
    Ok(added)
}
