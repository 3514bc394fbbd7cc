//! What can go wrong here, and as what a caller of the ports sees it.

use std::path::PathBuf;
use std::sync::Arc;

use relay_store::StoreError;
use rusqlite::ErrorCode;

/// The causes behind a [`StoreError`] of this store.
#[derive(Debug, thiserror::Error)]
pub enum SqliteError {
    /// `SQLite`'s own word.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// `SQLite`'s own word about a commit that several callers waited for.
    #[error("a commit failed")]
    Commit(#[source] Arc<SqliteError>),
    /// A stored value has no form.
    #[error("a value cannot be written as JSON")]
    Unwritable(#[from] serde_json::Error),
    /// A file beside the database cannot be used.
    #[error("{} cannot be used", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// A later version of Relay has written the file.
    #[error(
        "the database has schema {found}; this version of Relay knows {known}: use a later one"
    )]
    NewerSchema {
        /// The schema in the file.
        found: u32,
        /// The newest schema that this version knows.
        known: u32,
    },
    /// Two processes would count the same limits apart.
    #[error("{} is served by another process ({owner}): stop it first", path.display())]
    InUse {
        /// The database.
        path: PathBuf,
        /// The other process, as it named itself.
        owner: String,
    },
    /// The store was opened for administration, which admits no requests.
    #[error("the store was not opened for serving requests")]
    NotServing,
    /// Nothing can be written at present, for a reason that may pass.
    #[error("the database takes no writes")]
    Stalled,
    /// The store is closing.
    #[error("the store is closed")]
    Closed,
}

impl SqliteError {
    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sqlite(cause) => cause.sqlite_error_code(),
            Self::Commit(cause) => cause.code(),
            Self::Unwritable(_)
            | Self::File { .. }
            | Self::NewerSchema { .. }
            | Self::InUse { .. }
            | Self::NotServing
            | Self::Stalled
            | Self::Closed => None,
        }
    }

    /// Whether it passes by itself or by an operator's hand, so that trying again is worth it.
    pub(crate) fn may_pass(&self) -> bool {
        let passes = [
            ErrorCode::DatabaseBusy,
            ErrorCode::DatabaseLocked,
            ErrorCode::CannotOpen,
            ErrorCode::DiskFull,
            ErrorCode::SystemIoFailure,
            ErrorCode::ReadOnly,
            ErrorCode::OutOfMemory,
        ];
        matches!(self, Self::Closed | Self::Stalled)
            || self.code().is_some_and(|code| passes.contains(&code))
    }
}

impl From<SqliteError> for StoreError {
    fn from(error: SqliteError) -> Self {
        if error.may_pass() {
            return Self::Unavailable(Box::new(error));
        }
        match error.code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupt { what: "the database".to_owned(), why: error.to_string() }
            }
            _ => Self::Refused(Box::new(error)),
        }
    }
}

/// Something stored that cannot be read as what it should be.
pub(crate) fn corrupt(what: impl Into<String>, why: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt { what: what.into(), why: why.to_string() }
}

/// Whether a row was refused because its name is taken.
pub(crate) fn is_taken(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
    error.sqlite_error().is_some_and(|error| {
        [SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE].contains(&error.extended_code)
    })
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn what_may_pass_is_not_a_refusal() {
        let cases = [
            (ffi::SQLITE_BUSY, true),
            (ffi::SQLITE_BUSY_SNAPSHOT, true),
            (ffi::SQLITE_LOCKED, true),
            (ffi::SQLITE_CANTOPEN, true),
            (ffi::SQLITE_FULL, true),
            (ffi::SQLITE_IOERR, true),
            (ffi::SQLITE_IOERR_FSYNC, true),
            (ffi::SQLITE_READONLY, true),
            (ffi::SQLITE_NOMEM, true),
            (ffi::SQLITE_CONSTRAINT, false),
            (ffi::SQLITE_ERROR, false),
            (ffi::SQLITE_CORRUPT, false),
        ];
        for (code, passes) in cases {
            let cause = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let commit = SqliteError::Commit(Arc::new(SqliteError::Sqlite(cause)));
            let seen = StoreError::from(commit);
            assert_eq!(matches!(seen, StoreError::Unavailable(_)), passes, "{code}: {seen:?}");
        }
    }
}
