//! Whether what a row is to name is there, within the transaction that writes it.

use rusqlite::Connection;

use crate::error::SqliteError;

/// Whether a table has a row with this id.
pub(crate) fn is_there(
    connection: &Connection,
    table: &'static str,
    id: &str,
) -> Result<bool, SqliteError> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE id = ?1)");
    let mut read = connection.prepare_cached(&sql)?;
    Ok(read.query_row([id], |row| row.get(0))?)
}
