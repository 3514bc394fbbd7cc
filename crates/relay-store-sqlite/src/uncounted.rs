//! Usage that the file's records tell of and its counters do not yet.
//!
//! A request counts in some twelve rows that lie all over the file. A commit that settles it writes its
//! record only, which is at the end of the file; the counters are brought up to date in one go for all
//! requests of the last moments, before anybody reads them, and at the latest after [`MAX_AGE`] or
//! [`MAX_REQUESTS`]. If the process dies before, they are added up from the records.

use std::time::{Duration, Instant};

use relay_domain::{Calendar, RequestRecord};
use relay_store::StoredRecord;
use rusqlite::{Connection, TransactionBehavior};

use crate::counters::Counters;
use crate::error::SqliteError;
use crate::stored::moment;

/// How long counters may be behind the records.
const MAX_AGE: Duration = Duration::from_secs(1);
/// By how many requests they may be behind.
const MAX_REQUESTS: u64 = 1_000;

/// What is to be counted.
pub(crate) struct Uncounted {
    calendar: Calendar,
    /// Whether all requests are settled here, so that memory can know what is not counted.
    serving: bool,
    pending: Option<Pending>,
    /// What memory knows: up to which record the file's counters go. `None`: it does not, and the records
    /// have to be read.
    counted: Option<i64>,
    /// When the records are to be read, if they have to be.
    read_at: Option<Instant>,
}

/// All that the file's counters lack, if `counted` is right.
struct Pending {
    counters: Counters,
    requests: u64,
    last: i64,
    since: Instant,
}

impl Uncounted {
    /// What the file's counters lack is not known yet.
    pub(crate) fn new(calendar: Calendar, serving: bool) -> Self {
        let read_at = serving.then(|| Instant::now() + MAX_AGE);
        Self { calendar, serving, pending: None, counted: None, read_at }
    }

    /// A commit has kept `requests` records, the last of them at `last`, whose usage is in `counters`.
    pub(crate) fn add(&mut self, counters: Counters, requests: u64, last: i64) {
        if self.counted.is_none() {
            return;
        }
        match &mut self.pending {
            Some(pending) => {
                pending.counters.merge(counters);
                pending.requests += requests;
                pending.last = last;
            }
            None => {
                self.pending = Some(Pending { counters, requests, last, since: Instant::now() });
            }
        }
    }

    /// A commit failed, or seemed to: what it has kept is to be read.
    pub(crate) fn lose(&mut self) {
        self.pending = None;
        self.counted = None;
        self.read_at = Some(Instant::now() + MAX_AGE);
    }

    /// When the counters are to be brought up to date.
    pub(crate) fn due(&self) -> Option<Instant> {
        let Some(pending) = &self.pending else { return self.read_at };
        let is_full = MAX_REQUESTS <= pending.requests;
        Some(if is_full { pending.since } else { pending.since + MAX_AGE })
    }

    /// Brings the file's counters up to date.
    ///
    /// # Errors
    ///
    /// [`SqliteError`] if they could not be written. Nothing is lost: the records are still there.
    pub(crate) fn count(&mut self, connection: &mut Connection) -> Result<(), SqliteError> {
        if self.pending.is_none() && self.counted.is_some() {
            return Ok(());
        }
        // Should it fail, it is tried again later.
        self.read_at = self.serving.then(|| Instant::now() + MAX_AGE);
        let (pending, known) = (self.pending.take(), self.counted.take());
        let counted = match pending {
            None if !is_behind(connection)? => counted(connection)?,
            pending => count(connection, pending, known, self.calendar)?,
        };
        self.counted = Some(counted).filter(|_| self.serving);
        self.read_at = None;
        Ok(())
    }
}

/// Up to which record the file's counters go.
fn counted(connection: &Connection) -> Result<i64, SqliteError> {
    let mut read = connection.prepare_cached("SELECT seq FROM counted")?;
    Ok(read.query_row([], |row| row.get(0))?)
}

/// Whether there are records that the counters lack.
fn is_behind(connection: &Connection) -> Result<bool, SqliteError> {
    let mut read = connection.prepare_cached(
        "SELECT (SELECT seq FROM counted) < (SELECT coalesce(max(seq), 0) FROM request)",
    )?;
    Ok(read.query_row([], |row| row.get(0))?)
}

