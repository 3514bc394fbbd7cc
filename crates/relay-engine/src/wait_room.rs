//! Where requests wait that are one too many: in halls, one for whatever they wait for together.
//!
//! A hall has a line for each key. Only one request of a hall asks at a time: the first of the line whose
//! turn it is. Once it is in, its line goes behind the others, so keys share what becomes free evenly,
//! however long their lines are, and requests of one key keep their order. A line that is kept out by its
//! key's own limit lets the next line ask meanwhile.
//!
//! Whose turn it is gets woken when something may have become free in this process, and looks by itself now
//! and then, because other instances do not ring.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use relay_domain::{AccountId, KeyId, LimitScope};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// How often one whose turn it may be looks by itself.
const LOOKS_EVERY: Duration = Duration::from_millis(250);

/// What the requests of a hall wait for.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Hall {
    /// One of the requests at once that a key or a group may have.
    Slots(LimitScope),
    /// An account that is not busy.
    Accounts,
}

/// What kept a request out that goes on waiting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Obstacle {
    /// It has not asked yet.
    Unknown,
    /// Something that need not keep out the other keys of its hall.
    ItsOwn,
    /// What the whole hall waits for.
    Shared,
}

/// The halls of one process.
#[derive(Debug, Default)]
pub(crate) struct WaitRoom {
    halls: Mutex<HashMap<Hall, VecDeque<Line>>>,
    /// How many wait in all, so that the usual case costs no lock.
    waiting: AtomicUsize,
}

/// Those of one key, in the order in which they came. Never empty.
#[derive(Debug)]
struct Line {
    key: KeyId,
    waiters: VecDeque<Waiter>,
    /// Whether it lets others ask before it.
    yields: bool,
}

#[derive(Debug)]
struct Waiter {
    bell: Arc<Notify>,
    /// The accounts that were busy, if it waits for one.
    wants: Vec<AccountId>,
}

/// A place in a line; dropping it leaves.
#[derive(Debug)]
pub(crate) struct Place {
    room: Arc<WaitRoom>,
    hall: Hall,
    key: KeyId,
    bell: Arc<Notify>,
}

impl WaitRoom {
    /// Whether somebody waits in `hall`: whoever comes now waits as well.
    pub(crate) fn has_line(&self, hall: &Hall) -> bool {
        self.waiting() > 0 && self.halls().contains_key(hall)
    }

    /// Whether somebody waits for `account` among others.
    pub(crate) fn is_awaited(&self, account: &AccountId) -> bool {
        self.waiting() > 0
            && self.halls().get(&Hall::Accounts).is_some_and(|lines| {
                let mut waiters = lines.iter().flat_map(|line| &line.waiters);
                waiters.any(|waiter| waiter.wants.contains(account))
            })
    }

    /// How many wait, in all halls.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Takes the last place in the line of `key`, unless `most` wait there already.
    pub(crate) fn enter(self: &Arc<Self>, hall: Hall, key: &KeyId, most: u32) -> Option<Place> {
        let mut halls = self.halls();
        let lines = halls.get(&hall);
        let line = lines.and_then(|lines| lines.iter().find(|line| line.key == *key));
        let waiting = line.map_or(0, |line| line.waiters.len());
        if usize::try_from(most).is_ok_and(|most| most <= waiting) {
            return None;
        }
        let bell = Arc::new(Notify::new());
        let waiter = Waiter { bell: Arc::clone(&bell), wants: Vec::new() };
        let lines = halls.entry(hall.clone()).or_default();
        match lines.iter_mut().find(|line| line.key == *key) {
            Some(line) => line.waiters.push_back(waiter),
            None => lines.push_back(Line {
                key: key.clone(),
                waiters: VecDeque::from([waiter]),
                yields: false,
            }),
        }
        self.waiting.fetch_add(1, Ordering::AcqRel);
        Some(Place { room: Arc::clone(self), hall, key: key.clone(), bell })
    }

    /// Something that `key` waits for in `hall` may have become free, for it or for all.
    pub(crate) fn wake(&self, hall: &Hall, key: &KeyId) {
        if self.waiting() > 0
            && let Some(lines) = self.halls().get_mut(hall)
        {
            if let Some(line) = lines.iter_mut().find(|line| line.key == *key) {
                line.yields = false;
            }
            ring_next(lines);
        }
    }

    /// Something that all wait for in `hall` may have become free.
    pub(crate) fn wake_all(&self, hall: &Hall) {
        if self.waiting() > 0
            && let Some(lines) = self.halls().get_mut(hall)
        {
            for line in &mut *lines {
                line.yields = false;
            }
            ring_next(lines);
        }
    }

