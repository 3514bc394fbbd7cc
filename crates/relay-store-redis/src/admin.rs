//! The operator's login, under the name and in the form of v2.

use std::sync::Arc;

use async_trait::async_trait;
use redis::Pipeline;
use relay_domain::Timestamp;
use relay_store::{AdminCredentials, AdminRepository, PasswordHash, StoreError};
use serde::{Deserialize, Serialize};

use crate::connection;
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
    async fn set(
        &self,
        credentials: &AdminCredentials,
        condition: Option<&str>,
    ) -> Result<bool, StoreError> {
        let form = CredentialsForm {
            username: credentials.username.clone(),
            password_hash: credentials.password_hash.as_stored().to_owned(),
            created_at: credentials.created_at,
            updated_at: credentials.updated_at,
            session_epoch: credentials.session_epoch,
        };
        let json =
            serde_json::to_string(&form).map_err(|error| StoreError::Refused(Box::new(error)))?;
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("SET").arg(self.shared.keyspace.admin_credentials()).arg(json).arg(condition);
        let answer = self.shared.pool.send(&pipeline).await?.pop();
        connection::read(answer.unwrap_or_default(), "SET")
    }
}

#[async_trait]
impl AdminRepository for RedisAdmin {
    async fn credentials(&self) -> Result<Option<AdminCredentials>, StoreError> {
        let name = self.shared.keyspace.admin_credentials();
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("GET").arg(name);
        let answer = self.shared.pool.send(&pipeline).await?.pop();
        let json: Option<String> = connection::read(answer.unwrap_or_default(), "GET")?;
        let Some(json) = json else { return Ok(None) };
        let form: CredentialsForm = serde_json::from_str(&json).map_err(|error| {
            // The position is told, never the content.
            let why = format!("line {}, column {}", error.line(), error.column());
            StoreError::Corrupt { what: name.to_owned(), why }
        })?;
        Ok(Some(AdminCredentials {
            username: form.username,
            password_hash: PasswordHash::new(form.password_hash),
            session_epoch: form.session_epoch,
            created_at: form.created_at,
            updated_at: form.updated_at,
        }))
    }

    async fn initialise(&self, credentials: &AdminCredentials) -> Result<bool, StoreError> {
        self.set(credentials, Some("NX")).await
    }

    async fn replace(&self, credentials: &AdminCredentials) -> Result<(), StoreError> {
        self.set(credentials, None).await.map(|_| ())
    }
}
