//! Slows down whoever guesses passwords, and never keeps the operator out.
//!
//! Failures are counted by place, whatever name is tried, so that neither many names nor many attempts help.
//! Those of places that have just begun are counted by account too: when many places guess at one account,
//! each of them has fewer free attempts and longer waits. But no place waits for what others do: the first
//! attempt from a new place is always taken, so that an attack from elsewhere locks nobody out. And who
//! presents a token of an earlier login counts alone, so that not even an attack from the same place does.
//!
//! Counted in this process and in bounded room. When that is full, who has failed least is forgotten first.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use relay_domain::Timestamp;

/// How much is allowed while nothing is unusual.
const CALM: Measure = Measure {
    free_failures: 5,
    first_delay: Duration::from_secs(1),
    longest_delay: Duration::from_secs(30),
};
/// How much is allowed while many places guess at one account.
const PRESSED: Measure = Measure {
    free_failures: 1,
    first_delay: Duration::from_secs(30),
    longest_delay: Duration::from_mins(15),
};
/// So many failures of places that have just begun press an account.
const PRESSING: u32 = 50;
/// After so long without an attempt the failures are forgotten.
const MEMORY: Duration = Duration::from_mins(15);
/// How many guessers are remembered.
const MAX_GUESSERS: usize = 10_000;
/// Accounts are told apart by so many marks; names that share one are slowed down together, and no number
/// of names makes one forget.
const MARKS: usize = 1_024;

/// Who tries to log in.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Guesser {
    /// Somebody at this address, or network.
    Place(Option<IpAddr>),
    /// Who holds this token, of a login that succeeded.
    Holder(String),
}

/// Failures in a row that cost nothing; the delay after one more; and how far it doubles.
struct Measure {
    free_failures: u32,
    first_delay: Duration,
    longest_delay: Duration,
}

impl Measure {
    /// The wait after so many failures in a row.
    fn delay(&self, in_a_row: u32) -> Duration {
        match in_a_row.checked_sub(self.free_failures) {
            None => Duration::ZERO,
            Some(beyond) => self
                .first_delay
                .saturating_mul(2_u32.saturating_pow(beyond))
                .min(self.longest_delay),
        }
    }
}

/// Counts attempts to log in and delays those after too many failures.
#[derive(Debug)]
pub(super) struct LoginThrottle {
    memory: Mutex<Remembered>,
    marks: RandomState,
}

#[derive(Debug)]
struct Remembered {
    guessers: HashMap<Guesser, Failures>,
    accounts: Vec<Pressure>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    in_a_row: u32,
    last: Timestamp,
    not_before: Timestamp,
}

/// What all places together have tried at an account.
#[derive(Clone, Copy, Debug, Default)]
struct Pressure {
    failures: u32,
    since: Timestamp,
}

impl Default for LoginThrottle {
    fn default() -> Self {
        let accounts = vec![Pressure::default(); MARKS];
        let memory = Mutex::new(Remembered { guessers: HashMap::new(), accounts });
        Self { memory, marks: RandomState::new() }
    }
}

impl LoginThrottle {
    /// Begins an attempt at the account `name`, which is a failure until
    /// [`succeeded`](Self::succeeded) is called: so that of many attempts at once none slips through.
    ///
    /// # Errors
    ///
    /// How long to wait, if this attempt comes too early. It then counts for nothing.
    pub(super) fn begin(
        &self,
        guesser: &Guesser,
        name: &str,
        now: Timestamp,
    ) -> Result<(), Duration> {
        let mark = self.mark(name);
        let mut memory = self.memory();
        let Remembered { guessers, accounts } = &mut *memory;
        let in_a_row = match guessers.get(guesser) {
            Some(failures) if now < failures.not_before => {
                return Err(failures.not_before.since(now));
            }
            Some(failures) if now.since(failures.last) < MEMORY => {
                failures.in_a_row.saturating_add(1)
            }
            Some(_) | None => 1,
        };
        let mut measure = &CALM;
        if let (Guesser::Place(_), Some(pressure)) = (guesser, accounts.get_mut(mark)) {
            if now.since(pressure.since) >= MEMORY {
                *pressure = Pressure { failures: 0, since: now };
            }
            if in_a_row <= CALM.free_failures {
                pressure.failures = pressure.failures.saturating_add(1);
            }
            if pressure.failures > PRESSING {
                measure = &PRESSED;
            }
        }
        if guessers.len() >= MAX_GUESSERS && !guessers.contains_key(guesser) {
            make_room(guessers, now);
        }
        let not_before = now.plus(measure.delay(in_a_row));
        guessers.insert(guesser.clone(), Failures { in_a_row, last: now, not_before });
        Ok(())
    }

    /// The attempt that was begun last was right: its guesser's failures are forgotten.
    pub(super) fn succeeded(&self, guesser: &Guesser, name: &str) {
        let mark = self.mark(name);
        let mut memory = self.memory();
        let Remembered { guessers, accounts } = &mut *memory;
        let failures = guessers.remove(guesser).map_or(0, |failures| failures.in_a_row);
        if let (Guesser::Place(_), Some(pressure)) = (guesser, accounts.get_mut(mark)) {
            pressure.failures = pressure.failures.saturating_sub(failures.min(CALM.free_failures));
        }
    }

    fn mark(&self, name: &str) -> usize {
        let marks = u64::try_from(MARKS).unwrap_or(u64::MAX);
        usize::try_from(self.marks.hash_one(name) % marks).unwrap_or_default()
    }

