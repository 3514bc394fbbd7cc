//! The ledger.

use std::sync::Arc;

use async_trait::async_trait;
use relay_domain::{RequestRecord, Timestamp};
use relay_store::{
    Admission, AdmitRequest, Binding, Checkpoint, ConfigVersion, Grant, Ledger, Settlement,
    StoreError,
};
use rusqlite::{Connection, params};

use crate::counters;
use crate::error::SqliteError;
use crate::reader::read_version;
use crate::store::{Access, Core, SqliteStore};
use crate::stored::millis;
use crate::writer::settle_orphans;

/// How many records are dropped in one go, so that nobody waits long for it.
const RECORDS_DROPPED_AT_ONCE: i64 = 10_000;

#[async_trait]
impl Ledger for SqliteStore {
    /// Decided in memory, at once: nothing has been spent yet, so there is nothing that must be on the
    /// disk before the request goes on.
    async fn admit(&self, request: &AdmitRequest) -> Result<Admission, StoreError> {
        let core = self.core();
        let version = core.reader()?.version()?;
        let binding = core.binding(request)?;
        let mut state = core.queue.open_state()?;
        let (decision, void) = state.holds.admit(request);
        if void {
            state.void.push(request.request);
        }
        if decision.is_ok() {
            core.queue.store_later(&mut state, request.request);
        }
        Ok(Admission { version, decision: decision.map(|()| Grant { binding }) })
    }

    async fn checkpoint(&self, checkpoint: &Checkpoint) -> Result<bool, StoreError> {
        let Checkpoint { request, lease_until, progress } = checkpoint;
        let queue = self.core().serving()?;
        {
            let mut state = queue.open_state()?;
            if !state.holds.checkpoint(*request, *lease_until, progress.as_ref()) {
                return Ok(false);
            }
            if progress.is_none() {
                // Who runs is known here; in the file the end of a lease matters only after a crash.
                queue.store_later(&mut state, *request);
                return Ok(true);
            }
        }
        queue.store_now(*request).await
    }

    async fn settle(&self, settlement: &Settlement) -> Result<bool, StoreError> {
        self.core().serving()?.settle(settlement).await
    }

    async fn reap(&self, now: Timestamp, max: usize) -> Result<Vec<RequestRecord>, StoreError> {
        let core = self.core();
        let (queue, options) = (Arc::clone(core.serving()?), core.options);
        let reap = move |connection: &mut Connection| {
            let reaped = settle_orphans(&queue, connection, options.calendar, (now, max))?;
            drop_expired(connection, options.record_capacity, now)?;
            counters::prune(connection, options.calendar, now).map_err(SqliteError::from)?;
            Ok(reaped)
        };
        core.queue.run(reap).await
    }

    async fn version(&self) -> Result<ConfigVersion, StoreError> {
        match self.core().options.access {
            Access::Serve => Ok(self.core().reader()?.version()?),
            Access::Administer => {
                let read = |connection: &mut Connection| Ok(read_version(connection)?);
                self.core().queue.run(read).await
            }
        }
    }
}

impl Core {
    /// The binding of a request's conversation, unless it has ended.
    fn binding(&self, request: &AdmitRequest) -> Result<Option<Binding>, StoreError> {
        let Some(affinity) = &request.affinity else { return Ok(None) };
        let (known, epoch) = {
            let mut state = self.queue.open_state()?;
            (state.bindings.get(affinity), state.bindings.epoch())
        };
        let binding = match known {
            Some(known) => known,
            None => {
                let read = self.reader()?.binding(affinity)?;
                self.queue.open_state()?.bindings.remember(affinity, read.clone(), epoch);
                read
            }
        };
        Ok(binding.filter(|binding| request.now < binding.until))
    }
}

/// Drops the oldest records beyond `capacity`, and bindings that have ended.
fn drop_expired(
    connection: &Connection,
    capacity: usize,
    now: Timestamp,
) -> Result<(), SqliteError> {
    let capacity = i64::try_from(capacity).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "DELETE FROM request WHERE seq IN (
                 SELECT seq FROM request
                 WHERE seq <= (SELECT max(seq) FROM request) - ?1 ORDER BY seq LIMIT ?2)",
        )?
        .execute(params![capacity, RECORDS_DROPPED_AT_ONCE])?;
    connection.prepare_cached("DELETE FROM binding WHERE until <= ?1")?.execute([millis(now)])?;
    Ok(())
}