/// Counts, and returns up to which record. A file whose counters are not where they should be was counted
/// by another process.
fn count(
    connection: &mut Connection,
    pending: Option<Pending>,
    known: Option<i64>,
    calendar: Calendar,
) -> Result<i64, SqliteError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let counted = counted(&transaction)?;
    let (counters, last) = match pending.filter(|_| known == Some(counted)) {
        Some(pending) => (pending.counters, pending.last),
        None => read(&transaction, counted, calendar)?,
    };
    if counted < last {
        counters.write(&transaction)?;
        transaction.prepare_cached("UPDATE counted SET seq = ?1")?.execute([last])?;
    }
    transaction.commit()?;
    Ok(last)
}

/// Adds up the records behind `counted`.
fn read(
    connection: &Connection,
    counted: i64,
    calendar: Calendar,
) -> Result<(Counters, i64), SqliteError> {
    let (mut counters, mut last) = (Counters::new(calendar), counted);
    let mut read = connection.prepare_cached(
        "SELECT seq, counted_at, record FROM request WHERE ?1 < seq ORDER BY seq",
    )?;
    let mut rows = read.query([counted])?;
    while let Some(row) = rows.next()? {
        last = row.get(0)?;
        if let Some(at) = row.get::<_, Option<i64>>(1)? {
            match serde_json::from_str::<StoredRecord>(&row.get::<_, String>(2)?) {
                Ok(form) => counters.count(&RequestRecord::from(form), moment(at)),
                Err(error) => tracing::error!(seq = last, %error, "a record cannot be counted"),
            }
        }
    }
    Ok((counters, last))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use relay_domain::{Calendar, Period};
    use relay_store::contract::fixture::{admitted, at, key_id, record, settlement};
    use relay_store::{Ledger as _, UsageRepository as _, UsageScope};

    use super::*;
    use crate::store::{Access, SqliteOptions, SqliteStore};

    fn open(path: &Path, access: Access) -> SqliteStore {
        let record_lifetime = Duration::from_hours(24);
        let calendar = Calendar::UTC;
        let options = SqliteOptions { calendar, record_capacity: 10, record_lifetime, access };
        SqliteStore::open(path, options).unwrap()
    }

    async fn settle(store: &SqliteStore, number: u8) {
        admitted(&store.stores(), number, "k", at(0)).await;
        let settled = store.settle(&settlement(record(number, "k"), at(0))).await;
        assert!(settled.unwrap().is_first());
    }

    async fn counted(store: &SqliteStore) -> u64 {
        let scope = UsageScope::Key(key_id("k"));
        store.totals(&scope, Period::Total).await.unwrap().requests
    }

    #[tokio::test]
    async fn what_a_dead_process_had_not_counted_is_counted_from_its_records() {
        let folder = tempfile::tempdir().unwrap();
        let living = folder.path().join("living.db");
        let store = open(&living, Access::Serve);
        settle(&store, 0).await;
        assert_eq!(counted(&store).await, 1);
        for number in 1..4 {
            settle(&store, number).await;
        }
        // What a process leaves that is killed now.
        let dead = folder.path().join("dead.db");
        for ending in ["", "-wal"] {
            let [from, to] = [&living, &dead].map(|path| format!("{}{ending}", path.display()));
            std::fs::copy(from, to).unwrap();
        }
        let next = open(&dead, Access::Serve);
        assert_eq!(counted(&next).await, 4);
        settle(&next, 4).await;
        assert_eq!(counted(&next).await, 5);
        assert_eq!(counted(&store).await, 4);
    }

    #[tokio::test]
    async fn two_processes_count_the_same_requests_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("relay.db");
        let (serving, other) = (open(&path, Access::Serve), open(&path, Access::Administer));
        for number in 0..6 {
            settle(&serving, number).await;
            assert_eq!(counted(&other).await, u64::from(number) + 1);
            if number % 2 == 0 {
                assert_eq!(counted(&serving).await, u64::from(number) + 1);
            }
        }
        drop(other);
        assert_eq!(counted(&serving).await, 6);
    }
}
