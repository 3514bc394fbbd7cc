//! Statistics as they are stored, given and taken in: bytes under names.

use relay_store::statistics::{Hour, SegmentName, Table};
use relay_store::{ArchivePage, StatisticsProgress, StoreError, StoredSegment};
use rusqlite::{Connection, TransactionBehavior, params};

use crate::error::{SqliteError, corrupt};
use crate::statistics;

/// How many segments are on a page: a few megabytes at most.
const AT_ONCE: i64 = 32;

pub(super) fn page(
    connection: &Connection,
    position: Option<String>,
) -> Result<ArchivePage<StoredSegment>, StoreError> {
    let start: (i64, i64) = match position {
        None => (-1, 0),
        Some(text) => serde_json::from_str(&text)
            .map_err(|why| corrupt("the position in the statistics".to_owned(), why))?,
    };
    let read = || -> rusqlite::Result<Vec<(u8, u32)>> {
        let mut read = connection.prepare_cached(
            "SELECT DISTINCT kind, start FROM statistics_segment WHERE (kind, start) > (?1, ?2)
             ORDER BY kind, start LIMIT ?3",
        )?;
        let rows = read
            .query_map(params![start.0, start.1, AT_ONCE], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    let names = read().map_err(SqliteError::from)?;
    let is_full = i64::try_from(names.len()).is_ok_and(|found| found == AT_ONCE);
    let next = names.last().filter(|_| is_full);
    let next = next.map(serde_json::to_string).transpose().map_err(SqliteError::from)?;
    let segment = |(kind, start): (u8, u32)| -> Result<StoredSegment, StoreError> {
        let table = Table::ALL.into_iter().find(|table| table.number() == kind);
        let table = table.ok_or_else(|| corrupt("the statistics".to_owned(), "an unknown kind"))?;
        let parts = parts(connection, kind, start).map_err(SqliteError::from)?;
        Ok(StoredSegment { name: SegmentName { table, start: Hour::from_number(start) }, parts })
    };
    Ok(ArchivePage { items: names.into_iter().map(segment).collect::<Result<_, _>>()?, next })
}

fn parts(connection: &Connection, kind: u8, start: u32) -> rusqlite::Result<Vec<Vec<u8>>> {
    let mut read = connection.prepare_cached(
        "SELECT cells FROM statistics_segment WHERE kind = ?1 AND start = ?2 ORDER BY part",
    )?;
    read.query_map(params![kind, start], |row| row.get(0))?.collect()
}

pub(super) fn add(
    connection: &mut Connection,
    segments: &[StoredSegment],
) -> Result<usize, StoreError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(SqliteError::from)?;
    if !statistics::progress(&transaction)?.is_none() {
        return Ok(0);
    }
    let added = write(&transaction, segments).map_err(SqliteError::from)?;
    transaction.commit().map_err(SqliteError::from)?;
    Ok(added)
}

fn write(connection: &Connection, segments: &[StoredSegment]) -> rusqlite::Result<usize> {
    let mut added = 0;
    for StoredSegment { name: SegmentName { table, start }, parts: new } in segments {
        let (kind, start) = (table.number(), start.number());
        if new.is_empty() || !parts(connection, kind, start)?.is_empty() {
            continue;
        }
        for (number, part) in (0_u32..).zip(new) {
            let sql = "INSERT INTO statistics_segment (kind, start, part, cells)
                 VALUES (?1, ?2, ?3, ?4)";
            connection.prepare_cached(sql)?.execute(params![kind, start, number, part])?;
        }
        added += 1;
    }
    Ok(added)
}

pub(super) fn begin(
    connection: &mut Connection,
    progress: &StatisticsProgress,
) -> Result<bool, StoreError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(SqliteError::from)?;
    if !statistics::progress(&transaction)?.is_none() {
        return Ok(false);
    }
    statistics::begin(&transaction, progress)?;
    transaction.commit().map_err(SqliteError::from)?;
    Ok(true)
}
