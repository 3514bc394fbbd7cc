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

    async fn predecessor(&self) -> Result<Option<AdminCredentials>, StoreError> {
        // v1 and v2 know no embedded store.
        Ok(None)
    }

    async fn initialise(&self, credentials: &AdminCredentials) -> Result<bool, StoreError> {
        let first = credentials.clone();
        let write = move |connection: &mut Connection| {
            let sql = "INSERT INTO admin
                    (one, username, password_hash, session_epoch, created_at, updated_at)
                 VALUES (1, ?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
            let columns = params![
                first.username,
                first.password_hash.as_stored(),
                epoch(&first),
                millis(first.created_at),
                millis(first.updated_at),
            ];
            Ok(0 < connection.execute(sql, columns).map_err(SqliteError::from)?)
        };
        self.core().queue.run(write).await
    }

    async fn replace(
        &self,
        expected: &AdminCredentials,
        next: &AdminCredentials,
    ) -> Result<bool, StoreError> {
        let (expected, next) = (expected.clone(), next.clone());
        let write = move |connection: &mut Connection| {
            let sql = "UPDATE admin SET username = ?1, password_hash = ?2, session_epoch = ?3,
                    created_at = ?4, updated_at = ?5
                 WHERE password_hash = ?6 AND session_epoch = ?7";
            let columns = params![
                next.username,
                next.password_hash.as_stored(),
                epoch(&next),
                millis(next.created_at),
                millis(next.updated_at),
                expected.password_hash.as_stored(),
                epoch(&expected),
            ];
            Ok(0 < connection.execute(sql, columns).map_err(SqliteError::from)?)
        };
        self.core().queue.run(write).await
    }
}

fn epoch(credentials: &AdminCredentials) -> i64 {
    i64::try_from(credentials.session_epoch).unwrap_or(i64::MAX)
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