    fn memory(&self) -> MutexGuard<'_, Remembered> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets what is out of date, and if that is not enough, who has failed least; of several the one whose
/// last attempt is the longest ago.
fn make_room(guessers: &mut HashMap<Guesser, Failures>, now: Timestamp) {
    guessers.retain(|_, failures| now.since(failures.last) < MEMORY);
    if guessers.len() >= MAX_GUESSERS {
        let least = guessers.iter().min_by_key(|(_, failures)| (failures.in_a_row, failures.last));
        if let Some(guesser) = least.map(|(guesser, _)| guesser.clone()) {
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

    fn place(number: u32) -> Guesser {
        Guesser::Place(Some(std::net::Ipv4Addr::from_bits(number).into()))
    }

    #[test]
    fn the_delay_doubles_after_the_free_failures_up_to_a_bound() {
        let delays = |measure: &Measure, last| -> Vec<u64> {
            (1..=last).map(|n| measure.delay(n).as_secs()).collect()
        };
        assert_eq!(delays(&CALM, 12), [0, 0, 0, 0, 1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(delays(&PRESSED, 7), [30, 60, 120, 240, 480, 900, 900]);
        assert_eq!(CALM.delay(u32::MAX), CALM.longest_delay);
    }

    #[test]
    fn who_comes_too_early_is_told_how_long_to_wait() {
        let throttle = LoginThrottle::default();
        for n in 0..5 {
            assert_eq!(throttle.begin(&place(1), "admin", at(n)), Ok(()), "attempt {n}");
        }
        let begin = |millis| throttle.begin(&place(1), "admin", at(millis));
        assert_eq!(begin(4), Err(Duration::from_secs(1)));
        assert_eq!(begin(1_003), Err(Duration::from_millis(1)));
        assert_eq!(begin(1_004), Ok(()), "refusals did not count");
        assert_eq!(begin(1_005), Err(Duration::from_millis(1_999)));
        let other_name = throttle.begin(&place(1), "other", at(1_005));
        assert_eq!(other_name, Err(Duration::from_millis(1_999)), "another name is no way round");
        assert_eq!(throttle.begin(&place(2), "admin", at(1_005)), Ok(()), "another place");
        let holder = Guesser::Holder("signature".to_owned());
        assert_eq!(throttle.begin(&holder, "admin", at(1_005)), Ok(()), "who was in before");
    }

    #[test]
    fn success_and_time_clear() {
        let throttle = LoginThrottle::default();
        for _ in 0..2 {
            for n in 0..5 {
                assert_eq!(throttle.begin(&place(1), "admin", at(n)), Ok(()));
            }
            throttle.succeeded(&place(1), "admin");
        }
        for n in 0..5 {
            assert_eq!(throttle.begin(&place(1), "admin", at(n)), Ok(()));
        }
        let much_later = at(0).plus(MEMORY).plus(Duration::from_secs(1));
        for _ in 0..5 {
            assert_eq!(throttle.begin(&place(1), "admin", much_later), Ok(()));
        }
    }

    #[test]
    fn many_places_are_slower_each_and_no_new_one_is_kept_out() {
        let throttle = LoginThrottle::default();
        for n in 0..1_000 {
            assert_eq!(throttle.begin(&place(n), "admin", at(0)), Ok(()), "place {n}, first");
        }
        let again = throttle.begin(&place(999), "admin", at(1));
        assert_eq!(again, Err(Duration::from_millis(29_999)), "its second attempt has to wait");
        // The operator, from where nobody has tried yet.
        assert_eq!(throttle.begin(&place(5_000), "admin", at(1)), Ok(()));
        throttle.succeeded(&place(5_000), "admin");
        assert_eq!(throttle.begin(&place(5_000), "admin", at(2)), Ok(()));
        // And with an old token even from where somebody guesses.
        let holder = Guesser::Holder("signature".to_owned());
        for _ in 0..5 {
            assert_eq!(throttle.begin(&holder, "admin", at(2)), Ok(()));
        }
        let later = at(2).plus(MEMORY);
        for _ in 0..5 {
            assert_eq!(throttle.begin(&place(1), "admin", later), Ok(()), "calm again");
        }
    }

    #[test]
    fn logging_in_often_presses_nobody() {
        let throttle = LoginThrottle::default();
        for n in 0..1_000 {
            assert_eq!(throttle.begin(&place(n % 7), "admin", at(n.into())), Ok(()));
            throttle.succeeded(&place(n % 7), "admin");
        }
        let memory = throttle.memory();
        assert!(memory.guessers.is_empty());
        assert!(memory.accounts.iter().all(|pressure| pressure.failures == 0));
    }

    #[test]
    fn ten_thousand_names_or_places_wash_nothing_away() {
        let throttle = LoginThrottle::default();
        let now = || at(0);
        for _ in 0..5 {
            throttle.begin(&place(0), "admin", now()).unwrap();
        }
        for n in 0..20_000 {
            let refused = throttle.begin(&place(0), &format!("name-{n}"), now());
            assert_eq!(refused, Err(Duration::from_secs(1)), "name {n}");
        }
        let others = u32::try_from(MAX_GUESSERS).unwrap() + 10;
        for n in 1..=others {
            throttle.begin(&place(n), &format!("name-{n}"), at(n.into())).unwrap();
        }
        assert_eq!(throttle.memory().guessers.len(), MAX_GUESSERS);
        assert_eq!(throttle.begin(&place(0), "admin", now()), Err(Duration::from_secs(1)));
        throttle.begin(&place(others + 1), "admin", now().plus(MEMORY * 2)).unwrap();
        assert_eq!(throttle.memory().guessers.len(), 1, "what was out of date went");
    }
}
