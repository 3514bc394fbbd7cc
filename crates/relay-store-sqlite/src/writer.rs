//! The one thread that writes, and what it shares with those who wait for it.
//!
//! Group commit: it takes all that has come up and writes it in one transaction. A settlement waits a
//! few milliseconds for others ([`LINGER`]), which no client notices: its answer is already out. A hold
//! waits longer ([`HOLD_AGE`]): nothing is known of a request's usage yet, and most end before. Anything
//! else is done at once.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use relay_domain::{Calendar, RequestId, RequestRecord, Timestamp};
use relay_store::{Settlement, StoreError};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::batch::{Batch, Settling};
use crate::bindings::Bindings;
use crate::error::SqliteError;
use crate::holds::{Holds, Taken};

/// How long a settlement or a checkpoint waits for company.
const LINGER: Duration = Duration::from_millis(4);
/// How old a hold is at least when it is written for its own sake.
const HOLD_AGE: Duration = Duration::from_millis(50);

type Answer = oneshot::Sender<Result<bool, StoreError>>;
type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// What the writer shares with those who wait for it.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// There is something to do for a writer that sleeps.
    work: Condvar,
    calendar: Calendar,
}

/// What the writer is at.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum Phase {
    /// It writes, and will look again.
    #[default]
    Busy,
    /// It sleeps until there is work.
    Asleep,
    /// It sleeps until holds are old enough to be written.
    Ageing,
    /// It lets settlements gather.
    Lingering,
}

/// What is in memory.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) holds: Holds,
    pub(crate) bindings: Bindings,
    settlements: Vec<(Settlement, Answer)>,
    checkpoints: Vec<(RequestId, Answer)>,
    /// Requests whose holds are to be written once they are old enough: the new, and those that have
    /// waited since the last look.
    young: Vec<RequestId>,
    aged: Vec<RequestId>,
    void: Vec<RequestId>,
    jobs: VecDeque<Job>,
    phase: Phase,
    closing: bool,
    closed: bool,
}

impl State {
    /// Has the hold of a request written some time later, if it still runs then.
    pub(crate) fn store_later(&mut self, request: RequestId) {
        self.young.push(request);
    }

    /// Has a hold removed from the file some time later.
    pub(crate) fn remove_later(&mut self, request: RequestId) {
        self.void.push(request);
    }

    fn has_holds_to_write(&self) -> bool {
        !self.young.is_empty() || !self.aged.is_empty() || !self.void.is_empty()
    }
}

impl Shared {
    /// For a store that counts by `calendar`, with the holds that its file has.
    pub(crate) fn new(calendar: Calendar, holds: Holds) -> Self {
        let state = State { holds, ..State::default() };
        Self { state: Mutex::new(state), work: Condvar::new(), calendar }
    }

    /// What is in memory.
    ///
    /// # Errors
    ///
    /// [`SqliteError::Closed`] if there is nobody left to write.
    pub(crate) fn open_state(&self) -> Result<MutexGuard<'_, State>, SqliteError> {
        let state = self.state();
        if state.closed { Err(SqliteError::Closed) } else { Ok(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked did so between two whole changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the writer know of a hold to be written later.
    pub(crate) fn wake_for_hold(&self, state: &State) {
        if state.phase == Phase::Asleep {
            self.work.notify_one();
        }
    }

    /// Settles a request with the next commit, and frees its slot now.
    pub(crate) async fn settle(&self, settlement: &Settlement) -> Result<bool, StoreError> {
        let answer = {
            let mut state = self.open_state()?;
            if !state.holds.end(settlement.record.id) {
                return Ok(false);
            }
            let (answer, waiting) = oneshot::channel();
            state.settlements.push((settlement.clone(), answer));
            self.wake_for_batch(&state);
            waiting
        };
        answer.await.unwrap_or_else(|_| Err(SqliteError::Closed.into()))
    }

    /// Writes a request's hold with the next commit.
    pub(crate) async fn store_now(&self, request: RequestId) -> Result<bool, StoreError> {
        let answer = {
            let mut state = self.open_state()?;
            let (answer, waiting) = oneshot::channel();
            state.checkpoints.push((request, answer));
            self.wake_for_batch(&state);
            waiting
        };
        answer.await.unwrap_or_else(|_| Err(SqliteError::Closed.into()))
    }

    fn wake_for_batch(&self, state: &State) {
        if matches!(state.phase, Phase::Asleep | Phase::Ageing) {
            self.work.notify_one();
        }
    }

    /// Runs `job` on the writer's connection, after all that has been committed before.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, waiting) = oneshot::channel();
        {
            let mut state = self.open_state()?;
            state.jobs.push_back(Box::new(move |connection| {
                // Who does not wait any more does not need the answer.
                answer.send(job(connection)).ok();
            }));
            self.work.notify_one();
        }
        waiting.await.unwrap_or_else(|_| Err(SqliteError::Closed.into()))
    }

    /// Settles at most `max` requests whose lease has ended by `now`. Only for a [job](Self::run).
    pub(crate) fn settle_orphans(
        &self,
        connection: &mut Connection,
        now: Timestamp,
        max: usize,
    ) -> Result<Vec<RequestRecord>, StoreError> {
        let orphans = self.state().holds.take_orphans(now, max);
        let settling = |(settlement, hold_is_stored)| Settling { settlement, hold_is_stored };
        let settlements = orphans.into_iter().map(settling).collect();
        let batch = Batch { settlements, ..Batch::default() };
        self.commit(connection, &batch)?;
        Ok(batch.settlements.into_iter().map(|settling| settling.settlement.record).collect())
    }

    /// Tells the writer to write what there is, and to end.
    pub(crate) fn close(&self) {
        self.state().closing = true;
        self.work.notify_one();
    }

    /// The writer's life.
    pub(crate) fn write_until_closed(&self, mut connection: Connection) {
        let _closed = CloseOnDrop(self);
        let mut looked_at = Instant::now();
        loop {
            let mut state = self.gather();
            state.phase = Phase::Busy;
            let closing = state.closing;
            if closing || HOLD_AGE <= looked_at.elapsed() {
                looked_at = Instant::now();
            } else {
                // Not yet: what has waited keeps waiting.
            }
            let taken = take_batch(&mut state, closing);
            let jobs = std::mem::take(&mut state.jobs);
            drop(state);
            self.write(&mut connection, taken);
            for job in jobs {
                job(&mut connection);
            }
            if closing {
                return;
            }
        }
    }
}
