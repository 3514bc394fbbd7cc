//! Where the operator's login is kept.

use async_trait::async_trait;
use relay_domain::Timestamp;

use crate::StoreError;

/// The operator's login. The password is here as a hash only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AdminCredentials {
    /// The name.
    pub username: String,
    /// The password's hash, in any form that `relay-crypto` verifies.
    pub password_hash: PasswordHash,
    /// Sessions carry the epoch in which they began; those of an older one are over.
    pub session_epoch: u64,
    /// When the login was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A password's hash. Prints nothing.
#[derive(Clone, Eq, PartialEq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Wraps a hash.
    #[must_use]
    pub fn new(hash: String) -> Self {
        Self(hash)
    }

    /// The hash, to store or to verify against.
    pub fn as_stored(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// The operator's login.
///
/// # Errors
///
/// All methods fail with [`StoreError`] when the store does.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AdminRepository: Send + Sync {
    /// The login, if there is one yet.
    async fn credentials(&self) -> Result<Option<AdminCredentials>, StoreError>;

    /// The login that a v1 left in its own place, for a store that has none yet. It is what it was when
    /// v1 last started; `None` where v1 keeps nothing.
    async fn predecessor(&self) -> Result<Option<AdminCredentials>, StoreError>;

    /// Writes the first login. `false`: there was one already, and it stays. Of two processes that
    /// start at once, one wins.
    async fn initialise(&self, credentials: &AdminCredentials) -> Result<bool, StoreError>;

    /// Replaces the login by `next` if it still is `expected`, by its password's hash and its epoch of
    /// sessions. `false`: it is not, or there is none, and nothing happened.
    async fn replace(
        &self,
        expected: &AdminCredentials,
        next: &AdminCredentials,
    ) -> Result<bool, StoreError>;
}
