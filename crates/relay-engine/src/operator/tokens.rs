//! Tokens of automation: making, recognising and ending them.

use std::time::Duration;

use relay_crypto::generate_secret;
use relay_domain::{Actor, ActorKind, AdminToken, AdminTokenId, KeyDigest, Timestamp, TokenScope};
use secrecy::{ExposeSecret as _, SecretString};

use super::audit::Change;
use super::{Operator, OperatorError, check_name, fresh_id, snapshot};

/// What a token begins with, by which it is told from a session's.
pub const TOKEN_PREFIX: &str = "rat_";
/// How much chance a token holds, in bytes.
const TOKEN_BYTES: usize = 32;
/// Uses that follow each other closer than this are noted once.
const USE_NOTED_EVERY: Duration = Duration::from_mins(1);

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Its name, 1 to 100 characters.
    pub name: String,
    /// What it may do: at least one thing.
    pub scopes: Vec<TokenScope>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

impl Operator {
    /// Makes a token. It is returned here and never again: only its digest is kept.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Invalid`] with the first field that is wrong, or the store's.
    pub async fn mint_token(
        &self,
        actor: &Actor,
        new: NewToken,
    ) -> Result<(AdminToken, SecretString), OperatorError> {
        let now = self.clock.now();
        check_name("name", &new.name, 100, "must have 1 to 100 characters")?;
        if new.scopes.is_empty() {
            return Err(OperatorError::Invalid { field: "scopes", why: "must name at least one" });
        }
        if new.expires_at.is_some_and(|end| end <= now) {
            return Err(OperatorError::Invalid {
                field: "expiresAt",
                why: "must lie in the future",
            });
        }
        let secret = generate_secret(TOKEN_BYTES);
        let secret = SecretString::from(format!("{TOKEN_PREFIX}{}", secret.expose_secret()));
        let mut scopes = new.scopes;
        scopes.sort_unstable();
        scopes.dedup();
        let token = AdminToken {
            id: fresh_id::token_id(),
            name: new.name,
            digest: self.digest_of_token(&secret),
            scopes,
            created_by: actor.name.clone(),
            created_at: now,
            expires_at: new.expires_at,
            last_used_at: None,
            revoked_at: None,
        };
        self.stores.admin_tokens.create(&token).await?;
        let (id, after) = (token.id.to_string(), Some(snapshot::token(&token)));
        let change = Change { action: "token.create", kind: "token", id, before: None, after };
        self.note(actor, change).await;
        Ok((token, secret))
    }

    /// Every token, the newest first.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn tokens(&self) -> Result<Vec<AdminToken>, OperatorError> {
        Ok(self.stores.admin_tokens.list().await?)
    }

    /// Ends a token for good, from the next request on. One that has ended stays so.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NotFound`], or the store's.
    pub async fn revoke_token(
        &self,
        actor: &Actor,
        id: &AdminTokenId,
    ) -> Result<AdminToken, OperatorError> {
        let tokens = &self.stores.admin_tokens;
        let absent = || OperatorError::NotFound("Token");
        let old = tokens.get(id).await?.ok_or_else(absent)?;
        if old.revoked_at.is_some() {
            return Ok(old);
        }
        let now = self.clock.now();
        if !tokens.revoke(id, now).await? {
            return Err(absent());
        }
        let new = AdminToken { revoked_at: Some(now), ..old.clone() };
        let change = Change {
            action: "token.revoke",
            kind: "token",
            id: id.to_string(),
            before: Some(snapshot::token(&old)),
            after: Some(snapshot::token(&new)),
        };
        self.note(actor, change).await;
        Ok(new)
    }

    /// The token that `presented` is, if it is a good one.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn authenticate_token(
        &self,
        presented: &SecretString,
    ) -> Result<Option<AdminToken>, OperatorError> {
        if !presented.expose_secret().starts_with(TOKEN_PREFIX) {
            return Ok(None);
        }
        let found = self.find_token(presented.expose_secret()).await?;
        let now = self.clock.now();
        let Some(token) = found.filter(|token| token.is_good(now)) else { return Ok(None) };
        let is_noted = token.last_used_at.is_some_and(|last| now.since(last) < USE_NOTED_EVERY);
        if !is_noted && let Err(error) = self.stores.admin_tokens.touch(&token.id, now).await {
            // Whoever may only read a store that takes no writes now is let in all the same.
            tracing::warn!(%error, token.id = %token.id, "the use of a token was not noted");
        }
        Ok(Some(token))
    }

    /// A token that was brought along from elsewhere was digested with another key.
    async fn find_token(&self, presented: &str) -> Result<Option<AdminToken>, OperatorError> {
        let digests = std::iter::once(self.hasher.digest(presented));
        for digest in digests.chain(self.hasher.former(presented)) {
            let found = self.stores.admin_tokens.find_by_digest(&KeyDigest::new(digest)).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn digest_of_token(&self, token: &SecretString) -> KeyDigest {
        KeyDigest::new(self.hasher.digest(token.expose_secret()))
    }
}

/// Who acts with a token.
#[must_use]
pub fn actor_of_token(token: &AdminToken) -> Actor {
    Actor { kind: ActorKind::Token, ..Actor::admin(token.id.to_string()) }
}

#[cfg(test)]
mod tests;
