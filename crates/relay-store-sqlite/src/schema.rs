//! Opening a connection: its settings, and the schema that it finds or makes.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::error::SqliteError;

/// Every migration, in order. One that has been released is never changed; a change is a new one.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_initial.sql"),
    include_str!("../migrations/0002_limits.sql"),
    include_str!("../migrations/0003_operator.sql"),
    include_str!("../migrations/0004_settings.sql"),
    include_str!("../migrations/0005_statistics.sql"),
    include_str!("../migrations/0006_events.sql"),
    include_str!("../migrations/0007_uncounted.sql"),
    include_str!("../migrations/0008_transfer.sql"),
    include_str!("../migrations/0009_account_groups.sql"),
    include_str!("../migrations/0010_presumed.sql"),
    include_str!("../migrations/0011_audit_facts.sql"),
];

/// How long a connection waits for a lock of another process. The writer knows better, see [`crate::stall`].
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Where a database is.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// In a file.
    File(&'a Path),
    /// In memory, under this name within the process.
    Memory(&'a str),
}

/// Opens the connection that writes, and brings the schema up to date.
///
/// A commit is written to the log of writes ahead and not waited for until it is on the disk
/// (`synchronous = NORMAL`): the death of the process loses nothing that was committed, the death of the
/// machine may lose the last commits before it, and neither leaves half of one.
pub(crate) fn open_writer(place: Place<'_>) -> Result<Connection, SqliteError> {
    let mut connection = open(place)?;
    if let Place::File(_) = place {
        use_write_ahead_log(&connection)?;
    }
    connection.execute_batch(
        "PRAGMA synchronous = NORMAL;
         PRAGMA cache_size = -2000;
         PRAGMA temp_store = MEMORY;
         PRAGMA wal_autocheckpoint = 4000;
         PRAGMA journal_size_limit = 67108864;",
    )?;
    connection.set_prepared_statement_cache_capacity(48);
    migrate(&mut connection, MIGRATIONS)?;
    Ok(connection)
}

/// Opens a connection that only reads.
pub(crate) fn open_reader(place: Place<'_>) -> Result<Connection, SqliteError> {
    let connection = open(place)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -1000;")?;
    Ok(connection)
}

fn open(place: Place<'_>) -> Result<Connection, SqliteError> {
    let connection = match place {
        Place::File(path) => Connection::open(path)?,
        Place::Memory(name) => {
            let flags = OpenFlags::default() | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(format!("file:/{name}?vfs=memdb"), flags)?
        }
    };
    connection.busy_timeout(LOCK_WAIT)?;
    Ok(connection)
}

fn use_write_ahead_log(connection: &Connection) -> Result<(), SqliteError> {
    let mode = |sql| connection.query_row(sql, [], |row| row.get::<_, String>(0));
    // Asking for what is there already takes no lock; of two processes that make the file at once, one
    // may be refused the switch that the other has just made.
    for _ in 0..50 {
        if mode("PRAGMA journal_mode")? == "wal" {
            return Ok(());
        }
        match mode("PRAGMA journal_mode = WAL") {
            Ok(_) => return Ok(()),
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(mode("PRAGMA journal_mode = WAL").map(drop)?)
}

/// Applies the migrations that the database does not have yet, all or none of them.
fn migrate(connection: &mut Connection, migrations: &[&str]) -> Result<(), SqliteError> {
    let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    if schema_of(connection)? == known {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been first while this one waited.
    let found = schema_of(&transaction)?;
    if known < found {
        return Err(SqliteError::NewerSchema { found, known });
    }
    for migration in migrations.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(())
}

fn schema_of(connection: &Connection) -> Result<u32, SqliteError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> Connection {
        Connection::open_in_memory().unwrap()
    }

    #[test]
    fn migrations_are_applied_once_and_in_order() {
        let mut connection = fresh();
        let first = "CREATE TABLE a (n INTEGER); INSERT INTO a VALUES (1);";
        let second = "UPDATE a SET n = n + 10;";
        for (migrations, expected) in
            [(&[first][..], 1), (&[first], 1), (&[first, second], 11), (&[first, second], 11)]
        {
            migrate(&mut connection, migrations).unwrap();
            let found: i64 = connection.query_row("SELECT n FROM a", [], |row| row.get(0)).unwrap();
            assert_eq!(found, expected, "after {} migrations", migrations.len());
        }
    }

    #[test]
    fn a_failed_migration_leaves_nothing() {
        let mut connection = fresh();
        let broken = &["CREATE TABLE a (n INTEGER);", "CREATE TABLE b (n INTEGER); oops"];
        assert!(migrate(&mut connection, broken).is_err());
        assert_eq!(schema_of(&connection).unwrap(), 0);
        migrate(&mut connection, &broken[..1]).unwrap();
    }

    #[test]
    fn a_newer_schema_is_refused() {
        let mut connection = fresh();
        connection.pragma_update(None, "user_version", 99).unwrap();
        let refused = migrate(&mut connection, MIGRATIONS);
        let Err(SqliteError::NewerSchema { found: 99, known }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(usize::try_from(known).unwrap(), MIGRATIONS.len());
        let refused = migrate(&mut connection, &MIGRATIONS[..1]);
        assert!(matches!(refused, Err(SqliteError::NewerSchema { found: 99, known: 1 })));
    }
}
