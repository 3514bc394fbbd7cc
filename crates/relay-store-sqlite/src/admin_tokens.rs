//! Tokens of automation.

use async_trait::async_trait;
use relay_domain::{AdminToken, AdminTokenId, KeyDigest, Timestamp};
use relay_store::{AdminTokenRepository, StoreError};
use rusqlite::{Connection, Row, params};

use crate::error::{SqliteError, corrupt, is_taken};
use crate::store::SqliteStore;
use crate::stored::{millis, moment};

#[async_trait]
impl AdminTokenRepository for SqliteStore {
    async fn create(&self, token: &AdminToken) -> Result<(), StoreError> {
        let token = token.clone();
        self.core().queue.run(move |connection| create(connection, &token)).await
    }

    async fn get(&self, id: &AdminTokenId) -> Result<Option<AdminToken>, StoreError> {
        let id = id.clone();
        let read = move |connection: &mut Connection| {
            Ok(select(connection, "WHERE id = ?1", [id.as_str()])?.into_iter().next())
        };
        self.core().queue.run(read).await
    }

    async fn find_by_digest(&self, digest: &KeyDigest) -> Result<Option<AdminToken>, StoreError> {
        let digest = *digest;
        let read = move |connection: &mut Connection| {
            Ok(select(connection, "WHERE digest = ?1", [digest.as_bytes()])?.into_iter().next())
        };
        self.core().queue.run(read).await
    }

    async fn list(&self) -> Result<Vec<AdminToken>, StoreError> {
        let read =
            |connection: &mut Connection| select(connection, "ORDER BY created_at DESC, id", []);
        self.core().queue.run(read).await
    }

    async fn revoke(&self, id: &AdminTokenId, now: Timestamp) -> Result<bool, StoreError> {
        let id = id.clone();
        let write = move |connection: &mut Connection| {
            let sql = "UPDATE admin_token SET revoked_at = ifnull(revoked_at, ?2) WHERE id = ?1";
            let changed = connection.execute(sql, params![id.as_str(), millis(now)]);
            Ok(0 < changed.map_err(SqliteError::from)?)
        };
        self.core().queue.run(write).await
    }

    async fn touch(&self, id: &AdminTokenId, now: Timestamp) -> Result<(), StoreError> {
        let id = id.clone();
        let write = move |connection: &mut Connection| {
            let sql = "UPDATE admin_token SET last_used_at = max(ifnull(last_used_at, 0), ?2)
                 WHERE id = ?1";
            connection
                .execute(sql, params![id.as_str(), millis(now)])
                .map_err(SqliteError::from)?;
            Ok(())
        };
        self.core().queue.run(write).await
    }
}

fn create(connection: &Connection, token: &AdminToken) -> Result<(), StoreError> {
    let scopes = serde_json::to_string(&token.scopes).map_err(SqliteError::from)?;
    let created = connection.execute(
        "INSERT INTO admin_token (id, digest, name, scopes, created_by, created_at, expires_at,
             last_used_at, revoked_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            token.id.as_str(),
            token.digest.as_bytes(),
            token.name,
            scopes,
            token.created_by,
            millis(token.created_at),
            token.expires_at.map(millis),
            token.last_used_at.map(millis),
            token.revoked_at.map(millis),
        ],
    );
    match created {
        Ok(_) => Ok(()),
        Err(error) if is_taken(&error) => {
            Err(StoreError::Duplicate { what: format!("admin token {}", token.id) })
        }
        Err(error) => Err(SqliteError::from(error).into()),
    }
}

fn select(
    connection: &Connection,
    which: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<AdminToken>, StoreError> {
    let sql = format!(
        "SELECT id, digest, name, scopes, created_by, created_at, expires_at, last_used_at,
             revoked_at
         FROM admin_token {which}"
    );
    let mut read = connection.prepare_cached(&sql).map_err(SqliteError::from)?;
    let found = read.query_map(values, columns).map_err(SqliteError::from)?;
    found.map(|row| into_token(row.map_err(SqliteError::from)?)).collect()
}

struct Columns {
    id: String,
    digest: [u8; 32],
    name: String,
    scopes: String,
    created_by: String,
    created_at: i64,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
    revoked_at: Option<i64>,
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok(Columns {
        id: row.get(0)?,
        digest: row.get(1)?,
        name: row.get(2)?,
        scopes: row.get(3)?,
        created_by: row.get(4)?,
        created_at: row.get(5)?,
        expires_at: row.get(6)?,
        last_used_at: row.get(7)?,
        revoked_at: row.get(8)?,
    })
}

fn into_token(columns: Columns) -> Result<AdminToken, StoreError> {
    let what = || format!("admin token {}", columns.id);
    Ok(AdminToken {
        id: AdminTokenId::try_from(columns.id.as_str()).map_err(|why| corrupt(what(), why))?,
        digest: KeyDigest::new(columns.digest),
        scopes: serde_json::from_str(&columns.scopes).map_err(|why| corrupt(what(), why))?,
        name: columns.name,
        created_by: columns.created_by,
        created_at: moment(columns.created_at),
        expires_at: columns.expires_at.map(moment),
        last_used_at: columns.last_used_at.map(moment),
        revoked_at: columns.revoked_at.map(moment),
    })
}
