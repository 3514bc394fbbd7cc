//! The one thread that writes.
//!
//! Group commit: it takes all that has come up and writes it in one transaction. Settlements that come
//! soon after a commit wait a moment for others ([`LINGER`]), for which the last bytes of their answers
//! wait; a lone one does not. A new hold waits longer ([`HOLD_AGE`]): nothing is known of its request's usage yet, and most requests end
//! before, so that it need not be written at all. Anything else is done at once.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use relay_domain::{Calendar, LimitScope, RequestId, RequestRecord, Timestamp};
use relay_store::{Settled, Settlement, StoreError};
use rusqlite::Connection;

use crate::batch::{Batch, Settling, Written};
use crate::error::SqliteError;
use crate::holds::{Holds, Taken};
use crate::limit_book::amounts;
use crate::limit_rows::{read_spent, read_window, spent_in};
use crate::own_days;
use crate::queue::{Answer, Phase, Queue, State};
use crate::spent::Unread;
use crate::store::Access;
use crate::telling::{Listener, tell_all};
use crate::uncounted::Uncounted;

/// How long after the last commit settlements and checkpoints wait for company.
const LINGER: Duration = Duration::from_millis(1);
/// How old a hold is at least when it is written for its own sake.
const HOLD_AGE: Duration = Duration::from_millis(50);

/// What the writer writes to.
pub(crate) struct File {
    pub(crate) connection: Connection,
    calendar: Calendar,
    pub(crate) uncounted: Uncounted,
}

impl File {
    /// Brings the counters of usage up to date.
    ///
    /// # Errors
    ///
    /// [`SqliteError`] if they cannot be written; then they count less than was used.
    pub(crate) fn count(&mut self) -> Result<(), SqliteError> {
        self.uncounted.count(&mut self.connection)
    }

    /// Sets how long what is done next waits for a lock of another process.
    fn wait_for_lock(&self, at_most: Duration) {
        if let Err(error) = self.connection.busy_timeout(at_most) {
            tracing::warn!(%error, "the database's patience cannot be set");
        }
    }

    /// The same for those who can do with counters that are behind.
    fn try_to_count(&mut self) {
        if let Err(error) = self.count() {
            tracing::warn!(%error, "counters of usage are behind: they could not be written");
        }
    }

    /// Keeps those days of accounts that a batch counts in and that counters alone cannot tell, with what was
    /// spent in them before.
    ///
    /// # Errors
    ///
    /// [`SqliteError`] if that cannot be read or written, or the counters cannot be brought up to date first.
    fn begin_own_days(&mut self, batch: &Batch) -> Result<(), SqliteError> {
        let days = batch.settlements.iter().filter_map(|settling| settling.own_day.as_ref());
        for (account, day) in days {
            if own_days::kept(&self.connection, account, day)?.is_none() {
                self.count()?;
                let scope = LimitScope::Account(account.clone());
                let spent = spent_in(&self.connection, self.calendar, &scope, day)?.all;
                own_days::keep(&self.connection, account, day, spent)?;
            }
        }
        Ok(())
    }

    /// Reads into memory what it does not know. No commit comes between: only the writer commits what is
    /// read.
    ///
    /// # Errors
    ///
    /// [`SqliteError`] if it cannot be read, or the counters cannot be brought up to date first.
    pub(crate) fn read_all(&mut self, queue: &Queue, unread: &[Unread]) -> Result<(), SqliteError> {
        if !unread.is_empty() {
            self.count()?;
        }
        for unread in unread {
            let spent = read_spent(&self.connection, self.calendar, unread)?;
            queue.state().holds.book.spent.remember(unread.scope.clone(), spent);
        }
        Ok(())
    }
}

/// A batch, and who waits for it.
#[derive(Default)]
struct Due {
    batch: Batch,
    /// What memory has to know of the file before it can say what the batch's settlements pass.
    unread: Vec<Unread>,
    /// Who is told what the settlements of the batch did, in their order.
    settled: Vec<Listener>,
    /// Who is told that it was done.
    done: Vec<Answer<bool>>,
    /// Who is told that another one of the same batch did it.
    settled_by_another: Vec<Listener>,
}

