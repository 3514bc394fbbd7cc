//! Where tokens of automation are kept.

use async_trait::async_trait;
use relay_domain::{AdminToken, AdminTokenId, KeyDigest, Timestamp};

use crate::StoreError;

/// Tokens with which automation uses the admin API. They are few.
///
/// # Errors
///
/// All methods fail with [`StoreError`] when the store does.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AdminTokenRepository: Send + Sync {
    /// Adds a token.
    ///
    /// # Errors
    ///
    /// [`StoreError::Duplicate`] if its id or digest is taken.
    async fn create(&self, token: &AdminToken) -> Result<(), StoreError>;

    /// The token with this id, good or not.
    async fn get(&self, id: &AdminTokenId) -> Result<Option<AdminToken>, StoreError>;

    /// The token with this digest, good or not.
    async fn find_by_digest(&self, digest: &KeyDigest) -> Result<Option<AdminToken>, StoreError>;

    /// Every token, the newest first.
    async fn list(&self) -> Result<Vec<AdminToken>, StoreError>;

    /// Ends a token, unless it was ended before. `false`: there is no such token.
    async fn revoke(&self, id: &AdminTokenId, now: Timestamp) -> Result<bool, StoreError>;

    /// Notes that a token was used. Nothing happens if there is none, or if a later use is noted.
    async fn touch(&self, id: &AdminTokenId, now: Timestamp) -> Result<(), StoreError>;
}
