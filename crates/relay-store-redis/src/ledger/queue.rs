//! Settlements that end at about the same time travel together.
//!
//! No task of its own: the first caller leads and sends what has gathered, its own settlement among it;
//! while it waits for the answer the next batch gathers, and its first caller leads then. A leader that
//! is cancelled hands over, and those whose settlements it carried ask again, which is safe: a settlement
//! is done once, whoever asks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::{iter, mem};

use relay_store::{Settled, StoreError};
use tokio::sync::oneshot;

use super::batch::Prepared;
use super::effort::Effort;
use crate::fault;

/// Settlements in one batch.
const BATCH: usize = 64;

/// Sends one batch of settlements of different requests.
pub(super) trait Flush: Send + Sync {
    /// Says of each settlement what it did.
    fn flush(
        &self,
        batch: &[Arc<Prepared>],
    ) -> impl Future<Output = Result<Vec<Settled>, StoreError>> + Send;
}

/// Settlements that wait to be sent.
pub(super) struct Queue<F> {
    flush: F,
    state: Mutex<State<F>>,
}

struct State<F> {
    waiting: VecDeque<Waiting<F>>,
    is_led: bool,
}

struct Waiting<F> {
    prepared: Arc<Prepared>,
    signal: oneshot::Sender<Signal<F>>,
}

enum Signal<F> {
    Done(Result<Settled, StoreError>),
    /// The one who is told leads the next batch; its own settlement is no longer in the queue.
    Lead(Leadership<F>),
}

enum Place<F> {
    Leader(Leadership<F>),
    Follower(oneshot::Receiver<Signal<F>>),
}

/// The right and the duty to send the next batch. Dropped, it passes to the next who waits.
struct Leadership<F> {
    queue: Option<Arc<Queue<F>>>,
}

impl<F: Flush> Queue<F> {
    /// An empty queue.
    pub(super) fn new(flush: F) -> Self {
        Self { flush, state: Mutex::new(State { waiting: VecDeque::new(), is_led: false }) }
    }

    /// How batches are sent.
    pub(super) fn flusher(&self) -> &F {
        &self.flush
    }

    /// Has a settlement done, alone or with others.
    ///
    /// # Errors
    ///
    /// That of the batch.
    pub(super) async fn settle(
        self: &Arc<Self>,
        prepared: Arc<Prepared>,
    ) -> Result<Settled, StoreError> {
        loop {
            let leadership = match self.join(&prepared) {
                Place::Leader(leadership) => leadership,
                Place::Follower(told) => match told.await {
                    Ok(Signal::Done(result)) => return result,
                    Ok(Signal::Lead(leadership)) => leadership,
                    // The leader was cancelled with this settlement in its hands.
                    Err(_) => continue,
                },
            };
            return self.lead(prepared, leadership).await;
        }
    }

    async fn lead(
        self: &Arc<Self>,
        own: Arc<Prepared>,
        leadership: Leadership<F>,
    ) -> Result<Settled, StoreError> {
        // Whoever is ready to settle gets the chance to come along.
        tokio::task::yield_now().await;
        let (batch, signals) = self.take(own);
        let result = self.flush.flush(&batch).await;
        drop(leadership);
        match result {
            Ok(done) => {
                let mut done = done.into_iter();
                let own = done.next().ok_or_else(|| fault::unexpected("a settlement"));
                for (signal, done) in signals.into_iter().zip(done) {
                    // One who no longer waits does not need to know.
                    let _gone = signal.send(Signal::Done(Ok(done)));
                }
                own
            }
            Err(error) => {
                let error = Arc::new(error);
                for signal in signals {
                    let _gone = signal.send(Signal::Done(Err(fault::of_batch(&error))));
                }
                Err(fault::of_batch(&error))
            }
        }
    }

    fn join(self: &Arc<Self>, prepared: &Arc<Prepared>) -> Place<F> {
        let mut state = self.state();
        if !mem::replace(&mut state.is_led, true) {
            return Place::Leader(Leadership { queue: Some(Arc::clone(self)) });
        }
        let (signal, told) = oneshot::channel();
        state.waiting.push_back(Waiting { prepared: Arc::clone(prepared), signal });
        Place::Follower(told)
    }

    /// The next batch, `own` first. Of several settlements of one request, one: the others wait, to
    /// learn that it was done. What does not fit waits too.
    fn take(&self, own: Arc<Prepared>) -> (Vec<Arc<Prepared>>, Vec<oneshot::Sender<Signal<F>>>) {
        let mut state = self.state();
        let mut effort = Effort::default();
        effort.admits(own.counted(), iter::empty());
        let (mut batch, mut signals) = (vec![own], Vec::new());
        let mut left = VecDeque::new();
        while let Some(next) = state.waiting.pop_front() {
            let is_other = |known: &Arc<Prepared>| known.request() != next.prepared.request();
            let fits = batch.len() < BATCH
                && batch.iter().all(is_other)
                && effort.admits(next.prepared.counted(), batch.iter().filter_map(|b| b.counted()));
            if fits {
                batch.push(next.prepared);
                signals.push(next.signal);
            } else {
                left.push_back(next);
                if batch.len() == BATCH {
                    break;
                }
            }
        }
        left.append(&mut state.waiting);
        state.waiting = left;
        (batch, signals)
    }
}

impl<F> Queue<F> {
    fn state(&self) -> std::sync::MutexGuard<'_, State<F>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> Drop for Leadership<F> {
    fn drop(&mut self) {
        let Some(queue) = self.queue.take() else { return };
        loop {
            let next = {
                let mut state = queue.state();
                let next = state.waiting.pop_front();
                state.is_led = next.is_some();
                next
            };
            let Some(next) = next else { return };
            let passed = Signal::Lead(Leadership { queue: Some(Arc::clone(&queue)) });
            match next.signal.send(passed) {
                Ok(()) => return,
                // It no longer waits. Its leadership is taken back without a second drop.
                Err(Signal::Lead(mut refused)) => refused.queue = None,
                Err(Signal::Done(_)) => {}
            }
        }
    }
}