/// Writes what the queue holds, until it is closed.
pub(crate) fn write_until_closed(
    queue: &Queue,
    connection: Connection,
    calendar: Calendar,
    access: Access,
) {
    let _closed = TellWhenGone(queue);
    let mut file =
        File { connection, calendar, uncounted: Uncounted::new(calendar, access == Access::Serve) };
    let (mut looked_at, mut committed_at) = (Instant::now(), Instant::now());
    loop {
        let mut state = wait_for_work(queue, committed_at, file.uncounted.due());
        state.phase = Phase::Busy;
        state.stall.begin();
        file.wait_for_lock(state.stall.lock_wait());
        let closing = state.closing;
        let mut holds = Vec::new();
        let are_due = state.stall.retry_at().is_none() && HOLD_AGE <= looked_at.elapsed();
        if closing || are_due {
            looked_at = Instant::now();
            holds = std::mem::take(&mut state.aged);
            state.aged = std::mem::take(&mut state.young);
        }
        if closing {
            holds.append(&mut state.aged);
        }
        let mut due = take_batch(&mut state);
        holds.append(&mut state.budgeted);
        for request in holds {
            let hold = state.holds.to_store(request);
            due.batch.holds.extend(hold.map(|hold| (request, hold.clone())));
        }
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        if !due.batch.is_empty() {
            write(queue, &mut file, due);
            committed_at = Instant::now();
        }
        let is_due = file.uncounted.due().is_some_and(|due| due <= Instant::now());
        if closing || is_due {
            file.try_to_count();
        }
        for job in jobs {
            let change_lock_wait = {
                let mut state = queue.state();
                state.stall.begin();
                file.wait_for_lock(state.stall.lock_wait());
                state.stall.change_lock_wait()
            };
            // One before it may have settled something.
            file.try_to_count();
            file.wait_for_lock(change_lock_wait);
            job(&mut file);
        }
        let retry_at = queue.state().stall.retry_at();
        if retry_at.is_some_and(|at| at <= Instant::now()) {
            // What has failed is known.
            probe(queue, &mut file).ok();
        }
        if closing {
            return;
        }
    }
}

/// Finds out whether the file takes writes, by one that changes nothing. To be run by the writer.
///
/// # Errors
///
/// [`SqliteError`] if it does not.
pub(crate) fn probe(queue: &Queue, file: &mut File) -> Result<(), SqliteError> {
    file.wait_for_lock(queue.state().stall.lock_wait());
    let written = file.connection.execute("UPDATE counted SET seq = seq", []);
    let mut state = queue.state();
    match written {
        Ok(_) => {
            state.stall.written();
            Ok(())
        }
        Err(cause) => {
            let error = cause.into();
            state.stall.failed(&error);
            Err(error)
        }
    }
}

/// Settles at most `max` requests whose lease has ended by `now`. To be run by the writer.
pub(crate) fn settle_orphans(
    queue: &Queue,
    file: &mut File,
    (now, max): (Timestamp, usize),
) -> Result<Vec<RequestRecord>, StoreError> {
    let mut due = Due::default();
    {
        let mut state = queue.state();
        for orphan in state.holds.orphans(now, max) {
            let taken = take_settlement(&mut state.holds, orphan);
            due.batch.settlements.extend(taken.ok());
        }
    }
    let settled = commit(queue, file, &due).map_err(SqliteError::Commit)?;
    let records = due.batch.settlements.into_iter().map(|settling| settling.settlement.record);
    let first = records.zip(settled).filter(|(_, settled)| settled.is_first());
    Ok(first.map(|(record, _)| record).collect())
}

