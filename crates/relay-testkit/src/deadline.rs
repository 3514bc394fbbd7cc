//! Waiting for something to become true, without guessing how long that takes.

use std::time::{Duration, Instant};

/// How long [`eventually`] waits. Generous: it is only ever used up by a test that fails.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// The end of a test's patience.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    end: Instant,
}

impl Deadline {
    /// A deadline `patience` from now.
    #[must_use]
    pub fn after(patience: Duration) -> Self {
        Self { end: Instant::now() + patience }
    }

    /// Whether it has passed.
    pub fn has_passed(&self) -> bool {
        self.end <= Instant::now()
    }

    /// Looks until `check` says true.
    ///
    /// # Panics
    ///
    /// When the deadline passes first; `what` says what was waited for.
    pub async fn until(&self, what: &str, mut check: impl AsyncFnMut() -> bool) {
        while !check().await {
            assert!(!self.has_passed(), "waited in vain: {what}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The same where there is no runtime.
    ///
    /// # Panics
    ///
    /// As [`until`](Self::until).
    pub fn until_blocking(&self, what: &str, mut check: impl FnMut() -> bool) {
        while !check() {
            assert!(!self.has_passed(), "waited in vain: {what}");
            std::thread::sleep(PAUSE);
        }
    }
}

/// Looks until `check` says true, for ten seconds.
///
/// # Panics
///
/// When it does not; `what` says what was waited for.
pub async fn eventually(what: &str, check: impl AsyncFnMut() -> bool) {
    Deadline::after(PATIENCE).until(what, check).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_comes_true_is_waited_for() {
        let mut looks = 0;
        eventually("the third look", async || {
            looks += 1;
            looks == 3
        })
        .await;
        assert_eq!(looks, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "waited in vain: never")]
    async fn what_does_not_fails_and_says_what() {
        Deadline::after(Duration::ZERO).until("never", async || false).await;
    }
}
