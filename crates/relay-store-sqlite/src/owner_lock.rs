//! One process serves on a file. The others may administer it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::error::SqliteError;

/// Held by the process that serves. The operating system takes it back when the process dies, however
/// it dies.
pub(crate) struct OwnerLock {
    file: File,
}

impl OwnerLock {
    /// Takes the lock of a database, or says who has it.
    pub(crate) fn take(database: &Path) -> Result<Self, SqliteError> {
        let path = beside(database, "-owner");
        let failed = |cause| SqliteError::File { path: path.clone(), cause };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                // The name is a courtesy: without it the lock says enough.
                let named = file.read_to_string(&mut owner).is_ok() && !owner.trim().is_empty();
                let owner = if named { owner.trim().to_owned() } else { "unnamed".to_owned() };
                return Err(SqliteError::InUse { path: database.to_owned(), owner });
            }
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "process {}", std::process::id()).map_err(failed)?;
        Ok(Self { file })
    }
}

impl Drop for OwnerLock {
    fn drop(&mut self) {
        // To close the file would not do while a child that is just being started has it open too. If it
        // fails, the end of the process does it.
        self.file.unlock().ok();
    }
}

/// The file of this ending beside a database.
pub(crate) fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
