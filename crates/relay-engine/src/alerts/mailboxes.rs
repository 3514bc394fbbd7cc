//! The queues to the webhooks.

use std::sync::Arc;

use relay_domain::RecordedEvent;
use tokio::sync::mpsc;

use super::Letter;
use super::counts::Counts;
use super::webhook_url::WebhookUrl;

/// The queues to the webhooks, each bounded.
#[derive(Debug, Default)]
pub(super) struct Mailboxes {
    pub(super) boxes: Vec<(WebhookUrl, mpsc::Sender<Letter>)>,
    pub(super) counts: Arc<Counts>,
}

impl Mailboxes {
    /// Puts `event` into each of them; what finds one full, or closed at the end, is counted and missed.
    pub(super) fn post(&self, event: &RecordedEvent) {
        if self.boxes.is_empty() {
            return;
        }
        let letter = Letter::of(event);
        for (url, letters) in &self.boxes {
            if letters.try_send(letter.clone()).is_err() {
                self.miss(&url.to_string());
            }
        }
    }

    /// An event was missed by whoever this is.
    pub(super) fn miss(&self, whose: &str) {
        if self.counts.miss() {
            tracing::warn!(whose, "too many events wait: some are missed, from here on");
        }
    }
}
