//! Tells events to one webhook, in their order, each until it is taken or not worth trying any more.

use std::sync::Arc;
use std::time::Duration;

use relay_crypto::random_bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::counts::Counts;
use super::post::Post;
use super::webhook_url::WebhookUrl;
use super::{Letter, next_of};
use crate::Clock;

/// How often an event is told again.
const RETRIES: u32 = 5;
/// Before the first of these times; four times as long before each next one: two minutes before the last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Tells events to one webhook.
pub(super) struct Courier {
    pub(super) letters: mpsc::Receiver<Letter>,
    pub(super) url: WebhookUrl,
    pub(super) post: Arc<Post>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counts: Arc<Counts>,
}

impl Courier {
    /// Until `closing`, and then until each that waits was told once more.
    pub(super) async fn run(mut self, closing: CancellationToken) {
        while let Some(letter) = next_of(&mut self.letters, &closing).await {
            let is_told = self.deliver(&letter, &closing).await;
            self.counts.delivered(is_told);
        }
    }

    /// `false`: it was given up.
    async fn deliver(&self, letter: &Letter, closing: &CancellationToken) -> bool {
        for retry in 0..=RETRIES {
            let is_last = retry == RETRIES || closing.is_cancelled();
            let Err(error) = self.post.send(&self.url, letter, self.clock.now()).await else {
                return true;
            };
            if is_last || !error.may_pass() {
                tracing::warn!(
                    webhook = %self.url, event.id = %letter.id, tries = retry + 1, %error,
                    "webhook not told"
                );
                return false;
            }
            tokio::select! {
                () = closing.cancelled() => {}
                () = tokio::time::sleep(pause(retry, u16::from_ne_bytes(random_bytes()))) => {}
            }
        }
        false
    }
}

/// How long to wait before the next time: by `random` between half as long and half as long again.
fn pause(retry: u32, random: u16) -> Duration {
    let whole = FIRST_PAUSE.saturating_mul(4_u32.saturating_pow(retry));
    whole / 2 + whole * u32::from(random) / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_vary() {
        for retry in 0..RETRIES {
            let (least, most) = (pause(retry, 0), pause(retry, u16::MAX));
            assert_eq!(most, least * 3);
            assert!(most < pause(retry + 1, 0) * 2, "{retry}");
        }
        assert_eq!(pause(0, 0), Duration::from_millis(250));
        assert_eq!(pause(RETRIES - 1, u16::MAX), Duration::from_secs(192));
    }
}
