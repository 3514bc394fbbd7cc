//! The operator's login.

use async_trait::async_trait;
use relay_store::{AdminCredentials, AdminRepository, PasswordHash, StoreError};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::error::SqliteError;
use crate::store::SqliteStore;
use crate::stored::{millis, moment};

#[async_trait]
impl AdminRepository for SqliteStore {
    async fn credentials(&self) -> Result<Option<AdminCredentials>, StoreError> {
        self.core().queue.run(|connection| Ok(read(connection)?)).await
    }

    async fn initialise(&self, credentials: &AdminCredentials) -> Result<bool, StoreError> {
        self.write("INSERT INTO", "ON CONFLICT DO NOTHING", credentials.clone()).await
    }

    async fn replace(&self, credentials: &AdminCredentials) -> Result<(), StoreError> {
        self.write("REPLACE INTO", "", credentials.clone()).await.map(drop)
    }
}

impl SqliteStore {
    async fn write(
        &self,
        verb: &'static str,
        conflict: &'static str,
        credentials: AdminCredentials,
    ) -> Result<bool, StoreError> {
        let write = move |connection: &mut Connection| {
            let sql = format!(
                "{verb} admin (one, username, password_hash, session_epoch, created_at, updated_at)
                 VALUES (1, ?1, ?2, ?3, ?4, ?5) {conflict}"
            );
            let columns = params![
                credentials.username,
                credentials.password_hash.as_stored(),
                i64::try_from(credentials.session_epoch).unwrap_or(i64::MAX),
                millis(credentials.created_at),
                millis(credentials.updated_at),
            ];
            let written = connection.execute(&sql, columns).map_err(SqliteError::from)?;
            Ok(0 < written)
        };
        self.core().queue.run(write).await
    }
}

fn read(connection: &Connection) -> Result<Option<AdminCredentials>, SqliteError> {
    let mut read = connection.prepare_cached(
        "SELECT username, password_hash, session_epoch, created_at, updated_at FROM admin",
    )?;
    let credentials = read.query_row([], |row| {
        Ok(AdminCredentials {
            username: row.get(0)?,
            password_hash: PasswordHash::new(row.get(1)?),
            session_epoch: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
            created_at: moment(row.get(3)?),
            updated_at: moment(row.get(4)?),
        })
    });
    Ok(credentials.optional()?)
}
