//! The journal's thread and its file: writes in groups, syncs once for each, and keeps the file small.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::frame::{Frame, HEADER};
use crate::reading::{Damage, read};
use crate::{JournalError, Kept};

/// Processes that may share a folder.
const PLACES: u32 = 16;
/// Orders taken in one go.
const GROUP: usize = 1_024;
/// A file that is larger than this, and than twice what it keeps, is written anew.
const TIDY_ABOVE: u64 = 1 << 20;
/// Copies of damaged files that are kept of one name.
pub(crate) const MOST_ASIDE: u32 = 8;

/// What the thread is asked to do.
#[derive(Debug)]
pub(crate) enum Order {
    Keep { id: u64, entry: Arc<[u8]>, done: oneshot::Sender<Result<(), JournalError>> },
    Forget { id: u64 },
}

/// An open file, locked for this process.
#[derive(Debug)]
pub(crate) struct LogFile {
    file: File,
    path: PathBuf,
    /// Where the next frame goes: behind all that is not torn.
    end: u64,
}

/// What is found when files are opened.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) kept: Kept,
    pub(crate) damage: Damage,
}

/// Does what it is asked until nobody can ask any more.
pub(crate) fn run(mut file: LogFile, kept: &Mutex<Kept>, orders: &Receiver<Order>) {
    let mut group = Vec::new();
    while let Ok(first) = orders.recv() {
        group.push(first);
        group.extend(orders.try_iter().take(GROUP - 1));
        work(&mut file, kept, &mut group);
    }
}

/// Writes one group.
fn work(file: &mut LogFile, kept: &Mutex<Kept>, group: &mut Vec<Order>) {
    let mut bytes = Vec::new();
    let mut keeps = false;
    for order in group.iter() {
        match order {
            Order::Keep { id, entry, .. } => {
                Frame::Keep { id: *id, entry }.write(&mut bytes);
                keeps = true;
            }
            Order::Forget { id } => Frame::Forget { id: *id }.write(&mut bytes),
        }
    }
    let written = file.append(&bytes, keeps);
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let mut waiting = Vec::new();
    for order in group.drain(..) {
        match order {
            Order::Keep { id, entry, done } => {
                if written.is_ok() {
                    kept.insert(id, entry);
                }
                waiting.push((done, written.clone()));
            }
            // It was taken out when it was forgotten.
            Order::Forget { .. } => {}
        }
    }
    // A failure here costs room, no entry: the file says what it said before.
    if kept.entries.is_empty() {
        file.clear().ok();
    } else if file.end > TIDY_ABOVE.max(kept.bytes.saturating_mul(2)) {
        file.rewrite(&kept).ok();
    }
    drop(kept);
    for (done, result) in waiting {
        // Whoever asked may have left.
        done.send(result).ok();
    }
}

impl LogFile {
    /// Opens the first file in `folder` that no other process has, with what it keeps. Takes over what is
    /// left in the files of processes that are gone.
    pub(crate) fn open_in(folder: &Path) -> Result<(Self, Found), JournalError> {
        std::fs::create_dir_all(folder)?;
        let mut ours: Option<(Self, Found)> = None;
        for place in 1..=PLACES {
            let path = folder.join(name(place));
            let Some((own, found)) = &mut ours else {
                ours = Self::open(path)?;
                continue;
            };
            if !path.exists() {
                continue;
            }
            let Some((mut left, abandoned)) = Self::open(path)? else { continue };
            own.adopt(&abandoned.kept, &mut found.kept)?;
            left.clear()?;
            found.damage.merge(abandoned.damage);
        }
        ours.ok_or(JournalError::InUse)
    }

