//! Tokens of automation: a hash of Relay's own by id, each as JSON, and one from digests to ids.

use std::sync::Arc;

use async_trait::async_trait;
use redis::Pipeline;
use relay_domain::{AdminToken, AdminTokenId, KeyDigest, Timestamp, TokenScope};
use relay_store::{AdminTokenRepository, StoreError};
use serde::{Deserialize, Serialize};

use crate::connection;
use crate::fault;
use crate::guarded_write::{ATTEMPTS, GuardedWrite};
use crate::scan;
use crate::shared::Shared;

/// Tokens of automation.
pub(crate) struct RedisAdminTokens {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug, Deserialize, Serialize)]
struct TokenForm {
    name: String,
    digest: String,
    scopes: Vec<TokenScope>,
    created_by: String,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

impl RedisAdminTokens {
    async fn field(&self, name: &str, field: &str) -> Result<Option<String>, StoreError> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("HGET").arg(name).arg(field);
        let answer = self.shared.pool.send(&pipeline).await?.pop();
        connection::read(answer.unwrap_or_default(), "HGET")
    }

    /// Writes what `change` makes of a token. `false`: there is no such token.
    async fn change(
        &self,
        id: &AdminTokenId,
        change: impl Fn(AdminToken) -> AdminToken,
    ) -> Result<bool, StoreError> {
        let name = self.shared.keyspace.admin_tokens();
        for _ in 0..ATTEMPTS {
            let Some(json) = self.field(&name, id.as_str()).await? else { return Ok(false) };
            let old = parse(id.as_str(), &json)?;
            let new = change(old.clone());
            if new == old {
                return Ok(true);
            }
            let mut write = GuardedWrite::default();
            write.if_still(&name, id.as_str(), Some(&json));
            write.write("HSET", &name, [id.to_string(), text(&new)?]);
            if write.run(&self.shared).await?.is_none() {
                return Ok(true);
            }
        }
        Err(fault::contended(format!("admin token {id}")))
    }
}

#[async_trait]
impl AdminTokenRepository for RedisAdminTokens {
    async fn create(&self, token: &AdminToken) -> Result<(), StoreError> {
        let keyspace = &self.shared.keyspace;
        let digest = token.digest.to_hex();
        let mut write = GuardedWrite::default();
        write.if_still(keyspace.admin_tokens(), token.id.as_str(), None);
        write.if_still(keyspace.admin_token_digests(), &digest, None);
        write.write("HSET", keyspace.admin_tokens(), [token.id.to_string(), text(token)?]);
        write.write("HSET", keyspace.admin_token_digests(), [digest, token.id.to_string()]);
        match write.run(&self.shared).await? {
            None => Ok(()),
            Some(_) => Err(StoreError::Duplicate { what: format!("the admin token {}", token.id) }),
        }
    }

    async fn get(&self, id: &AdminTokenId) -> Result<Option<AdminToken>, StoreError> {
        let json = self.field(&self.shared.keyspace.admin_tokens(), id.as_str()).await?;
        json.map(|json| parse(id.as_str(), &json)).transpose()
    }

    async fn find_by_digest(&self, digest: &KeyDigest) -> Result<Option<AdminToken>, StoreError> {
        let digests = self.shared.keyspace.admin_token_digests();
        let Some(id) = self.field(&digests, &digest.to_hex()).await? else { return Ok(None) };
        let json = self.field(&self.shared.keyspace.admin_tokens(), &id).await?;
        json.map(|json| parse(&id, &json)).transpose()
    }

    async fn list(&self) -> Result<Vec<AdminToken>, StoreError> {
        let found = scan::fields(&self.shared.pool, &self.shared.keyspace.admin_tokens()).await?;
        let read = |(id, json): &(String, String)| {
            let token = parse(id, json);
            token.inspect_err(|error| tracing::error!(%error, "a token is passed over")).ok()
        };
        let mut tokens: Vec<_> = found.iter().filter_map(read).collect();
        tokens.sort_by(|a, b| (b.created_at, &a.id).cmp(&(a.created_at, &b.id)));
        tokens.dedup_by(|a, b| a.id == b.id);
        Ok(tokens)
    }

    async fn revoke(&self, id: &AdminTokenId, now: Timestamp) -> Result<bool, StoreError> {
        let revoked =
            |token: AdminToken| AdminToken { revoked_at: token.revoked_at.or(Some(now)), ..token };
        self.change(id, revoked).await
    }

    async fn touch(&self, id: &AdminTokenId, now: Timestamp) -> Result<(), StoreError> {
        let touched = |token: AdminToken| AdminToken {
            last_used_at: token.last_used_at.max(Some(now)),
            ..token
        };
        self.change(id, touched).await.map(drop)
    }
}

fn text(token: &AdminToken) -> Result<String, StoreError> {
    let form = TokenForm {
        name: token.name.clone(),
        digest: token.digest.to_hex(),
        scopes: token.scopes.clone(),
        created_by: token.created_by.clone(),
        created_at: token.created_at,
        expires_at: token.expires_at,
        last_used_at: token.last_used_at,
        revoked_at: token.revoked_at,
    };
    serde_json::to_string(&form).map_err(|error| StoreError::Refused(Box::new(error)))
}

fn parse(id: &str, json: &str) -> Result<AdminToken, StoreError> {
    let corrupt = |why: String| StoreError::Corrupt { what: format!("admin token {id}"), why };
    let form: TokenForm = serde_json::from_str(json).map_err(|error| corrupt(error.to_string()))?;
    Ok(AdminToken {
        id: AdminTokenId::try_from(id).map_err(|error| corrupt(error.to_string()))?,
        name: form.name,
        digest: KeyDigest::from_hex(&form.digest).map_err(|error| corrupt(error.to_string()))?,
        scopes: form.scopes,
        created_by: form.created_by,
        created_at: form.created_at,
        expires_at: form.expires_at,
        last_used_at: form.last_used_at,
        revoked_at: form.revoked_at,
    })
}
