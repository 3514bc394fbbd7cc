//! What was used, as a whole: given and taken in a page at a time.

mod bindings;
mod limit_facts;
mod segments;

use std::sync::Arc;

use async_trait::async_trait;
use relay_domain::{
    AccountId, AuditEntry, GroupId, KeyId, LimitScope, Limits, ModelName, Period, Platform,
    RequestRecord, Timestamp,
};
use relay_store::{
    Archive, ArchivePage, Counted, LimitFacts, Rebind, StatisticsProgress, StoreError,
    StoredRecord, StoredSegment, UsageScope,
};
use rusqlite::{Connection, TransactionBehavior, params};

use crate::audit;
use crate::batch::blob;
use crate::counters;
use crate::error::{SqliteError, corrupt};
use crate::statistics;
use crate::store::SqliteStore;
use crate::usage;

/// How many rows are on a page: nobody waits long for one.
const PAGE: usize = 1_000;

#[async_trait]
impl Archive for SqliteStore {
    async fn counters(&self, position: Option<String>) -> Result<ArchivePage<Counted>, StoreError> {
        self.core().queue.run(move |connection| counter_page(connection, position)).await
    }

    async fn records(
        &self,
        position: Option<String>,
    ) -> Result<ArchivePage<RequestRecord>, StoreError> {
        self.core().queue.run(move |connection| record_page(connection, position)).await
    }

    async fn add_counters(&self, counters: &[Counted]) -> Result<usize, StoreError> {
        let counters = counters.to_vec();
        let add = move |connection: &mut Connection| Ok(add_counters(connection, &counters)?);
        self.core().queue.run(add).await
    }

    async fn add_records(&self, records: &[RequestRecord]) -> Result<usize, StoreError> {
        let records = records.to_vec();
        let add = move |connection: &mut Connection| Ok(add_records(connection, records)?);
        self.core().queue.run(add).await
    }

    async fn limits(
        &self,
        limits: &[(LimitScope, Limits)],
        now: Timestamp,
    ) -> Result<Vec<LimitFacts>, StoreError> {
        let (limits, calendar) = (limits.to_vec(), self.core().options.calendar);
        let read = move |connection: &mut Connection| {
            Ok(limit_facts::read(connection, calendar, &limits, now)?)
        };
        self.core().queue.run(read).await
    }

    async fn add_limits(&self, facts: &[LimitFacts], now: Timestamp) -> Result<usize, StoreError> {
        let (facts, calendar) = (facts.to_vec(), self.core().options.calendar);
        let queue = Arc::clone(&self.core().queue);
        let add = move |connection: &mut Connection| {
            Ok(limit_facts::add(connection, (calendar, &queue), &facts, now)?)
        };
        self.core().queue.run(add).await
    }

    async fn bindings(&self, position: Option<String>) -> Result<ArchivePage<Rebind>, StoreError> {
        self.core().queue.run(move |connection| bindings::page(connection, position)).await
    }

    async fn add_bindings(
        &self,
        bindings: &[(Platform, Rebind)],
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let bindings = bindings.to_vec();
        let queue = Arc::clone(&self.core().queue);
        let add = move |connection: &mut Connection| {
            let added = bindings::add(connection, &bindings, now)?;
            let mut state = queue.state();
            for (_, Rebind { affinity, .. }) in &bindings {
                state.bindings.forget(affinity);
            }
            Ok(added)
        };
        self.core().queue.run(add).await
    }

    async fn segments(
        &self,
        position: Option<String>,
    ) -> Result<ArchivePage<StoredSegment>, StoreError> {
        self.core().queue.run(move |connection| segments::page(connection, position)).await
    }

    async fn statistics_progress(&self) -> Result<StatisticsProgress, StoreError> {
        self.core().queue.run(|connection| statistics::progress(connection)).await
    }

    async fn add_segments(&self, segments: &[StoredSegment]) -> Result<usize, StoreError> {
        let segments = segments.to_vec();
        self.core().queue.run(move |connection| segments::add(connection, &segments)).await
    }

    async fn begin_statistics(&self, progress: &StatisticsProgress) -> Result<bool, StoreError> {
        let progress = progress.clone();
        self.core().queue.run(move |connection| segments::begin(connection, &progress)).await
    }

    async fn add_audit(&self, entries: &[AuditEntry]) -> Result<usize, StoreError> {
        let entries = entries.to_vec();
        self.core().queue.run(move |connection| Ok(audit::add(connection, &entries)?)).await
    }
}