    /// Opens one file, unless another process has it. One that is damaged is written anew, if a copy of it
    /// can be kept aside; otherwise it stays as it is, and what is new goes behind the damage.
    fn open(path: PathBuf) -> Result<Option<(Self, Found)>, JournalError> {
        let mut file = private().create(true).truncate(false).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(cause)) => return Err(cause.into()),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let Some(reading) = read(&bytes) else {
            return Err(JournalError::Foreign(path.display().to_string()));
        };
        let mut found = Found { kept: reading.kept, damage: reading.damage };
        let mut log = Self { file, path, end: length(reading.end) };
        let aside = (0 < found.damage.places).then(|| log.keep_aside(&bytes));
        if let Some(Ok(copy)) = aside {
            found.damage.aside.push(copy);
            log.rewrite(&found.kept)?;
            return Ok(Some((log, found)));
        }
        if !bytes.starts_with(&HEADER) {
            log.file.seek(SeekFrom::Start(0))?;
            log.file.write_all(&HEADER)?;
        }
        log.file.set_len(log.end)?;
        log.file.sync_all()?;
        sync_folder(&log.path)?;
        Ok(Some((log, found)))
    }

    /// Keeps a copy of what a damaged file was, for whoever wants to know what was in it.
    fn keep_aside(&self, bytes: &[u8]) -> Result<PathBuf, JournalError> {
        let mut taken = None;
        for number in 1..=MOST_ASIDE {
            let path = self.path.with_extension(format!("damaged-{number}"));
            match private().create_new(true).open(&path) {
                Ok(mut file) => {
                    file.write_all(bytes)?;
                    file.sync_all()?;
                    sync_folder(&path)?;
                    return Ok(path);
                }
                Err(cause) => taken = Some(cause),
            }
        }
        Err(taken.map_or(JournalError::InUse, Into::into))
    }

    /// Appends the entries of another journal, under ids of this one.
    fn adopt(&mut self, abandoned: &Kept, kept: &mut Kept) -> Result<(), JournalError> {
        let mut bytes = Vec::new();
        let first = kept.entries.last_key_value().map_or(0, |(last, _)| last + 1);
        for (id, entry) in (first..).zip(abandoned.entries.values()) {
            Frame::Keep { id, entry }.write(&mut bytes);
            kept.insert(id, Arc::clone(entry));
        }
        self.append(&bytes, !bytes.is_empty())
    }

    /// Writes whole frames behind the last one. What a failure leaves of them is cut off.
    fn append(&mut self, bytes: &[u8], sync: bool) -> Result<(), JournalError> {
        let write = |file: &mut File, end| {
            file.seek(SeekFrom::Start(end))?;
            file.write_all(bytes)?;
            if sync { file.sync_data() } else { Ok(()) }
        };
        match write(&mut self.file, self.end) {
            Ok(()) => {
                self.end += length(bytes.len());
                Ok(())
            }
            Err(cause) => {
                // Should this fail as well, the next write begins at the same place.
                self.file.set_len(self.end).ok();
                Err(cause.into())
            }
        }
    }

    /// Cuts it back to its header.
    fn clear(&mut self) -> Result<(), JournalError> {
        if self.end > length(HEADER.len()) {
            self.file.set_len(length(HEADER.len()))?;
            self.end = length(HEADER.len());
        }
        Ok(())
    }

    /// Replaces it by one that holds only what is kept.
    fn rewrite(&mut self, kept: &Kept) -> Result<(), JournalError> {
        let mut bytes = HEADER.to_vec();
        for (id, entry) in &kept.entries {
            Frame::Keep { id: *id, entry }.write(&mut bytes);
        }
        let path = self.path.with_extension("new");
        let mut file = private().create(true).truncate(true).open(&path)?;
        // Before it has the name, so that nobody else ever sees it free.
        file.lock()?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&path, &self.path)?;
        sync_folder(&self.path)?;
        self.file = file;
        self.end = length(bytes.len());
        Ok(())
    }
}

/// Opens files that are for the owner of the process alone: whose requests they were is told in them.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn name(place: u32) -> String {
    if place == 1 { "journal.log".to_owned() } else { format!("journal-{place}.log") }
}

/// Makes a new name durable.
fn sync_folder(path: &Path) -> Result<(), JournalError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok(File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?)
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
