//! Documents of settings.

use async_trait::async_trait;
use relay_store::{SettingsChange, SettingsName, SettingsRepository, StoreError};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::error::SqliteError;
use crate::store::SqliteStore;

#[async_trait]
impl SettingsRepository for SqliteStore {
    async fn read(&self, name: SettingsName) -> Result<Option<String>, StoreError> {
        let read = move |connection: &mut Connection| Ok(read(connection, name)?);
        self.core().queue.run(read).await
    }

    async fn replace(&self, change: &SettingsChange) -> Result<bool, StoreError> {
        let change = change.clone();
        let write = move |connection: &mut Connection| Ok(replace(connection, &change)?);
        self.core().queue.run(write).await
    }
}

fn read(connection: &Connection, name: SettingsName) -> Result<Option<String>, SqliteError> {
    let mut read = connection.prepare_cached("SELECT document FROM settings WHERE name = ?1")?;
    Ok(read.query_row([name.as_str()], |row| row.get(0)).optional()?)
}

fn replace(connection: &Connection, change: &SettingsChange) -> Result<bool, SqliteError> {
    let SettingsChange { name, expected, next } = change;
    let n_changed = match expected {
        None => connection.execute(
            "INSERT INTO settings (name, document) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            params![name.as_str(), next],
        )?,
        Some(expected) => connection.execute(
            "UPDATE settings SET document = ?2 WHERE name = ?1 AND document = ?3",
            params![name.as_str(), next, expected],
        )?,
    };
    Ok(0 < n_changed)
}
