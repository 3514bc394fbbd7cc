//! Where requests wait that are one too many: in line, bounded, each key in a line of its own.
//!
//! Only the first of a line asks to be let in. So requests of one key keep their order, and keys share what
//! becomes free evenly, however long their lines are. The first is woken when something may have become
//! free in this process, and looks by itself now and then, because other instances do not ring.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use relay_domain::KeyId;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// How often the first of a line looks by itself.
const LOOKS_EVERY: Duration = Duration::from_millis(250);

/// The lines of one process.
#[derive(Debug, Default)]
pub(crate) struct WaitRoom {
    lines: Mutex<HashMap<KeyId, VecDeque<Arc<Notify>>>>,
    /// How many wait in all, so that the usual case costs no lock.
    waiting: AtomicUsize,
}

/// A place in a line; dropping it leaves.
#[derive(Debug)]
pub(crate) struct Place {
    room: Arc<WaitRoom>,
    key: KeyId,
    bell: Arc<Notify>,
}

impl WaitRoom {
    /// Whether requests of `key` wait: whoever comes now waits behind them.
    pub(crate) fn has_line(&self, key: &KeyId) -> bool {
        self.waiting() > 0 && self.lines().contains_key(key)
    }

    /// How many wait, in all lines.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Takes the last place in the line of `key`, unless `most` wait there already.
    pub(crate) fn enter(self: &Arc<Self>, key: &KeyId, most: u32) -> Option<Place> {
        let mut lines = self.lines();
        let waiting = lines.get(key).map_or(0, VecDeque::len);
        if usize::try_from(most).is_ok_and(|most| most <= waiting) {
            return None;
        }
        let bell = Arc::new(Notify::new());
        lines.entry(key.clone()).or_default().push_back(Arc::clone(&bell));
        self.waiting.fetch_add(1, Ordering::AcqRel);
        Some(Place { room: Arc::clone(self), key: key.clone(), bell })
    }

    /// Something of `key` may have become free.
    pub(crate) fn wake(&self, key: &KeyId) {
        if self.waiting() > 0
            && let Some(first) = self.lines().get(key).and_then(VecDeque::front)
        {
            first.notify_one();
        }
    }

    /// Something may have become free for anybody.
    pub(crate) fn wake_all(&self) {
        if self.waiting() > 0 {
            for first in self.lines().values().filter_map(VecDeque::front) {
                first.notify_one();
            }
        }
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<KeyId, VecDeque<Arc<Notify>>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits until it is worth asking: it is the first, and something may have become free. `false`: it is
    /// `deadline`.
    pub(crate) async fn turn(&self, deadline: Instant) -> bool {
        loop {
            let now = Instant::now();
            if deadline <= now {
                return false;
            }
            let looks = if self.is_first() { (now + LOOKS_EVERY).min(deadline) } else { deadline };
            tokio::select! {
                () = self.bell.notified() => {}
                () = sleep_until(looks) => {}
            }
            if self.is_first() && Instant::now() < deadline {
                return true;
            }
        }
    }

    fn is_first(&self) -> bool {
        let lines = self.room.lines();
        let first = lines.get(&self.key).and_then(VecDeque::front);
        first.is_some_and(|first| Arc::ptr_eq(first, &self.bell))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lines = self.room.lines();
        let Some(line) = lines.get_mut(&self.key) else { return };
        line.retain(|bell| !Arc::ptr_eq(bell, &self.bell));
        self.room.waiting.fetch_sub(1, Ordering::AcqRel);
        match line.front() {
            // There may be more than one place free.
            Some(next) => next.notify_one(),
            None => {
                lines.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str) -> KeyId {
        KeyId::try_from(id).unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_mins(1)
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_is_bounded_and_keeps_its_order() {
        let room = Arc::new(WaitRoom::default());
        let first = room.enter(&key("k"), 2).unwrap();
        let second = room.enter(&key("k"), 2).unwrap();
        assert!(room.enter(&key("k"), 2).is_none(), "full");
        assert!(room.enter(&key("other"), 2).is_some(), "another key has a line of its own");
        room.wake(&key("k"));
        assert!(first.turn(soon()).await);
        let early = tokio::time::timeout(Duration::from_secs(5), second.turn(soon())).await;
        assert!(early.is_err(), "nobody passes the first");
        drop(first);
        assert!(second.turn(soon()).await, "the next moves up at once");
        drop(second);
        assert!(!room.has_line(&key("k")));
        assert!(room.lines().is_empty(), "empty lines are not kept");
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_looks_by_itself_and_a_deadline_ends_it() {
        let room = Arc::new(WaitRoom::default());
        let first = room.enter(&key("k"), 9).unwrap();
        let second = room.enter(&key("k"), 9).unwrap();
        let began = Instant::now();
        assert!(first.turn(soon()).await);
        assert_eq!(began.elapsed(), LOOKS_EVERY);
        let deadline = Instant::now() + Duration::from_secs(2);
        assert!(!second.turn(deadline).await);
        assert_eq!(Instant::now(), deadline);
        assert!(!first.turn(deadline).await, "it has passed");
    }

    #[tokio::test(start_paused = true)]
    async fn everyone_who_is_first_hears_of_a_free_account() {
        let room = Arc::new(WaitRoom::default());
        let places = ["a", "b"].map(|id| room.enter(&key(id), 9).unwrap());
        room.wake_all();
        for place in &places {
            let began = Instant::now();
            assert!(place.turn(soon()).await);
            assert_eq!(began.elapsed(), Duration::ZERO);
        }
    }
}
