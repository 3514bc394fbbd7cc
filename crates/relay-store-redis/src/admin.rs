//! The operator's login, under the name and in the form of v2.

use std::sync::Arc;

use async_trait::async_trait;
use redis::Pipeline;
use relay_domain::Timestamp;
use relay_store::{AdminCredentials, AdminRepository, PasswordHash, StoreError};
use serde::{Deserialize, Serialize};

use crate::connection;
use crate::fault;
use crate::guarded_write::{ATTEMPTS, GuardedWrite};
use crate::scan;
use crate::shared::Shared;

/// The operator's login.
pub(crate) struct RedisAdmin {
    pub(crate) shared: Arc<Shared>,
}

/// v2's JSON, with the epoch of sessions, which v2 does not know.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct CredentialsForm {
    username: String,
    password_hash: String,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(default)]
    session_epoch: u64,
}

impl RedisAdmin {
    async fn read(&self) -> Result<Option<String>, StoreError> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("GET").arg(self.shared.keyspace.admin_credentials());
        let answer = self.shared.pool.send(&pipeline).await?.pop();
        connection::read(answer.unwrap_or_default(), "GET")
    }

    fn parse(&self, json: &str) -> Result<AdminCredentials, StoreError> {
        let form: CredentialsForm = serde_json::from_str(json).map_err(|error| {
            // The position is told, never the content.
            let why = format!("line {}, column {}", error.line(), error.column());
            let what = self.shared.keyspace.admin_credentials().to_owned();
            StoreError::Corrupt { what, why }
        })?;
        Ok(AdminCredentials {
            username: form.username,
            password_hash: PasswordHash::new(form.password_hash),
            session_epoch: form.session_epoch,
            created_at: form.created_at,
            updated_at: form.updated_at,
        })
    }
}

#[async_trait]
impl AdminRepository for RedisAdmin {
    async fn credentials(&self) -> Result<Option<AdminCredentials>, StoreError> {
        self.read().await?.map(|json| self.parse(&json)).transpose()
    }

    async fn predecessor(&self) -> Result<Option<AdminCredentials>, StoreError> {
        let name = self.shared.keyspace.v1_admin_credentials().to_owned();
        let hash = scan::read_all(&self.shared.pool, &[name]).await?.pop().unwrap_or_default();
        let (Some(username), Some(password_hash)) =
            (hash.text("username"), hash.text("passwordHash"))
        else {
            return Ok(None);
        };
        let created_at = hash.moment("createdAt").unwrap_or_default();
        Ok(Some(AdminCredentials {
            username: username.to_owned(),
            password_hash: PasswordHash::new(password_hash.to_owned()),
            session_epoch: 0,
            created_at,
            updated_at: hash.moment("updatedAt").unwrap_or(created_at),
        }))
    }

    async fn initialise(&self, credentials: &AdminCredentials) -> Result<bool, StoreError> {
        let (name, json) = (self.shared.keyspace.admin_credentials(), write(credentials)?);
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("SET").arg(name).arg(json).arg("NX");
        let answer = self.shared.pool.send(&pipeline).await?.pop();
        connection::read(answer.unwrap_or_default(), "SET")
    }

    async fn replace(
        &self,
        expected: &AdminCredentials,
        next: &AdminCredentials,
    ) -> Result<bool, StoreError> {
        let (name, json) = (self.shared.keyspace.admin_credentials(), write(next)?);
        for _ in 0..ATTEMPTS {
            let Some(as_read) = self.read().await? else { return Ok(false) };
            let current = self.parse(&as_read)?;
            let identity = |login: &AdminCredentials| {
                (login.session_epoch, login.password_hash.as_stored().to_owned())
            };
            if identity(&current) != identity(expected) {
                return Ok(false);
            }
            let mut write = GuardedWrite::default();
            write.if_text_is(name, &as_read);
            write.write("SET", name, [&json]);
            if write.run(&self.shared).await?.is_none() {
                return Ok(true);
            }
        }
        Err(fault::contended(name.to_owned()))
    }
}

fn write(credentials: &AdminCredentials) -> Result<String, StoreError> {
    let form = CredentialsForm {
        username: credentials.username.clone(),
        password_hash: credentials.password_hash.as_stored().to_owned(),
        created_at: credentials.created_at,
        updated_at: credentials.updated_at,
        session_epoch: credentials.session_epoch,
    };
    serde_json::to_string(&form).map_err(|error| StoreError::Refused(Box::new(error)))
}
