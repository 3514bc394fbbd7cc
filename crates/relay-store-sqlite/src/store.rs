//! Opening the store.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use relay_domain::Calendar;
use relay_store::{StoreError, Stores};
use rusqlite::Connection;

use crate::batch::read_holds;
use crate::error::SqliteError;
use crate::holds::Holds;
use crate::keys::Listing;
use crate::limit_book::LimitBook;
use crate::limit_rows::read_windows;
use crate::long_reads::LongReads;
use crate::owner_lock::OwnerLock;
use crate::queue::Queue;
use crate::reader::Reader;
use crate::schema::{Place, open_writer};
use crate::windows::Windows;
use crate::writer::write_until_closed;

/// How a store is opened.
#[derive(Clone, Copy, Debug)]
pub struct SqliteOptions {
    /// Whose days, months and hours usage is counted by.
    pub calendar: Calendar,
    /// How many records of requests are kept; the oldest are dropped first, when the ledger is reaped.
    pub record_capacity: usize,
    /// How long records are kept at most.
    pub record_lifetime: Duration,
    /// What for.
    pub access: Access,
}

/// What a store is opened for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// To serve requests: everything. One process at a time.
    Serve,
    /// To administer, also while another process serves: everything but the ledger, of which the serving
    /// process alone knows how it stands. Only its versions are told; the rest is refused.
    Administer,
}

/// A store in one `SQLite` file. Clones are the same store; it is closed with the last of them, and what it
/// was asked to write is then written.
#[derive(Clone)]
pub struct SqliteStore(Arc<Core>);

pub(crate) struct Core {
    pub(crate) queue: Arc<Queue>,
    pub(crate) options: SqliteOptions,
    pub(crate) long_reads: LongReads,
    pub(crate) listing: Listing,
    writer: Option<JoinHandle<()>>,
    reader: Option<Mutex<Reader>>,
    // Dropped after the connections are closed.
    _owner: Option<OwnerLock>,
    _name: Arc<()>,
}

impl SqliteStore {
    /// Opens the store in a file, which is made if there is none, and brings its schema up to date.
    ///
    /// Beside the file there are up to three of the same name with an ending: `-wal` and `-shm` belong to
    /// `SQLite`, `-owner` says which process serves.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if another process serves on the file, or a later version of Relay has
    /// written it (the source says which), or it cannot be written;
    /// [`StoreError::Unavailable`] if it cannot be opened; [`StoreError::Corrupt`] if it is no database.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        make_private(path)?;
        let owner = match options.access {
            Access::Serve => Some(OwnerLock::take(path)?),
            Access::Administer => None,
        };
        Self::start(Place::File(path), options, owner, Arc::default())
    }

    /// Opens an empty store in memory, for tests. It ends with its last clone.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if there is no memory for it.
    pub fn in_memory(options: SqliteOptions) -> Result<Self, StoreError> {
        // While it lives, nothing else has its address.
        let name = Arc::default();
        let place = format!("relay-{:p}", Arc::as_ptr(&name));
        Self::start(Place::Memory(&place), options, None, name)
    }

    /// Every port of the store.
    pub fn stores(&self) -> Stores {
        Stores {
            keys: Arc::new(self.clone()),
            accounts: Arc::new(self.clone()),
            account_groups: Arc::new(self.clone()),
            usage: Arc::new(self.clone()),
            admin: Arc::new(self.clone()),
            groups: Arc::new(self.clone()),
            admin_tokens: Arc::new(self.clone()),
            audit: Arc::new(self.clone()),
            events: Arc::new(self.clone()),
            idempotency: Arc::new(self.clone()),
            settings: Arc::new(self.clone()),
            archive: Arc::new(self.clone()),
            corrections: Arc::new(self.clone()),
            ledger: Arc::new(self.clone()),
        }
    }

    pub(crate) fn core(&self) -> &Core {
        &self.0
    }

    fn start(
        place: Place<'_>,
        options: SqliteOptions,
        owner: Option<OwnerLock>,
        name: Arc<()>,
    ) -> Result<Self, StoreError> {
        let connection = open_writer(place)?;
        let calendar = options.calendar;
        let (reader, holds) = match options.access {
            Access::Serve => {
                (Some(Mutex::new(Reader::open(place)?)), restore_holds(&connection, calendar)?)
            }
            Access::Administer => (None, Holds::new(LimitBook::new(calendar, Windows::default()))),
        };
        let queue = Arc::new(Queue::new(holds));
        let writer = {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name("relay-store".to_owned())
                .spawn(move || write_until_closed(&queue, connection, calendar, options.access))
                .map_err(|cause| StoreError::Unavailable(Box::new(cause)))?
        };
        let core = Core {
            queue,
            options,
            listing: Listing::default(),
            long_reads: LongReads::new(place),
            writer: Some(writer),
            reader,
            _owner: owner,
            _name: name,
        };
        Ok(Self(Arc::new(core)))
    }
}

impl Core {
    /// What an admission reads.
    ///
    /// # Errors
    ///
    /// [`SqliteError::NotServing`] if the store was not opened for it.
    pub(crate) fn reader(&self) -> Result<MutexGuard<'_, Reader>, SqliteError> {
        let reader = self.reader.as_ref().ok_or(SqliteError::NotServing)?;
        Ok(reader.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The queue, for what only the serving process may do.
    ///
    /// # Errors
    ///
    /// [`SqliteError::NotServing`] if the store was not opened for it.
    pub(crate) fn serving(&self) -> Result<&Arc<Queue>, SqliteError> {
        if self.reader.is_some() { Ok(&self.queue) } else { Err(SqliteError::NotServing) }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            // One that panicked has said so.
            writer.join().ok();
        }
    }
}

/// What a process that died had admitted and not settled, and the windows that it had open.
fn restore_holds(connection: &Connection, calendar: Calendar) -> Result<Holds, StoreError> {
    let windows = Windows::new(read_windows(connection)?);
    let mut holds = Holds::new(LimitBook::new(calendar, windows));
    for (request, hold) in read_holds(connection)? {
        holds.restore(request, hold);
    }
    Ok(holds)
}

/// Makes the file, if there is none, so that only its owner can read it: it holds digests and sealed
/// secrets. `SQLite` gives its own files beside it the same permissions.
fn make_private(path: &Path) -> Result<(), SqliteError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(cause) if cause.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(SqliteError::File { path: path.to_owned(), cause })
        }
        Ok(_) | Err(_) => Ok(()),
    }
}
