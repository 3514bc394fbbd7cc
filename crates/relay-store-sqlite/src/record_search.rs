//! Searching records: by the columns that the search index has.

use relay_domain::{AccountId, KeyId, ModelName, NanoUsd, RequestId, RequestRecord, Timestamp};
use relay_store::{RecordPage, RecordQuery, StoreError};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params, params_from_iter};

use crate::batch::{blob, request_id};
use crate::error::SqliteError;
use crate::stored::outcome_name;
use crate::usage::{columns, into_record};

/// How many entries of the index are looked at for one page.
const EXAMINED: i64 = 50_000;

/// The page that `query` asks for. To be run in a transaction.
pub(crate) fn search(
    connection: &Connection,
    query: &RecordQuery,
) -> Result<RecordPage, StoreError> {
    if query.limit == 0 {
        return Ok(RecordPage::default());
    }
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let (first, end) = range(query);
    let (conditions, values) = conditions(query)?;
    let sql = format!(
        "SELECT id FROM (
             SELECT id, key_id, account_id, model, served_model, status, outcome, cost
             FROM request INDEXED BY request_search
             WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT ?)
         WHERE {conditions} ORDER BY id DESC LIMIT ?"
    );
    let bounds = [Value::Blob(first.to_vec()), Value::Blob(end.to_vec()), EXAMINED.into()];
    let values = bounds.into_iter().chain(values).chain([limit.saturating_add(1).into()]);
    let mut found: Vec<[u8; 16]> = ids(connection, &sql, values)?;
    let next = if found.len() > query.limit {
        found.truncate(query.limit);
        found.last().copied()
    } else {
        last_examined(connection, first, end)?
    };
    let mut records = Vec::with_capacity(found.len());
    for id in found {
        records.extend(read(connection, id)?);
    }
    Ok(RecordPage { records, next: next.map(request_id) })
}

fn ids(
    connection: &Connection,
    sql: &str,
    values: impl Iterator<Item = Value>,
) -> Result<Vec<[u8; 16]>, SqliteError> {
    let mut read = connection.prepare_cached(sql)?;
    let rows = read.query_map(params_from_iter(values), |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The record that was found by its index entry.
fn read(connection: &Connection, id: [u8; 16]) -> Result<Option<RequestRecord>, StoreError> {
    let mut read = connection
        .prepare_cached("SELECT id, record FROM request WHERE id = ?1")
        .map_err(SqliteError::from)?;
    let row = read.query_row([id], columns).optional().map_err(SqliteError::from)?;
    row.map(into_record).transpose()
}

/// The last entry that was looked at, unless there were no more.
fn last_examined(
    connection: &Connection,
    first: [u8; 16],
    end: [u8; 16],
) -> Result<Option<[u8; 16]>, SqliteError> {
    let sql = "SELECT id FROM request INDEXED BY request_search
         WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3";
    let mut read = connection.prepare_cached(sql)?;
    Ok(read.query_row(params![first, end, EXAMINED - 1], |row| row.get(0)).optional()?)
}

/// The ids that may be found: from the first, and before the end.
fn range(query: &RecordQuery) -> ([u8; 16], [u8; 16]) {
    let earliest = |moment: Timestamp| blob(RequestId::new(moment, 0));
    let first = query.from.map_or([0; 16], earliest);
    let end = query.to.map_or([u8::MAX; 16], earliest);
    (first, query.after.map_or(end, |after| end.min(blob(after))))
}

/// The conditions as SQL, and the values in them.
fn conditions(query: &RecordQuery) -> Result<(String, Vec<Value>), SqliteError> {
    let text = |text: &str| Value::Text(text.to_owned());
    let mut conditions: Vec<(&str, Value)> = Vec::new();
    let mut require = |sql, value: Option<Value>| {
        conditions.extend(value.map(|value| (sql, value)));
    };
    require("key_id = ?", query.key.as_ref().map(KeyId::as_str).map(text));
    require("account_id = ?", query.account.as_ref().map(AccountId::as_str).map(text));
    require("? IN (model, served_model)", query.model.as_ref().map(ModelName::as_str).map(text));
    require("status = ?", query.status.map(|status| i64::from(status).into()));
    require("cost >= ?", query.min_cost.map(NanoUsd::as_nanos).map(Value::Integer));
    require("instr('req_' || lower(hex(id)), ?) > 0", query.id_contains.as_deref().map(text));
    let outcome = query.outcome.map(outcome_name).transpose()?;
    require("outcome = ?", outcome.as_deref().map(text));
    let sql: Vec<_> = conditions.iter().map(|(sql, _)| *sql).collect();
    let sql = if sql.is_empty() { "true".to_owned() } else { sql.join(" AND ") };
    Ok((sql, conditions.into_iter().map(|(_, value)| value).collect()))
}
