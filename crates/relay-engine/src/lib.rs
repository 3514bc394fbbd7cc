//! The journey of a request: admit, rank, forward, commit, stream, settle.
//!
//! The only crate that knows the order of things. It speaks to stores through their ports and to
//! upstreams over HTTP; it knows neither which store there is nor how a client's request came in.

mod account_secrets;
mod address_family;
mod admission;
mod airspace;
pub mod alerts;
mod attempt;
mod breaker;
mod charging;
mod classify;
mod clock;
mod config;
mod connect_timeout;
mod core;
mod decision;
mod delivery;
mod directory;
mod disconnect;
mod error;
mod estimate;
mod events;
#[cfg(test)]
mod fixture;
mod flight;
mod housekeeping;
pub mod inspection;
mod journey;
mod late;
mod meter;
pub mod operator;
mod own_limits;
mod payer;
pub mod prices;
mod rest_policy;
mod retry_budget;
mod roster;
mod self_service;
mod settling;
mod sieved_resolver;
mod stream;
mod unkept;
mod unpriced_models;
mod upload;
mod upstream;
mod upstream_url;
mod vitals;
mod wait_room;
mod waiting;

use std::sync::Arc;

use relay_crypto::{KeyHasher, Keyring};
use relay_journal::Journal;
use relay_store::Stores;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use address_family::ProxyNames;
pub use attempt::ReadError;
pub use clock::{Clock, SystemClock};
pub use config::EngineConfig;
pub use disconnect::{Departure, DrainBounds, StreamHandle};
pub use error::{EngineError, LONGEST_RETRY_AFTER_S};
pub use events::{EventSink, Unheard};
pub use journey::{Caller, Incoming, Relay};
pub use late::{LateBody, Relaying, WaitSign, before_keep_alive};
pub use own_limits::write as write_own_limits;
pub use rest_policy::RestPolicy;
pub use self_service::{KeyOwner, OwnUsage};
pub use stream::{CutOff, RelayBody, StreamBody};
pub use upstream_url::{Endpoint, UpstreamUrl};
pub use vitals::{AccountVitals, Vitals};

use crate::core::{Core, CoreParts};
use crate::directory::Directory;
use crate::prices::Prices;

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
    /// What things cost.
    pub prices: Arc<Prices>,
    /// Takes settlements while the store is away. `None`: they stay in memory.
    pub journal: Option<Journal>,
    /// Hears what an operator should hear of.
    pub events: Arc<dyn EventSink>,
    /// Takes what runs beside the requests; shutdown waits for it.
    pub tasks: TaskTracker,
}

/// The engine of a process. Each of its runtimes serves requests with a [`Relay`] of its own.
pub struct Engine {
    core: Arc<Core>,
}

impl Engine {
    /// Runs `work`, which belongs to no request of a client's, to its end even if nobody waits for it any
    /// more; shutdown does. To be called within a runtime.
    pub fn track<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.core.track(work)
    }

    /// Reads the accounts and is ready.
    ///
    /// # Errors
    ///
    /// [`EngineError::Store`] if the store fails, [`EngineError::Keyring`] if a key cannot be derived.
    pub async fn start(parts: EngineParts) -> Result<Self, EngineError> {
        let EngineParts { config, clock, stores, hasher, keyring, prices, journal, events, tasks } =
            parts;
        keyring.derive()?;
        let directory = Directory::load(stores, hasher, keyring, config.key_prefix.clone()).await?;
        let parts = CoreParts { config, clock, prices, journal, events, tasks };
        Ok(Self { core: Arc::new(Core::new(directory, parts)) })
    }

    /// Returns once no answer is read on for a client that has left. If `cut` is cancelled before, those that
    /// still are end with what is known of them.
    pub async fn drained(&self, cut: &CancellationToken) {
        self.core.drains.ended(cut).await;
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }
}
