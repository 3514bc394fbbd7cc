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
    /// Whether its name and its header are on the disk, and nothing is behind its end. Before, nothing is kept.
    is_begun: bool,
    /// Files of processes that are gone, whose entries are kept and are not in this file yet, or are in both.
    inherited: Vec<Self>,
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
    } else if file.end > TIDY_ABOVE.max(kept.bytes.saturating_mul(2)) || !file.inherited.is_empty()
    {
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
        std::fs::create_dir_all(folder).map_err(unusable(folder))?;
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
            let Some((left, abandoned)) = Self::open(path)? else { continue };
            own.inherit(left, &abandoned.kept, &mut found.kept);
            found.damage.merge(abandoned.damage);
        }
        ours.ok_or(JournalError::InUse)
    }

    /// Opens one file, unless another process has it. One that is damaged is written anew, if a copy of it
    /// can be kept aside; otherwise it stays as it is, and what is new goes behind the damage.
    fn open(path: PathBuf) -> Result<Option<(Self, Found)>, JournalError> {
        let open = private().create(true).truncate(false).open(&path);
        let mut file = open.map_err(unusable(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(cause)) => return Err(unusable(&path)(cause)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(unusable(&path))?;
        let Some(reading) = read(&bytes) else {
            return Err(JournalError::Foreign(path.display().to_string()));
        };
        let mut found = Found { kept: reading.kept, damage: reading.damage };
        let end = length(reading.end);
        let mut log = Self { file, path, end, is_begun: false, inherited: Vec::new() };
        if 0 < found.damage.places {
            found.damage.aside.extend(log.mend(&bytes, &found.kept));
        }
        if !log.is_begun {
            // Should this fail, it is tried again before anything is written.
            log.begin().ok();
        }
        Ok(Some((log, found)))
    }

    /// Writes it anew, without its damage. Returns where a copy is of the `bytes` that it was. `None`: one of both
    /// cannot be; then there is no copy, and it is as it was.
    fn mend(&mut self, bytes: &[u8], kept: &Kept) -> Option<PathBuf> {
        let copy = self.keep_aside(bytes).ok()?;
        if self.rewrite(kept).is_ok() {
            return Some(copy);
        }
        // Every start would make another.
        std::fs::remove_file(copy).ok();
        None
    }

    /// Keeps a copy of what a damaged file was, for whoever wants to know what was in it.
    fn keep_aside(&self, bytes: &[u8]) -> Result<PathBuf, JournalError> {
        let named = |number| self.path.with_extension(format!("damaged-{number}"));
        let mut free = (1..=MOST_ASIDE).map(named).filter(|path| !path.exists());
        let path = free.next().ok_or(JournalError::InUse)?;
        let unfinished = self.path.with_extension("damaged-new");
        let file = write_new(&unfinished, bytes).map(drop);
        file.and_then(|()| Ok(std::fs::rename(&unfinished, &path)?)).inspect_err(|_| {
            std::fs::remove_file(&unfinished).ok();
        })?;
        // Whoever writes the file anew makes all names in its folder durable.
        Ok(path)
    }

    /// Makes it ready to be written to: whatever a crash has torn is cut off.
    fn begin(&mut self) -> Result<(), JournalError> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&HEADER)?;
        self.file.set_len(self.end)?;
        self.file.sync_all()?;
        sync_folder(&self.path)?;
        self.is_begun = true;
        Ok(())
    }

    /// Takes over the entries of a file that another process has left, under ids of this one. As long as they
    /// cannot be written here, they stay there.
    fn inherit(&mut self, left: Self, abandoned: &Kept, kept: &mut Kept) {
        let mut bytes = Vec::new();
        let first = kept.entries.last_key_value().map_or(0, |(last, _)| last + 1);
        for (id, entry) in (first..).zip(abandoned.entries.values()) {
            Frame::Keep { id, entry }.write(&mut bytes);
            kept.insert(id, Arc::clone(entry));
        }
        self.inherited.push(left);
        if bytes.is_empty() || self.append(&bytes, true).is_ok() {
            self.disinherit();
        }
    }

    /// What the inherited files keep is in this one, or is kept no more.
    fn disinherit(&mut self) {
        // One that cannot be cleared yet stays ours. At worst its entries come up again, which is allowed.
        self.inherited.retain_mut(|left| left.clear().is_err());
    }

    /// Writes whole frames behind the last one. What a failure leaves of them is cut off.
    fn append(&mut self, bytes: &[u8], sync: bool) -> Result<(), JournalError> {
        if !self.is_begun {
            self.begin()?;
        }
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

    /// Cuts it back to its header, and those that were inherited.
    fn clear(&mut self) -> Result<(), JournalError> {
        if self.end > length(HEADER.len()) {
            self.file.set_len(length(HEADER.len()))?;
            self.end = length(HEADER.len());
        }
        self.disinherit();
        Ok(())
    }

    /// Replaces it by one that holds only what is kept, all that was inherited included.
    fn rewrite(&mut self, kept: &Kept) -> Result<(), JournalError> {
        let mut bytes = HEADER.to_vec();
        for (id, entry) in &kept.entries {
            Frame::Keep { id: *id, entry }.write(&mut bytes);
        }
        let path = self.path.with_extension("new");
        let replace = write_new(&path, &bytes).and_then(|file| {
            std::fs::rename(&path, &self.path)?;
            Ok(file)
        });
        self.file = replace.inspect_err(|_| {
            std::fs::remove_file(&path).ok();
        })?;
        self.end = length(bytes.len());
        // The name is this file's from now on; where that is not on the disk yet, nothing is written before it is.
        self.is_begun = sync_folder(&self.path).is_ok();
        if self.is_begun {
            self.disinherit();
        }
        Ok(())
    }
}

