//! Slows down whoever guesses passwords.
//!
//! Counted by name and place together, in this process: guessing from one place slows nobody else down.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use relay_domain::Timestamp;

/// Failures in a row that cost nothing.
const FREE_FAILURES: u32 = 5;
/// The first delay; it doubles with each further failure.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// The longest delay.
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// After so long without an attempt the failures are forgotten.
const MEMORY: Duration = Duration::from_mins(15);
/// How many guessers are remembered.
const MAX_GUESSERS: usize = 10_000;

/// Who tries to log in: the name that is tried, and from where.
pub(super) type Guesser = (String, Option<IpAddr>);

/// Counts attempts to log in and delays those after too many failures.
#[derive(Debug, Default)]
pub(super) struct LoginThrottle {
    guessers: Mutex<HashMap<Guesser, Failures>>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    in_a_row: u32,
    last: Timestamp,
    not_before: Timestamp,
}

impl LoginThrottle {
    /// Begins an attempt, which is a failure until [`succeeded`](Self::succeeded) is called: so that of
    /// many attempts at once none slips through.
    ///
    /// # Errors
    ///
    /// How long to wait, if this attempt comes too early. It then counts for nothing.
    pub(super) fn begin(&self, guesser: &Guesser, now: Timestamp) -> Result<(), Duration> {
        let mut guessers = self.guessers();
        let in_a_row = match guessers.get(guesser) {
            Some(failures) if now < failures.not_before => {
                return Err(failures.not_before.since(now));
            }
            Some(failures) if now.since(failures.last) < MEMORY => {
                failures.in_a_row.saturating_add(1)
            }
            Some(_) | None => 1,
        };
        if guessers.len() >= MAX_GUESSERS && !guessers.contains_key(guesser) {
            make_room(&mut guessers, now);
        }
        let not_before = now.plus(delay(in_a_row));
        guessers.insert(guesser.clone(), Failures { in_a_row, last: now, not_before });
        Ok(())
    }

    /// The attempt that was begun last was right: all is forgotten.
    pub(super) fn succeeded(&self, guesser: &Guesser) {
        self.guessers().remove(guesser);
    }

    fn guessers(&self) -> MutexGuard<'_, HashMap<Guesser, Failures>> {
        self.guessers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The wait after so many failures in a row.
fn delay(in_a_row: u32) -> Duration {
    match in_a_row.checked_sub(FREE_FAILURES) {
        None => Duration::ZERO,
        Some(beyond) => FIRST_DELAY.saturating_mul(2_u32.saturating_pow(beyond)).min(LONGEST_DELAY),
    }
}

/// Forgets what is out of date, and if that is not enough, the longest idle guesser.
fn make_room(guessers: &mut HashMap<Guesser, Failures>, now: Timestamp) {
    guessers.retain(|_, failures| now.since(failures.last) < MEMORY);
    if guessers.len() >= MAX_GUESSERS {
        let idlest = guessers.iter().min_by_key(|(_, failures)| failures.last);
        if let Some(guesser) = idlest.map(|(guesser, _)| guesser.clone()) {
            guessers.remove(&guesser);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + millis)
    }

    fn guesser(name: &str) -> Guesser {
        (name.to_owned(), Some([127, 0, 0, 1].into()))
    }

    #[test]
    fn the_delay_doubles_after_five_failures_up_to_half_a_minute() {
        let delays: Vec<u64> = (1..=12).map(|n| delay(n).as_secs()).collect();
        assert_eq!(delays, [0, 0, 0, 0, 1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(delay(u32::MAX), LONGEST_DELAY);
    }

    #[test]
    fn who_comes_too_early_is_told_how_long_to_wait() {
        let throttle = LoginThrottle::default();
        for n in 0..5 {
            assert_eq!(throttle.begin(&guesser("admin"), at(n)), Ok(()), "attempt {n}");
        }
        assert_eq!(throttle.begin(&guesser("admin"), at(4)), Err(Duration::from_secs(1)));
        assert_eq!(throttle.begin(&guesser("admin"), at(1_003)), Err(Duration::from_millis(1)));
        assert_eq!(throttle.begin(&guesser("admin"), at(1_004)), Ok(()), "refusals did not count");
        assert_eq!(throttle.begin(&guesser("admin"), at(1_005)), Err(Duration::from_millis(1_999)));
        assert_eq!(throttle.begin(&guesser("other"), at(1_005)), Ok(()), "another name");
        let elsewhere = ("admin".to_owned(), Some([127, 0, 0, 2].into()));
        assert_eq!(throttle.begin(&elsewhere, at(1_005)), Ok(()), "another place");
    }

    #[test]
    fn success_and_time_clear() {
        let throttle = LoginThrottle::default();
        for _ in 0..2 {
            for n in 0..5 {
                assert_eq!(throttle.begin(&guesser("admin"), at(n)), Ok(()));
            }
            throttle.succeeded(&guesser("admin"));
        }
        for n in 0..5 {
            assert_eq!(throttle.begin(&guesser("admin"), at(n)), Ok(()));
        }
        let much_later = at(0).plus(MEMORY).plus(Duration::from_secs(1));
        for _ in 0..5 {
            assert_eq!(throttle.begin(&guesser("admin"), much_later), Ok(()));
        }
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = LoginThrottle::default();
        for n in 0..MAX_GUESSERS + 10 {
            let millis = u64::try_from(n).unwrap();
            throttle.begin(&guesser(&n.to_string()), at(millis)).unwrap();
        }
        assert_eq!(throttle.guessers().len(), MAX_GUESSERS);
        assert!(!throttle.guessers().contains_key(&guesser("0")), "the longest idle one went");
        throttle.begin(&guesser("new"), at(0).plus(MEMORY * 2)).unwrap();
        assert_eq!(throttle.guessers().len(), 1, "what was out of date went");
    }
}
