//! Writes events into the store, several at a time; those that are told once a day alone, and tells them to the
//! webhooks if they were the first.

use std::sync::Arc;
use std::time::Duration;

use relay_domain::RecordedEvent;
use relay_store::{EventRepository, StoreError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::mailboxes::Mailboxes;
use super::next_of;

/// How many events are written at a time.
const BATCH: usize = 100;
/// How long to wait when the store did not take them.
const PAUSE: Duration = Duration::from_secs(1);

/// Writes events into the store.
pub(super) struct Recorder {
    pub(super) events: mpsc::Receiver<RecordedEvent>,
    pub(super) repository: Arc<dyn EventRepository>,
    pub(super) mailboxes: Arc<Mailboxes>,
}

/// What is written at a time.
#[derive(Clone, Copy, Debug)]
enum Writing<'a> {
    /// Events that are told whenever they happen.
    All(&'a [RecordedEvent]),
    /// One that is told once a day.
    OfTheDay(&'a RecordedEvent),
}

impl Writing<'_> {
    fn len(self) -> usize {
        match self {
            Self::All(events) => events.len(),
            Self::OfTheDay(_) => 1,
        }
    }
}

impl Recorder {
    /// Until `closing`, and then until all are written, each tried once more.
    pub(super) async fn run(mut self, closing: CancellationToken) {
        while let Some(first) = next_of(&mut self.events, &closing).await {
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Ok(next) = self.events.try_recv()
            {
                batch.push(next);
            }
            let (of_a_day, others): (Vec<_>, Vec<_>) =
                batch.into_iter().partition(|event| event.event.kind.model_of_the_day().is_some());
            if !others.is_empty() {
                self.write(Writing::All(&others), &closing).await;
            }
            for event in of_a_day {
                if self.write(Writing::OfTheDay(&event), &closing).await {
                    self.mailboxes.post(&event);
                }
            }
        }
    }

    /// Writes events as soon as the store takes them. Meanwhile others wait in the queue. `false`: they are
    /// not kept, or not the day's first.
    async fn write(&self, writing: Writing<'_>, closing: &CancellationToken) -> bool {
        let mut is_told = false;
        loop {
            let is_last = closing.is_cancelled();
            let written = match writing {
                Writing::All(events) => self.repository.append(events).await.map(|()| true),
                Writing::OfTheDay(event) => self.repository.append_of_the_day(event).await,
            };
            let error = match written {
                Ok(is_first) => return is_first,
                Err(error) => error,
            };
            if !std::mem::replace(&mut is_told, true) {
                tracing::warn!(%error, "events wait: the store does not take them");
            }
            // What the store refuses for good would keep the others waiting for ever.
            if is_last || !matches!(error, StoreError::Unavailable(_)) {
                tracing::warn!(events = writing.len(), "events are not kept");
                return false;
            }
            tokio::select! {
                () = closing.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}