/// Waits until there is something to write or to do, and until it has gathered; or until counters are due, or
/// another try of a file that takes no writes. Holds wait until that has gone well.
fn wait_for_work(
    queue: &Queue,
    committed_at: Instant,
    count_at: Option<Instant>,
) -> MutexGuard<'_, State> {
    let mut state = queue.state();
    state.stall.rest();
    let retry_at = state.stall.retry_at();
    let wake_at = count_at.into_iter().chain(retry_at).min();
    loop {
        if state.closing || !state.jobs.is_empty() {
            return state;
        }
        if !state.settlements.is_empty() || !state.checkpoints.is_empty() {
            state.phase = Phase::Lingering;
            let may_wait = |state: &mut State| !state.closing && state.jobs.is_empty();
            let rest = LINGER.saturating_sub(committed_at.elapsed());
            let waited = queue.work.wait_timeout_while(state, rest, may_wait);
            return waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if retry_at.is_none() && state.has_holds_to_write() {
            state.phase = Phase::Ageing;
            let waited = queue.work.wait_timeout(state, HOLD_AGE);
            let (woken, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if waited.timed_out() {
                return state;
            }
        } else if let Some(wake_at) = wake_at {
            state.phase = Phase::Asleep;
            let rest = wake_at.saturating_duration_since(Instant::now());
            let waited = queue.work.wait_timeout(state, rest);
            let (woken, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if waited.timed_out() {
                return state;
            }
        } else {
            state.phase = Phase::Asleep;
            state = queue.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn take_batch(state: &mut State) -> Due {
    let mut due = Due::default();
    due.batch.void = std::mem::take(&mut state.void);
    due.batch.windows = state.holds.book.windows.take_changed();
    for (request, answer) in std::mem::take(&mut state.checkpoints) {
        match state.holds.to_store(request) {
            Some(hold) => {
                due.batch.holds.push((request, hold.clone()));
                due.done.push(answer);
            }
            // Its settlement says more.
            None => tell(answer, Ok(false)),
        }
    }
    for (settlement, answer) in std::mem::take(&mut state.settlements) {
        match take_settlement(&mut state.holds, settlement) {
            Ok(settling) => {
                due.unread.extend(state.holds.book.unread(&settling.settlement));
                due.batch.settlements.push(settling);
                due.settled.push(answer);
            }
            Err(NotTaken::Again) => due.settled_by_another.push(answer),
            Err(NotTaken::Late) => tell_all(vec![(answer, Ok(Settled::Before))]),
        }
    }
    due
}

/// Why a settlement is not written.
enum NotTaken {
    /// Another one of the same request is.
    Again,
    /// The request is not held.
    Late,
}

fn take_settlement(holds: &mut Holds, settlement: Settlement) -> Result<Settling, NotTaken> {
    let (hold_is_stored, own_day) = match holds.take(&settlement) {
        Taken::First { stored, own_day } => (stored, own_day),
        Taken::Again => return Err(NotTaken::Again),
        Taken::Late => return Err(NotTaken::Late),
    };
    let counted = amounts(&settlement.record).map(|(scope, _)| scope);
    let windows =
        counted.filter(|scope| holds.book.windows.counts(scope, settlement.now)).collect();
    Ok(Settling { settlement, hold_is_stored, windows, own_day })
}

fn tell<T>(answer: Answer<T>, result: Result<T, StoreError>) {
    // Whoever does not wait any more does not need the answer.
    answer.send(result).ok();
}

fn write(queue: &Queue, file: &mut File, mut due: Due) {
    let (settled, done) = (std::mem::take(&mut due.settled), std::mem::take(&mut due.done));
    let by_another = std::mem::take(&mut due.settled_by_another);
    match commit(queue, file, &due) {
        Ok(outcomes) => {
            let by_another = by_another.into_iter().map(|listener| (listener, Ok(Settled::Before)));
            tell_all(
                settled.into_iter().zip(outcomes.into_iter().map(Ok)).chain(by_another).collect(),
            );
            for answer in done {
                tell(answer, Ok(true));
            }
        }
        Err(cause) => {
            let failed = || SqliteError::Commit(Arc::clone(&cause)).into();
            let all = settled.into_iter().chain(by_another);
            tell_all(all.map(|listener| (listener, Err(failed()))).collect());
            for answer in done {
                tell(answer, Err(failed()));
            }
        }
    }
}

/// Writes a batch; then, and only then, memory says so too. Returns what each of its settlements did.
fn commit(queue: &Queue, file: &mut File, due: &Due) -> Result<Vec<Settled>, Arc<SqliteError>> {
    let batch = &due.batch;
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    file.wait_for_lock(queue.state().stall.lock_wait());
    let written = file
        .read_all(queue, &due.unread)
        .and_then(|()| file.begin_own_days(batch))
        .and_then(|()| batch.write(&mut file.connection, file.calendar));
    let mut state = queue.state();
    match written {
        Ok(Written { settled_before, counters, kept, last }) => {
            state.stall.written();
            if 0 < kept {
                file.uncounted.add(counters, kept, last);
            }
            Ok(tell_memory(&mut state, &file.connection, batch, &settled_before))
        }
        Err(cause) => {
            state.stall.failed(&cause);
            file.uncounted.lose();
            for Settling { settlement, .. } in &batch.settlements {
                state.holds.not_settled(settlement.record.id);
                if let Some(bind) = &settlement.bind {
                    state.bindings.forget(&bind.affinity);
                }
            }
            for (request, _) in &batch.holds {
                state.holds.stored(*request);
                state.young.push(*request);
            }
            state.void.extend(&batch.void);
            let windows = batch.windows.iter().map(|(scope, _)| scope.clone());
            state.holds.book.windows.not_written(windows);
            Err(Arc::new(cause))
        }
    }
}

/// A batch is committed.
fn tell_memory(
    state: &mut State,
    connection: &Connection,
    batch: &Batch,
    settled_before: &[RequestId],
) -> Vec<Settled> {
    let mut outcomes = Vec::with_capacity(batch.settlements.len());
    for Settling { settlement, windows, .. } in &batch.settlements {
        if settled_before.contains(&settlement.record.id) {
            state.holds.settled_before(settlement);
            for scope in windows {
                // If it cannot be read, the window counts less than it should until it closes.
                if let Ok(Some(stored)) = read_window(connection, scope) {
                    state.holds.book.windows.correct(scope, &stored);
                }
            }
            outcomes.push(Settled::Before);
        } else {
            let crossed = state.holds.settled(settlement);
            if let Some(bind) = &settlement.bind {
                state.bindings.written(bind.clone());
            }
            outcomes.push(Settled::Now { crossed });
        }
    }
    for (request, _) in &batch.holds {
        state.holds.stored(*request);
    }
    outcomes
}

/// However the writer ends, nobody waits for it afterwards.
struct TellWhenGone<'a>(&'a Queue);

impl Drop for TellWhenGone<'_> {
    fn drop(&mut self) {
        self.0.closed();
    }
}
