//! The journey of a request: admit, rank, forward, commit, stream, settle.
//!
//! The only crate that knows the order of things. It speaks to stores through their ports and to
//! upstreams over HTTP; it knows neither which store there is nor how a client's request came in.

mod account_secrets;
mod admission;
mod attempt;
mod breaker;
mod classify;
mod clock;
mod config;
mod connect_timeout;
mod core;
mod delivery;
mod directory;
mod error;
mod flight;
mod housekeeping;
pub mod inspection;
mod journey;
pub mod operator;
mod retry_budget;
mod roster;
mod stream;
mod unpriced_models;
mod upstream;
mod upstream_url;

use std::sync::Arc;

use relay_crypto::{KeyHasher, Keyring};
use relay_pricing::PriceBook;
use relay_store::Stores;
use tokio_util::task::TaskTracker;

pub use attempt::ReadError;
pub use clock::{Clock, SystemClock};
pub use config::EngineConfig;
pub use error::{EngineError, LONGEST_RETRY_AFTER_S};
pub use journey::{Caller, Incoming, Relay};
pub use stream::{CutOff, RelayBody, StreamBody};
pub use upstream_url::{Endpoint, UpstreamUrl};

use crate::core::Core;
use crate::directory::Directory;

/// What the engine works with.
pub struct EngineParts {
    /// Its settings.
    pub config: EngineConfig,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where everything is kept.
    pub stores: Stores,
    /// Digests presented keys.
    pub hasher: KeyHasher,
    /// Opens accounts' credentials.
    pub keyring: Keyring,
    /// What tokens cost.
    pub prices: Arc<PriceBook>,
    /// Takes what runs beside the requests; shutdown waits for it.
    pub tasks: TaskTracker,
}

/// The engine of a process. Each of its runtimes serves requests with a [`Relay`] of its own.
pub struct Engine {
    core: Arc<Core>,
}

impl Engine {
    /// Reads the accounts and is ready.
    ///
    /// # Errors
    ///
    /// [`EngineError::Store`] if the store fails, [`EngineError::Keyring`] if a key cannot be derived.
    pub async fn start(parts: EngineParts) -> Result<Self, EngineError> {
        let EngineParts { config, clock, stores, hasher, keyring, prices, tasks } = parts;
        keyring.derive()?;
        let directory = Directory::load(stores, hasher, keyring, config.key_prefix.clone()).await?;
        Ok(Self { core: Arc::new(Core::new(config, clock, directory, prices, tasks)) })
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }
}
