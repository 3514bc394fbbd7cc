//! Whether the file takes what is to be written, as far as the writer has found out.
//!
//! Another process may have the file locked, or its disk be full or hang. Nobody whose limits count is let in
//! then: what is let in could not be kept. The writer goes on trying, so that it is known when that is over.

use std::time::{Duration, Instant};

use crate::error::SqliteError;

/// How long a commit waits for a lock of another process before it fails.
const LOCK_WAIT: Duration = Duration::from_millis(500);
/// The same once it is known that the file takes no writes: reads wait for the writer, too.
const STALLED_LOCK_WAIT: Duration = Duration::from_millis(50);
/// How long a change that an operator makes waits for a lock of another process, which may be another change.
const CHANGE_LOCK_WAIT: Duration = Duration::from_secs(5);
/// A writer that has been at one thing for so long does not come to the next.
const HUNG: Duration = Duration::from_secs(2);
/// How often is tried whether the file takes writes again.
const RETRY: Duration = Duration::from_millis(200);

/// What is known of it.
#[derive(Default)]
pub(crate) struct Stall {
    /// When the writer began with what it is at. `None`: it waits for work.
    at_work_since: Option<Instant>,
    /// When to try again. `None`: the last write went well.
    retry_at: Option<Instant>,
}

impl Stall {
    /// The writer begins with something.
    pub(crate) fn begin(&mut self) {
        self.at_work_since = Some(Instant::now());
    }

    /// The writer waits for work.
    pub(crate) fn rest(&mut self) {
        self.at_work_since = None;
    }

    /// Something was written.
    pub(crate) fn written(&mut self) {
        if self.retry_at.take().is_some() {
            tracing::info!("the database takes writes again");
        }
    }

    /// Something could not be written.
    pub(crate) fn failed(&mut self, error: &SqliteError) {
        if !error.may_pass() {
            return;
        }
        if self.retry_at.is_none() {
            tracing::warn!(%error, "the database takes no writes: nobody with limits is let in");
        }
        self.retry_at = Some(Instant::now() + RETRY);
    }

    /// When to try whether the file takes writes again.
    pub(crate) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Whether the file takes what is to be written.
    ///
    /// # Errors
    ///
    /// [`SqliteError::Stalled`] if it does not.
    pub(crate) fn check(&self) -> Result<(), SqliteError> {
        let is_hung = self.at_work_since.is_some_and(|since| HUNG <= since.elapsed());
        if is_hung || self.retry_at.is_some() { Err(SqliteError::Stalled) } else { Ok(()) }
    }

    /// How long a commit waits for a lock now.
    pub(crate) fn lock_wait(&self) -> Duration {
        if self.retry_at.is_some() { STALLED_LOCK_WAIT } else { LOCK_WAIT }
    }

    /// How long a change of an operator's waits for a lock now.
    pub(crate) fn change_lock_wait(&self) -> Duration {
        if self.retry_at.is_some() { LOCK_WAIT } else { CHANGE_LOCK_WAIT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy() -> SqliteError {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        rusqlite::Error::SqliteFailure(code, None).into()
    }

    #[test]
    fn what_failed_stands_until_something_is_written() {
        let mut stall = Stall::default();
        stall.failed(&SqliteError::NotServing);
        assert!(stall.check().is_ok(), "that says nothing about the file");
        stall.begin();
        stall.failed(&busy());
        stall.rest();
        assert!(matches!(stall.check(), Err(SqliteError::Stalled)));
        assert!(stall.lock_wait() < LOCK_WAIT && stall.retry_at().is_some());
        stall.written();
        assert!(stall.check().is_ok() && stall.retry_at().is_none());
    }

    #[test]
    fn a_writer_that_does_not_come_back_takes_no_writes() {
        let mut stall = Stall::default();
        stall.begin();
        assert!(stall.check().is_ok());
        stall.at_work_since = Instant::now().checked_sub(HUNG);
        assert!(stall.check().is_err());
        stall.begin();
        assert!(stall.check().is_ok(), "it has come to the next");
        stall.at_work_since = Instant::now().checked_sub(HUNG);
        stall.rest();
        assert!(stall.check().is_ok());
    }
}
