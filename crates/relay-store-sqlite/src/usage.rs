//! What was used, and the records of single requests.

use async_trait::async_trait;
use relay_domain::{Calendar, Period, RequestId, RequestRecord};
use relay_store::statistics::{Statistics, StatisticsQuery};
use relay_store::{
    RecordPage, RecordQuery, StoreError, StoredRecord, UsageRepository, UsageScope, UsageTotals,
};
use rusqlite::{OptionalExtension as _, Row};

use crate::batch::{blob, request_id};
use crate::error::{SqliteError, corrupt};
use crate::store::SqliteStore;
use crate::{counters, record_search, statistics};

#[async_trait]
impl UsageRepository for SqliteStore {
    async fn totals(&self, scope: &UsageScope, period: Period) -> Result<UsageTotals, StoreError> {
        let scope = scope.clone();
        let read = move |connection: &mut rusqlite::Connection| {
            Ok(counters::totals(connection, &scope, period).map_err(SqliteError::from)?)
        };
        self.core().queue.run(read).await
    }

    async fn record(&self, id: RequestId) -> Result<Option<RequestRecord>, StoreError> {
        let read = move |connection: &mut rusqlite::Connection| {
            let mut read = connection
                .prepare_cached("SELECT id, record FROM request WHERE id = ?1")
                .map_err(SqliteError::from)?;
            let found =
                read.query_row([blob(id)], columns).optional().map_err(SqliteError::from)?;
            found.map(into_record).transpose()
        };
        self.core().queue.run(read).await
    }

    async fn recent(&self, limit: usize) -> Result<Vec<RequestRecord>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let read = move |connection: &mut rusqlite::Connection| {
            let mut read = connection
                .prepare_cached("SELECT id, record FROM request ORDER BY seq DESC LIMIT ?1")
                .map_err(SqliteError::from)?;
            let found = read.query_map([limit], columns).map_err(SqliteError::from)?;
            found.map(|row| into_record(row.map_err(SqliteError::from)?)).collect()
        };
        self.core().queue.run(read).await
    }

    async fn search(&self, query: &RecordQuery) -> Result<RecordPage, StoreError> {
        let query = query.clone();
        self.core().long_reads.run(move |file| record_search::search(file, &query)).await
    }

    async fn statistics(&self, query: &StatisticsQuery) -> Result<Statistics, StoreError> {
        let (query, calendar) = (query.clone(), self.core().options.calendar);
        self.core().long_reads.run(move |file| statistics::answer(file, &query, calendar)).await
    }

    fn calendar(&self) -> Calendar {
        self.core().options.calendar
    }
}

/// A record's id and the record, as the file has them.
pub(crate) type Columns = ([u8; 16], String);

/// A record as the file has it.
pub(crate) fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?))
}

/// The record that the file has.
pub(crate) fn into_record((id, record): Columns) -> Result<RequestRecord, StoreError> {
    let id = request_id(id);
    let form: StoredRecord =
        serde_json::from_str(&record).map_err(|why| corrupt(format!("the record of {id}"), why))?;
    Ok(form.into())
}