    fn halls(&self) -> MutexGuard<'_, HashMap<Hall, VecDeque<Line>>> {
        self.halls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose turn it is: the first of the first line that does not yield.
fn next(lines: &VecDeque<Line>) -> Option<&Waiter> {
    lines.iter().find(|line| !line.yields)?.waiters.front()
}

fn ring_next(lines: &VecDeque<Line>) {
    if let Some(waiter) = next(lines) {
        waiter.bell.notify_one();
    }
}

impl Place {
    /// Whether it is in `hall`.
    pub(crate) fn is_in(&self, hall: &Hall) -> bool {
        self.hall == *hall
    }

    /// Notes the accounts that were busy.
    pub(crate) fn wants(&self, accounts: Vec<AccountId>) {
        let mut halls = self.room.halls();
        let lines = halls.entry(self.hall.clone()).or_default();
        let mut waiters = lines.iter_mut().flat_map(|line| &mut line.waiters);
        if let Some(waiter) = waiters.find(|waiter| self.is_of(waiter)) {
            waiter.wants = accounts;
        }
    }

    /// Waits until it is worth asking, after `obstacle` has kept it out: it is its turn, and something may
    /// have become free. `false`: it is `deadline`.
    pub(crate) async fn turn(&self, deadline: Instant, obstacle: Obstacle) -> bool {
        match obstacle {
            Obstacle::Unknown if self.is_next() => return Instant::now() < deadline,
            Obstacle::ItsOwn => self.give_way(),
            Obstacle::Unknown | Obstacle::Shared => {}
        }
        loop {
            let now = Instant::now();
            if deadline <= now {
                return false;
            }
            let looks = if self.looks() { (now + LOOKS_EVERY).min(deadline) } else { deadline };
            let has_rung = tokio::select! {
                () = self.bell.notified() => true,
                () = sleep_until(looks) => false,
            };
            if deadline <= Instant::now() {
                return false;
            }
            // Who was rung had the turn then, whoever has got it since.
            if has_rung || self.takes_turn() {
                return true;
            }
        }
    }

    /// Leaves because it was served: its line goes behind the others.
    pub(crate) fn served(self) {
        let mut halls = self.room.halls();
        if let Some(lines) = halls.get_mut(&self.hall)
            && let Some(index) = lines.iter().position(|line| line.key == self.key)
            && let Some(line) = lines.remove(index)
        {
            lines.push_back(line);
        }
        drop(halls);
    }

    /// Lets the other lines ask, and rings whose turn it is then.
    fn give_way(&self) {
        let mut halls = self.room.halls();
        let Some(lines) = halls.get_mut(&self.hall) else { return };
        if let Some(line) = lines.iter_mut().find(|line| self.is_first_of(line)) {
            line.yields = true;
            ring_next(lines);
        }
    }

    /// Whether it is to look by itself: it is its turn, or would be if its line did not yield.
    fn looks(&self) -> bool {
        let halls = self.room.halls();
        let Some(lines) = halls.get(&self.hall) else { return false };
        next(lines).is_some_and(|next| self.is_of(next))
            || lines.iter().any(|line| line.yields && self.is_first_of(line))
    }

    fn is_next(&self) -> bool {
        let halls = self.room.halls();
        halls.get(&self.hall).and_then(next).is_some_and(|next| self.is_of(next))
    }

    /// Its line yields no longer. Whether it is its turn.
    fn takes_turn(&self) -> bool {
        let mut halls = self.room.halls();
        let Some(lines) = halls.get_mut(&self.hall) else { return false };
        if let Some(line) = lines.iter_mut().find(|line| self.is_first_of(line)) {
            line.yields = false;
        }
        next(lines).is_some_and(|next| self.is_of(next))
    }

    fn is_first_of(&self, line: &Line) -> bool {
        line.waiters.front().is_some_and(|first| self.is_of(first))
    }

    fn is_of(&self, waiter: &Waiter) -> bool {
        Arc::ptr_eq(&waiter.bell, &self.bell)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut halls = self.room.halls();
        let Some(lines) = halls.get_mut(&self.hall) else { return };
        let Some(index) = lines.iter().position(|line| line.key == self.key) else { return };
        let line = &mut lines[index];
        let was_first = self.is_first_of(line);
        line.waiters.retain(|waiter| !self.is_of(waiter));
        self.room.waiting.fetch_sub(1, Ordering::AcqRel);
        if was_first {
            line.yields = false;
        }
        if line.waiters.is_empty() {
            lines.remove(index);
        }
        if lines.is_empty() {
            halls.remove(&self.hall);
        } else if was_first {
            // There may be more than one place free.
            ring_next(lines);
        }
    }
}

#[cfg(test)]
mod tests;
