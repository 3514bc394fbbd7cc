//! The one thread that writes.
//!
//! Group commit: it takes all that has come up and writes it in one transaction. A settlement waits a
//! few milliseconds for others ([`LINGER`]), which no client notices: its answer is already out. A new
//! hold waits longer ([`HOLD_AGE`]): nothing is known of its request's usage yet, and most requests end
//! before, so that it need not be written at all. Anything else is done at once.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use relay_domain::{Calendar, RequestId, RequestRecord, Timestamp};
use relay_store::StoreError;
use rusqlite::Connection;

use crate::batch::{Batch, Settling};
use crate::error::SqliteError;
use crate::holds::Taken;
use crate::queue::{Answer, Phase, Queue, State};

/// How long a settlement or a checkpoint waits for company.
const LINGER: Duration = Duration::from_millis(4);
/// How old a hold is at least when it is written for its own sake.
const HOLD_AGE: Duration = Duration::from_millis(50);

/// A batch, and who waits for it.
#[derive(Default)]
struct Due {
    batch: Batch,
    /// Who is told that the request was settled, unless the file knows that it was before.
    settled: Vec<(RequestId, Answer)>,
    /// Who is told that it was done.
    done: Vec<Answer>,
    /// Who is told that another one of the same batch did it.
    done_by_another: Vec<Answer>,
    /// Who is told at once that there was nothing to do.
    late: Vec<Answer>,
}

/// Writes what the queue holds, until it is closed.
pub(crate) fn write_until_closed(queue: &Queue, mut connection: Connection, calendar: Calendar) {
    let _closed = TellWhenGone(queue);
    let mut looked_at = Instant::now();
    loop {
        let mut state = wait_for_work(queue);
        state.phase = Phase::Busy;
        let closing = state.closing;
        let mut holds = Vec::new();
        if closing || HOLD_AGE <= looked_at.elapsed() {
            looked_at = Instant::now();
            holds = std::mem::take(&mut state.aged);
            state.aged = std::mem::take(&mut state.young);
        }
        if closing {
            holds.append(&mut state.aged);
        }
        let mut due = take_batch(&mut state);
        for request in holds {
            let hold = state.holds.to_store(request);
            due.batch.holds.extend(hold.map(|hold| (request, hold.clone())));
        }
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        write(queue, &mut connection, due, calendar);
        for job in jobs {
            job(&mut connection);
        }
        if closing {
            return;
        }
    }
}

/// Settles at most `max` requests whose lease has ended by `now`. To be run by the writer.
pub(crate) fn settle_orphans(
    queue: &Queue,
    connection: &mut Connection,
    calendar: Calendar,
    (now, max): (Timestamp, usize),
) -> Result<Vec<RequestRecord>, StoreError> {
    let orphans = queue.state().holds.take_orphans(now, max);
    let settling = |(settlement, hold_is_stored)| Settling { settlement, hold_is_stored };
    let settlements = orphans.into_iter().map(settling).collect();
    let batch = Batch { settlements, ..Batch::default() };
    let before = commit(queue, connection, &batch, calendar).map_err(SqliteError::Commit)?;
    let records = batch.settlements.into_iter().map(|settling| settling.settlement.record);
    Ok(records.filter(|record| !before.contains(&record.id)).collect())
}

/// Waits until there is something to write or to do, and until it has gathered.
fn wait_for_work(queue: &Queue) -> MutexGuard<'_, State> {
    let mut state = queue.state();
    loop {
        if state.closing || !state.jobs.is_empty() {
            return state;
        }
        if !state.settlements.is_empty() || !state.checkpoints.is_empty() {
            state.phase = Phase::Lingering;
            let may_wait = |state: &mut State| !state.closing && state.jobs.is_empty();
            let waited = queue.work.wait_timeout_while(state, LINGER, may_wait);
            return waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.has_holds_to_write() {
            state.phase = Phase::Ageing;
            let waited = queue.work.wait_timeout(state, HOLD_AGE);
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
    for (request, answer) in std::mem::take(&mut state.checkpoints) {
        match state.holds.to_store(request) {
            Some(hold) => {
                due.batch.holds.push((request, hold.clone()));
                due.done.push(answer);
            }
            // Its settlement says more.
            None => due.late.push(answer),
        }
    }
    for (settlement, answer) in std::mem::take(&mut state.settlements) {
        match state.holds.take(settlement.record.id) {
            Taken::First { stored } => {
                due.settled.push((settlement.record.id, answer));
                due.batch.settlements.push(Settling { settlement, hold_is_stored: stored });
            }
            Taken::Again => due.done_by_another.push(answer),
            Taken::Late => due.late.push(answer),
        }
    }
    due
}

fn write(queue: &Queue, connection: &mut Connection, due: Due, calendar: Calendar) {
    let tell = |answers: Vec<Answer>, result: &dyn Fn() -> Result<bool, StoreError>| {
        for answer in answers {
            // Whoever does not wait any more does not need the answer.
            answer.send(result()).ok();
        }
    };
    tell(due.late, &|| Ok(false));
    match commit(queue, connection, &due.batch, calendar) {
        Ok(settled_before) => {
            for (request, answer) in due.settled {
                tell(vec![answer], &|| Ok(!settled_before.contains(&request)));
            }
            tell(due.done, &|| Ok(true));
            tell(due.done_by_another, &|| Ok(false));
        }
        Err(cause) => {
            let failed = || Err(SqliteError::Commit(Arc::clone(&cause)).into());
            tell(due.settled.into_iter().map(|(_, answer)| answer).collect(), &failed);
            tell(due.done, &failed);
            tell(due.done_by_another, &failed);
        }
    }
}

/// Writes a batch; then, and only then, memory says so too. Returns the requests that were settled before.
fn commit(
    queue: &Queue,
    connection: &mut Connection,
    batch: &Batch,
    calendar: Calendar,
) -> Result<Vec<RequestId>, Arc<SqliteError>> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let written = batch.write(connection, calendar);
    let mut state = queue.state();
    if let Ok(settled_before) = &written {
        for Settling { settlement, .. } in &batch.settlements {
            state.holds.settled(settlement.record.id);
            if let Some(bind) = &settlement.bind
                && !settled_before.contains(&settlement.record.id)
            {
                state.bindings.written(bind.clone());
            }
        }
        for (request, _) in &batch.holds {
            state.holds.stored(*request);
        }
    } else {
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
    }
    written.map_err(Arc::new)
}

/// However the writer ends, nobody waits for it afterwards.
struct TellWhenGone<'a>(&'a Queue);

impl Drop for TellWhenGone<'_> {
    fn drop(&mut self) {
        self.0.closed();
    }
}