/// The primary key of a counter.
type CounterKey = (i64, String, i64, String);

fn counter_page(
    connection: &Connection,
    position: Option<String>,
) -> Result<ArchivePage<Counted>, StoreError> {
    let start: CounterKey = match position {
        None => (-1, String::new(), 0, String::new()),
        Some(text) => serde_json::from_str(&text)
            .map_err(|why| corrupt("the position in the counters".to_owned(), why))?,
    };
    let read = || -> rusqlite::Result<Vec<CounterKey>> {
        let mut read = connection.prepare_cached(
            "SELECT kind, period, scope, id FROM usage
             WHERE (kind, period, scope, id) > (?1, ?2, ?3, ?4)
             ORDER BY kind, period, scope, id LIMIT ?5",
        )?;
        let (kind, period, scope, id) = &start;
        let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
        let rows = read.query_map(params![kind, period, scope, id, limit], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        rows.collect()
    };
    let keys = read().map_err(SqliteError::from)?;
    let last = keys.last().filter(|_| keys.len() == PAGE);
    let next = last.map(serde_json::to_string).transpose().map_err(SqliteError::from)?;
    let mut items = Vec::with_capacity(keys.len());
    for key in &keys {
        let (scope, period) = names(key)?;
        items.push(counters::counted(connection, scope, period).map_err(SqliteError::from)?);
    }
    Ok(ArchivePage { items, next })
}

fn names((_, period, scope, id): &CounterKey) -> Result<(UsageScope, Period), StoreError> {
    let what = || format!("the counter of {id} in {period:?}");
    let scope = match *scope {
        counters::KEY_SCOPE => KeyId::try_from(id.as_str()).map(UsageScope::Key),
        counters::ACCOUNT_SCOPE => AccountId::try_from(id.as_str()).map(UsageScope::Account),
        counters::GROUP_SCOPE => GroupId::try_from(id.as_str()).map(UsageScope::Group),
        _ => ModelName::try_from(id.as_str()).map(UsageScope::Model),
    };
    let scope = scope.map_err(|why| corrupt(what(), why))?;
    let period = Period::parse(period).ok_or_else(|| corrupt(what(), "it is no period"))?;
    Ok((scope, period))
}

fn add_counters(connection: &mut Connection, counters: &[Counted]) -> Result<usize, SqliteError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut added = 0;
    for counter in counters {
        added += usize::from(counters::add_absent(&transaction, counter)?);
    }
    transaction.commit()?;
    Ok(added)
}

fn record_page(
    connection: &Connection,
    position: Option<String>,
) -> Result<ArchivePage<RequestRecord>, StoreError> {
    let after: i64 = position.and_then(|text| text.parse().ok()).unwrap_or(i64::MIN);
    let read = || -> rusqlite::Result<Vec<(i64, [u8; 16], String)>> {
        let mut read = connection.prepare_cached(
            "SELECT seq, id, record FROM request WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        )?;
        let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
        let rows =
            read.query_map([after, limit], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect()
    };
    let rows = read().map_err(SqliteError::from)?;
    let next = rows.last().filter(|_| rows.len() == PAGE).map(|(seq, ..)| seq.to_string());
    let records = rows.into_iter().map(|(_, id, record)| usage::into_record((id, record)));
    let items = records.collect::<Result<_, _>>()?;
    Ok(ArchivePage { items, next })
}

fn add_records(
    connection: &mut Connection,
    records: Vec<RequestRecord>,
) -> Result<usize, SqliteError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut added = 0;
    for record in records {
        let id = record.id;
        let form = serde_json::to_string(&StoredRecord::from(record))?;
        // With what a search goes by, as a settlement writes it.
        let sql =
            "INSERT INTO request (id, record, key_id, account_id, model, served_model, status,
                 outcome, cost)
             VALUES (?1, ?2, ?2 ->> '$.key', ?2 ->> '$.account', ?2 ->> '$.model',
                 ?2 ->> '$.served_model', ?2 ->> '$.status', ?2 ->> '$.outcome', ?2 ->> '$.cost')
             ON CONFLICT (id) DO NOTHING";
        added += transaction.prepare_cached(sql)?.execute(params![blob(id), form])?;
    }
    transaction.commit()?;
    Ok(added)
}
