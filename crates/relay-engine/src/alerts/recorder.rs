//! Writes events into the store, several at a time.

use std::sync::Arc;
use std::time::Duration;

use relay_domain::RecordedEvent;
use relay_store::EventRepository;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::next_of;

/// How many events are written at a time.
const BATCH: usize = 100;
/// How long to wait when the store did not take them.
const PAUSE: Duration = Duration::from_secs(1);

/// Writes events into the store.
pub(super) struct Recorder {
    pub(super) events: mpsc::Receiver<RecordedEvent>,
    pub(super) repository: Arc<dyn EventRepository>,
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
            self.write(&batch, &closing).await;
        }
    }

    /// Writes `batch`, as soon as the store takes it. Meanwhile others wait in the queue.
    async fn write(&self, batch: &[RecordedEvent], closing: &CancellationToken) {
        let mut is_told = false;
        loop {
            let is_last = closing.is_cancelled();
            let Err(error) = self.repository.append(batch).await else { return };
            if !std::mem::replace(&mut is_told, true) {
                tracing::warn!(%error, "events wait: the store does not take them");
            }
            // What the store refuses for good would keep the others waiting for ever.
            if is_last || !matches!(error, relay_store::StoreError::Unavailable(_)) {
                tracing::warn!(events = batch.len(), "events are not kept");
                return;
            }
            tokio::select! {
                () = closing.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}
