//! What is in memory, and what waits to be written: shared by the writer and those who wait for it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use relay_domain::RequestId;
use relay_store::{Settled, Settlement, StoreError};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::bindings::Bindings;
use crate::error::SqliteError;
use crate::holds::Holds;
use crate::stall::Stall;
use crate::telling::{Listener, Told};
use crate::waiting::WaitingRequests;
use crate::writer::File;

/// Who waits for a commit.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// Something that the writer is to do on its connection, apart from batches.
pub(crate) type Job = Box<dyn FnOnce(&mut File) + Send>;

/// What is in memory, under one lock that is held for moments only.
pub(crate) struct Queue {
    state: Mutex<State>,
    /// There is work for a writer that waits.
    pub(crate) work: Condvar,
}

/// What the writer is at.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub(crate) enum Phase {
    /// It writes, and will look for more before it waits.
    #[default]
    Busy,
    /// It waits until there is work.
    Asleep,
    /// It waits until holds are old enough to be written.
    Ageing,
    /// It lets settlements gather.
    Lingering,
}

/// What is in memory, and what waits to be written.
pub(crate) struct State {
    pub(crate) holds: Holds,
    pub(crate) bindings: Bindings,
    pub(crate) waiting: WaitingRequests,
    pub(crate) settlements: Vec<(Settlement, Listener)>,
    /// Requests whose holds are to be written with the next commit.
    pub(crate) checkpoints: Vec<(RequestId, Answer<bool>)>,
    /// Requests whose holds are to be written with the next commit, if there is one before they are old
    /// enough: of a request that holds a budget, a dead process should leave a trace.
    pub(crate) budgeted: Vec<RequestId>,
    /// Requests whose holds are to be written once they are old enough; first those that are new, then
    /// those that have waited since the writer looked last.
    pub(crate) young: Vec<RequestId>,
    pub(crate) aged: Vec<RequestId>,
    /// Requests whose holds are to be removed, though they were not settled.
    pub(crate) void: Vec<RequestId>,
    pub(crate) jobs: VecDeque<Job>,
    pub(crate) phase: Phase,
    pub(crate) stall: Stall,
    /// The writer is to write what there is, and to end.
    pub(crate) closing: bool,
    closed: bool,
}

impl State {
    /// Whether there are holds to be written or removed some time later.
    pub(crate) fn has_holds_to_write(&self) -> bool {
        !self.young.is_empty()
            || !self.aged.is_empty()
            || !self.budgeted.is_empty()
            || !self.void.is_empty()
            || self.holds.book.windows.have_changed()
    }
}

impl Queue {
    /// An empty queue, and the holds that the file has.
    pub(crate) fn new(holds: Holds) -> Self {
        let state = State {
            holds,
            bindings: Bindings::default(),
            waiting: WaitingRequests::default(),
            settlements: Vec::new(),
            checkpoints: Vec::new(),
            budgeted: Vec::new(),
            young: Vec::new(),
            aged: Vec::new(),
            void: Vec::new(),
            jobs: VecDeque::new(),
            phase: Phase::default(),
            stall: Stall::default(),
            closing: false,
            closed: false,
        };
        Self { state: Mutex::new(state), work: Condvar::new() }
    }

    /// What is in memory. Only for the writer: it goes on when the store is closing.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // No change is made in parts between which anything could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Whether the file takes what is to be written, as far as is known.
    ///
    /// # Errors
    ///
    /// [`SqliteError::Stalled`] if it does not, [`SqliteError::Closed`] if there is nobody left to write.
    pub(crate) fn check_writable(&self) -> Result<(), SqliteError> {
        self.open_state()?.stall.check()
    }

    /// Has the hold of a request written some time later, if it still runs then: one that holds a budget
    /// with the next commit.
    pub(crate) fn store_later(&self, state: &mut State, request: RequestId, has_budget: bool) {
        if has_budget {
            state.budgeted.push(request);
        } else {
            state.young.push(request);
        }
        if state.phase == Phase::Asleep {
            self.work.notify_one();
        }
    }

    /// Writes the hold of a request with the next commit, and waits for it. `false`: it has ended.
    pub(crate) async fn store_now(&self, request: RequestId) -> Result<bool, StoreError> {
        let written = self.commit_with::<_, bool>(|state, answer| {
            state.checkpoints.push((request, answer));
            Ok(())
        });
        written.await?.unwrap_or_else(Ok)
    }

    /// Settles a request with the next commit, and waits for it. Its slot is free at once: whoever sends
    /// one request after the other does not wait for the disk in between.
    pub(crate) async fn settle(&self, settlement: &Settlement) -> Result<Settled, StoreError> {
        // Not while everybody waits for the lock.
        let own = settlement.clone();
        let settled = self.commit_with(|state, listener| {
            if !state.holds.end(own.record.id) {
                return Err(Settled::Before);
            }
            state.settlements.push((own, listener));
            Ok(())
        });
        settled.await?.map_or_else(Ok, |Told { own, .. }| own)
    }

    /// Waits for the next commit with what `add` has added to it; if it has not, for nothing.
    async fn commit_with<M, T>(
        &self,
        add: impl FnOnce(&mut State, oneshot::Sender<M>) -> Result<(), T>,
    ) -> Result<Result<M, T>, StoreError> {
        let (answer, waiting) = oneshot::channel();
        {
            let mut state = self.open_state()?;
            if let Err(known) = add(&mut state, answer) {
                return Ok(Err(known));
            }
            // One that writes or lingers will find it without being told.
            if matches!(state.phase, Phase::Asleep | Phase::Ageing) {
                self.work.notify_one();
            }
        }
        Ok(Ok(waiting.await.map_err(|_| SqliteError::Closed)?))
    }

    /// Runs `job` on the writer's connection: it sees all that was committed before, and counters that are
    /// up to date.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run_as_writer(|file| job(&mut file.connection)).await
    }

    /// Runs `job` with all that the writer has.
    pub(crate) async fn run_as_writer<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut File) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, waiting) = oneshot::channel();
        {
            let mut state = self.open_state()?;
            state.jobs.push_back(Box::new(move |file| {
                // Whoever does not wait any more does not need the answer.
                answer.send(job(file)).ok();
            }));
            self.work.notify_one();
        }
        waiting.await.unwrap_or_else(|_| Err(SqliteError::Closed.into()))
    }

    /// Tells the writer to write what there is, and to end.
    pub(crate) fn close(&self) {
        self.state().closing = true;
        self.work.notify_one();
    }

    /// The writer has ended: whoever waits learns it.
    pub(crate) fn closed(&self) {
        let mut state = self.state();
        state.closed = true;
        state.settlements.clear();
        state.checkpoints.clear();
        state.jobs.clear();
    }
}
