//! The trail of changes.

use async_trait::async_trait;
use relay_domain::AuditEntry;
use relay_store::{AUDIT_AGE, AUDIT_CAPACITY, AuditPage, AuditQuery, AuditRepository, StoreError};
use rusqlite::{Connection, TransactionBehavior, params};

use crate::error::{SqliteError, corrupt};
use crate::store::SqliteStore;
use crate::stored::{millis, number, whole};

#[async_trait]
impl AuditRepository for SqliteStore {
    async fn append(&self, entry: &AuditEntry) -> Result<u64, StoreError> {
        let entry = entry.clone();
        self.core().queue.run(move |connection| Ok(append(connection, &entry)?)).await
    }

    async fn page(&self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        let query = query.clone();
        self.core().long_reads.run(move |transaction| page(transaction, &query)).await
    }
}

fn append(connection: &mut Connection, entry: &AuditEntry) -> Result<u64, SqliteError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute(
        "INSERT INTO audit (at, actor, action, target_kind, target_id, entry)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            millis(entry.at),
            entry.actor.name,
            entry.action,
            entry.target_kind,
            entry.target_id,
            serde_json::to_string(entry)?,
        ],
    )?;
    let seq = transaction.last_insert_rowid();
    let oldest = entry
        .at
        .as_millis()
        .saturating_sub(u64::try_from(AUDIT_AGE.as_millis()).unwrap_or(u64::MAX));
    // Entries come in the order of time, so that those that are too old are the first ones.
    transaction.execute(
        "DELETE FROM audit WHERE seq <= ?1
             OR (seq IN (SELECT seq FROM audit ORDER BY seq LIMIT 10) AND at < ?2)",
        params![seq - whole(AUDIT_CAPACITY), whole(oldest)],
    )?;
    transaction.commit()?;
    Ok(number(seq))
}

/// Adds entries under their numbers, but for those whose number is taken. Returns how many.
pub(crate) fn add(
    connection: &mut Connection,
    entries: &[AuditEntry],
) -> Result<usize, SqliteError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut added = 0;
    for entry in entries {
        added += transaction
            .prepare_cached(
                "INSERT INTO audit (seq, at, actor, action, target_kind, target_id, entry)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                whole(entry.seq),
                millis(entry.at),
                entry.actor.name,
                entry.action,
                entry.target_kind,
                entry.target_id,
                serde_json::to_string(entry)?,
            ])?;
    }
    transaction.commit()?;
    Ok(added)
}

fn page(connection: &Connection, query: &AuditQuery) -> Result<AuditPage, StoreError> {
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    // Found by the index alone, and only then read.
    let mut read = connection
        .prepare_cached(
            "SELECT seq, entry FROM audit WHERE seq IN (
                 SELECT seq FROM audit INDEXED BY audit_facts
                 WHERE seq < ifnull(?1, 9223372036854775807)
                     AND (?2 IS NULL OR actor = ?2)
                     AND (?3 IS NULL OR action = ?3)
                     AND (?4 IS NULL OR (?4 <= action AND action < ?5))
                     AND (?6 IS NULL OR target_kind = ?6)
                     AND (?7 IS NULL OR target_id = ?7)
                     AND (?8 IS NULL OR ?8 <= at)
                     AND (?9 IS NULL OR at < ?9)
                 ORDER BY seq DESC LIMIT ?10)
             ORDER BY seq DESC",
        )
        .map_err(SqliteError::from)?;
    let beginning = query.action.as_ref().and_then(|action| action.strip_suffix('.'));
    let asked = params![
        query.before.map(whole),
        query.actor,
        query.action.as_ref().filter(|_| beginning.is_none()),
        query.action.as_ref().filter(|_| beginning.is_some()),
        // The sign behind a full stop.
        beginning.map(|kind| format!("{kind}/")),
        query.target_kind,
        query.target_id,
        query.from.map(millis),
        query.to.map(millis),
        limit.saturating_add(1),
    ];
    let rows = read
        .query_map(asked, |row| Ok((number(row.get(0)?), row.get::<_, String>(1)?)))
        .map_err(SqliteError::from)?;
    let mut entries = Vec::new();
    for row in rows {
        let (seq, entry) = row.map_err(SqliteError::from)?;
        let entry: AuditEntry = serde_json::from_str(&entry)
            .map_err(|why| corrupt(format!("audit entry {seq}"), why))?;
        entries.push(AuditEntry { seq, ..entry });
    }
    let has_more = query.limit < entries.len();
    entries.truncate(query.limit);
    let next = entries.last().filter(|_| has_more).map(|entry| entry.seq);
    Ok(AuditPage { entries, next })
}
