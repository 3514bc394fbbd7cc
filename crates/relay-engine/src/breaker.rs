//! Counts an account's unexplained failures, so that one blip penalises nobody.

use std::sync::Mutex;
use std::time::Duration;

use relay_domain::Timestamp;

/// So many failures ...
const THRESHOLD: u32 = 5;
/// ... in so much time open the breaker.
const WINDOW: Duration = Duration::from_secs(30);

/// One account's failures of late, as this process saw them.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<Recent>);

#[derive(Debug, Default)]
struct Recent {
    failures: u32,
    since: Timestamp,
}

impl Breaker {
    /// Counts a failure; `true` when it is the one that opens the breaker.
    pub(crate) fn failed(&self, now: Timestamp) -> bool {
        let Ok(mut recent) = self.0.lock() else { return false };
        if now.since(recent.since) >= WINDOW {
            *recent = Recent { failures: 0, since: now };
        }
        recent.failures += 1;
        let opens = recent.failures >= THRESHOLD;
        if opens {
            recent.failures = 0;
        }
        opens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_close_together_open_it() {
        let at = |second: u64| Timestamp::from_millis(1_000_000 + second * 1_000);
        let opened = |seconds: &[u64]| {
            let breaker = Breaker::default();
            seconds.iter().map(|second| breaker.failed(at(*second))).collect::<Vec<_>>()
        };
        assert_eq!(opened(&[0, 1, 2, 3, 4]), [false, false, false, false, true]);
        assert_eq!(opened(&[0, 10, 20, 29, 30]), [false; 5], "the window begins anew");
        assert_eq!(opened(&[0, 0, 0, 0, 0, 1]), [false, false, false, false, true, false]);
    }
}
