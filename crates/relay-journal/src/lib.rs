//! A small durable log: what must not be lost is kept here until the place where it belongs is back.
//!
//! An entry is bytes; this crate does not know of what. It is kept when [`Journal::keep`] returns: written
//! and synced to the disk (`fdatasync`), many at once if many come at once. It stays until it is
//! [forgotten](Journal::forget), also over a crash and a restart. Forgetting is written and not synced, so
//! after a power failure an entry may come up once more: whoever delivers entries must be able to do so
//! twice.
//!
//! The file is a header and checksummed frames. A torn tail, which a crash within a write leaves, is cut
//! off when the journal is opened: nobody was told that it was kept. A frame that is damaged is passed over and
//! costs no other one; a copy of the file is then kept aside and the file written anew, and [`Journal::damage`]
//! tells of it. When nothing is left to keep, the file is cut back to its header.
//!
//! A disk that is full when the journal is opened keeps nobody from it: what the files say is read, and what there
//! is no room for is left as it was until there is.

mod checksum;
mod frame;
mod reading;
mod writer;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

pub use crate::reading::Damage;
use crate::writer::{Found, LogFile, Order, run};

/// Why an entry was not kept.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be written.
    #[error("the journal's file cannot be used: {0}")]
    File(Arc<std::io::Error>),
    /// The file, or its folder, cannot be opened.
    #[error("{path} cannot be opened to read and write: {cause}")]
    Unusable {
        /// Which.
        path: String,
        /// Why.
        cause: Arc<std::io::Error>,
    },
    /// Every place for a journal in the folder is in use by other processes.
    #[error("every journal in the folder is in use by another process")]
    InUse,
    /// The file is not a journal, or one of a later version.
    #[error(
        "{0} is not a journal of this version of Relay: start the version that wrote it on this folder, which delivers what it keeps, or move the file away if it is none"
    )]
    Foreign(String),
    /// The entry is larger than a mebibyte.
    #[error("the entry is too large for the journal")]
    TooLarge,
    /// The journal's thread has ended.
    #[error("the journal is closed")]
    Closed,
}

impl From<std::io::Error> for JournalError {
    fn from(cause: std::io::Error) -> Self {
        Self::File(Arc::new(cause))
    }
}

/// Names an entry as long as it is kept.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EntryId(u64);

/// What is kept at this moment.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    entries: BTreeMap<u64, Arc<[u8]>>,
    bytes: u64,
}

impl Kept {
    fn insert(&mut self, id: u64, entry: Arc<[u8]>) {
        self.bytes += frame::size_of_entry(&entry);
        if let Some(old) = self.entries.insert(id, entry) {
            self.bytes -= frame::size_of_entry(&old);
        }
    }

    fn remove(&mut self, id: u64) {
        if let Some(old) = self.entries.remove(&id) {
            self.bytes -= frame::size_of_entry(&old);
        }
    }
}

/// A journal that is open. Its thread ends when it is dropped.
#[derive(Debug)]
pub struct Journal {
    kept: Arc<Mutex<Kept>>,
    next: AtomicU64,
    orders: Sender<Order>,
    most_bytes: u64,
    damage: Damage,
}

impl Journal {
    /// Opens the journal in `folder`, which has room for about `most_bytes` of entries. What an earlier
    /// process left is kept on; so is what other processes left that shared the folder and are gone.
    ///
    /// # Errors
    ///
    /// [`JournalError`] if there is no file to be had that can be written to.
    pub fn open(folder: &Path, most_bytes: u64) -> Result<Self, JournalError> {
        let (file, Found { kept, damage }) = LogFile::open_in(folder)?;
        let next = kept.entries.last_key_value().map_or(0, |(last, _)| last + 1);
        let kept = Arc::new(Mutex::new(kept));
        let (orders, taken) = channel();
        let shared = Arc::clone(&kept);
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || run(file, &shared, &taken))?;
        Ok(Self { kept, next: AtomicU64::new(next), orders, most_bytes, damage })
    }

    /// What could not be read when it was opened.
    pub fn damage(&self) -> &Damage {
        &self.damage
    }

    /// Whether there is room. Without it nothing new should be begun that may need the journal; what is
    /// under way is still kept.
    pub fn has_room(&self) -> bool {
        self.lock().bytes < self.most_bytes
    }

    /// How many entries are kept.
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.lock().entries.is_empty()
    }

    /// The oldest entries, at most `most`.
    pub fn oldest(&self, most: usize) -> Vec<(EntryId, Arc<[u8]>)> {
        let kept = self.lock();
        let oldest = kept.entries.iter().take(most);
        oldest.map(|(id, entry)| (EntryId(*id), Arc::clone(entry))).collect()
    }

    /// Keeps an entry. When this returns, it is on the disk.
    ///
    /// # Errors
    ///
    /// [`JournalError`] if it is not.
    pub async fn keep(&self, entry: &[u8]) -> Result<EntryId, JournalError> {
        if frame::MOST_BYTES < entry.len() {
            return Err(JournalError::TooLarge);
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (done, told) = oneshot::channel();
        let order = Order::Keep { id, entry: Arc::from(entry), done };
        self.orders.send(order).map_err(|_| JournalError::Closed)?;
        told.await.map_err(|_| JournalError::Closed)??;
        Ok(EntryId(id))
    }

    /// Forgets an entry that has been delivered.
    pub fn forget(&self, id: EntryId) {
        self.lock().remove(id.0);
        // If the thread is gone the entry comes up again at the next start, which is allowed.
        self.orders.send(Order::Forget { id: id.0 }).ok();
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
