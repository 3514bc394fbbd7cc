//! What an operator does: API keys, groups, accounts, tokens, the login. The same for the admin REST and the command
//! line, with the server running or not.
//!
//! Nothing here tells a running engine of a change: it learns of it from the store's versions, on every
//! instance alike.

mod account_groups;
mod accounts;
pub(crate) mod audit;
pub(crate) mod error;
mod fresh_id;
mod groups;
mod idempotent;
mod keys;
mod limits;
mod login;
pub mod reprice;
mod sealing;
mod snapshot;
mod standing;
mod tokens;
pub mod transfer;

use std::sync::Arc;

use relay_crypto::{ApiKeyMinter, CryptoError, KeyHasher, Keyring};
use relay_store::Stores;
use tokio::sync::Semaphore;

use crate::Clock;

pub use account_groups::{AccountGroupEdit, NewAccountGroup};
pub use accounts::{AccountChange, NewAccount, NewProxy, NewProxyAuth, ProxyChange};
pub use error::OperatorError;
pub use groups::{GroupEdit, NewGroup};
pub use keys::{BULK_AT_ONCE, KeyEdit, KeyPreview, KeyStanding, LONGEST_GRACE, NewKey};
pub use login::{MIN_PASSWORD_CHARS, NotedLogin, TakenOver};
pub use sealing::UnreadableAccount;
pub use standing::Spending;
pub use tokens::{NewToken, TOKEN_PREFIX, actor_of_token};

/// How often a change is decided anew because another one came first.
const ATTEMPTS: usize = 8;

/// How much heavy work goes on at once. Each password hash takes 19 MiB, and whoever may try to log in
/// must not be able to fill the machine with them.
const HEAVY_AT_ONCE: usize = 2;

/// What an [`Operator`] works with.
pub struct OperatorParts {
    /// Where everything is kept.
    pub stores: Stores,
    /// Seals accounts' credentials.
    pub keyring: Keyring,
    /// Mints API keys.
    pub minter: ApiKeyMinter,
    /// Digests them.
    pub hasher: KeyHasher,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// What an operator does.
pub struct Operator {
    stores: Stores,
    keyring: Arc<Keyring>,
    minter: ApiKeyMinter,
    hasher: KeyHasher,
    clock: Arc<dyn Clock>,
    heavy: Arc<Semaphore>,
}

impl Operator {
    /// An operator of what `parts` hold.
    #[must_use]
    pub fn new(parts: OperatorParts) -> Self {
        let OperatorParts { stores, keyring, minter, hasher, clock } = parts;
        let heavy = Arc::new(Semaphore::new(HEAVY_AT_ONCE));
        Self { stores, keyring: Arc::new(keyring), minter, hasher, clock, heavy }
    }

    /// Runs `work`, which takes tens of milliseconds of CPU, off the threads that serve requests.
    async fn heavy<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, CryptoError> + Send + 'static,
    ) -> Result<T, OperatorError> {
        // Nobody closes the semaphore. The permit goes along, so that work whose caller has left counts.
        let permit = Arc::clone(&self.heavy).acquire_owned().await.ok();
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        Ok(done.await??)
    }
}

/// Whether a text that an operator gave fits: not blank and at most `max_chars` characters.
fn check_name(
    field: &'static str,
    text: &str,
    max_chars: usize,
    why: &'static str,
) -> Result<(), OperatorError> {
    let fits = !text.trim().is_empty() && text.chars().count() <= max_chars;
    fits.then_some(()).ok_or(OperatorError::Invalid { field, why })
}

/// Whether a note of an operator's fits into 500 characters.
fn check_description(text: &str) -> Result<(), OperatorError> {
    let why = "must have at most 500 characters";
    let fits = text.chars().count() <= 500;
    fits.then_some(()).ok_or(OperatorError::Invalid { field: "description", why })
}

#[cfg(test)]
mod fixture;