/// A synced file that holds `bytes`, and is locked before anybody sees it under the name that it gets.
fn write_new(path: &Path, bytes: &[u8]) -> Result<File, JournalError> {
    let mut file = private().create(true).truncate(true).open(path)?;
    file.lock()?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(file)
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

/// Says which file or folder cannot be used.
fn unusable(path: &Path) -> impl Fn(std::io::Error) -> JournalError {
    let path = path.display().to_string();
    move |cause| JournalError::Unusable { path: path.clone(), cause: Arc::new(cause) }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(entries: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (id, entry) in (0..).zip(entries) {
            Frame::Keep { id, entry }.write(&mut bytes);
        }
        bytes
    }

    /// A new file to which nothing can be written.
    fn stuck(path: &Path) -> LogFile {
        let (mut log, _) = LogFile::open(path.to_owned()).unwrap().unwrap();
        log.file.set_len(0).unwrap();
        log.file = File::open(path).unwrap();
        log.is_begun = false;
        log
    }

    fn entries(path: &Path) -> Vec<Vec<u8>> {
        let reading = read(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(reading.damage, Damage::default());
        reading.kept.entries.values().map(|entry| entry.to_vec()).collect()
    }

    #[test]
    fn a_file_for_which_there_was_no_room_is_begun_when_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.log");
        let mut log = stuck(&path);
        assert!(log.append(&frames(&[b"first"]), true).is_err());
        assert!(std::fs::read(&path).unwrap().is_empty());
        log.file = private().open(&path).unwrap();
        log.append(&frames(&[b"first"]), true).unwrap();
        assert_eq!(entries(&path), [b"first"]);
    }

    #[test]
    fn what_is_inherited_stays_where_it_is_until_there_is_room_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.log");
        let of_another = folder.path().join("journal-2.log");
        let left: Vec<u8> = [&HEADER[..], &frames(&[b"his", b"his too"])].concat();
        std::fs::write(&of_another, &left).unwrap();
        let mut own = stuck(&path);
        let mut kept = Kept::default();
        let (file, found) = LogFile::open(of_another.clone()).unwrap().unwrap();
        own.inherit(file, &found.kept, &mut kept);
        assert_eq!(kept.entries.len(), 2, "they are delivered all the same");
        assert_eq!(std::fs::read(&of_another).unwrap(), left);
        assert!(LogFile::open(of_another.clone()).unwrap().is_none(), "nobody else delivers them");

        let kept = Mutex::new(kept);
        work(&mut own, &kept, &mut vec![Order::Forget { id: 9 }]);
        assert_eq!(entries(&path), [&b"his"[..], b"his too"]);
        assert_eq!(std::fs::read(&of_another).unwrap(), HEADER);
        assert!(LogFile::open(of_another).unwrap().is_some());
    }
}
