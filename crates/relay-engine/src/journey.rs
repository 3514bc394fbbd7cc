//! The order of things: authenticate, read, admit, deliver.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Response};
use relay_crypto::random_u128;
use relay_domain::{Platform, RequestId, Timestamp, names_model};
use relay_protocol::anthropic::{RequestScan, scan_request};

use crate::admission::in_time;
use crate::core::Core;
use crate::directory::KnownKey;
use crate::disconnect::{Departure, Lingering};
use crate::stream::RelayBody;
use crate::upstream::Upstream;
use crate::upstream_url::Endpoint;
use crate::{Engine, EngineError, Relaying, WaitSign};

/// Relay, for one runtime: the engine that all share, and upstream connections of its own.
#[derive(Clone)]
pub struct Relay {
    pub(crate) core: Arc<Core>,
    pub(crate) upstream: Arc<Upstream>,
}

/// A client whose key was recognised.
pub struct Caller(pub(crate) KnownKey);

/// A client's request, read.
pub struct Incoming<'a> {
    /// What it wants.
    pub endpoint: Endpoint,
    /// Its id.
    pub id: RequestId,
    /// When it arrived, for durations.
    pub arrived: Instant,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its query, without the question mark.
    pub query: Option<&'a str>,
    /// Its body.
    pub body: &'a Bytes,
    /// Put up while it waits in a queue, if whoever serves it wants to know.
    pub waits: Option<&'a WaitSign>,
    /// For an answer that may outlast its client, see [`Relay::outlast`].
    pub departure: Option<&'a Departure>,
}

impl Caller {
    /// Whether requests of this key may have to wait in a queue before they are let in.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        self.0.key.queue.is_some()
    }
}

/// What every attempt on a request needs.
pub(crate) struct Call<'a> {
    pub(crate) endpoint: Endpoint,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) query: Option<&'a str>,
    pub(crate) body: &'a Bytes,
    pub(crate) scan: &'a RequestScan,
}

impl Relay {
    /// Relay for the runtime that this is called on.
    #[must_use]
    pub fn new(engine: &Engine) -> Self {
        let core = Arc::clone(engine.core());
        let upstream = Arc::new(Upstream::new(Arc::clone(&core.config)));
        Self { core, upstream }
    }

    /// A new id for a request that has just arrived.
    #[must_use]
    pub fn request_id(&self) -> RequestId {
        RequestId::new(self.core.clock.now(), random_u128())
    }

    /// After so much silence a client gets a sign of life.
    #[must_use]
    pub fn keep_alive(&self) -> Duration {
        self.core.config.keep_alive
    }

    /// `relaying`, which goes on without its client if that leaves while an upstream is at work on it whose
    /// answers are drained. `departure` is that of its [`Incoming`].
    #[must_use]
    pub fn outlast<E: Send + 'static>(
        &self,
        relaying: Relaying<E>,
        departure: Departure,
    ) -> Relaying<E> {
        Box::pin(Lingering::new(Arc::clone(&self.core), departure, relaying))
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.core.clock.now()
    }

    /// Recognises the first of the presented texts that is an API key. Clients may present several:
    /// some carry a stale one in one of two headers.
    ///
    /// # Errors
    ///
    /// [`EngineError::MissingKey`], [`EngineError::UnknownKey`], or the store's.
    pub async fn authenticate(
        &self,
        presented: impl Iterator<Item = &str>,
    ) -> Result<Caller, EngineError> {
        let mut any = false;
        let patience = self.core.config.admission_timeout;
        for text in presented {
            any = true;
            let known = in_time(patience, self.core.directory.find_key(text)).await?;
            // A secret that was replaced is good for a while, whatever the snapshot remembers.
            if let Some(known) = known.filter(|known| known.has_secret(self.core.clock.now())) {
                return Ok(Caller(known));
            }
        }
        Err(if any { EngineError::UnknownKey } else { EngineError::MissingKey })
    }

    /// The models that the presented key may use, by name: what its accounts say they serve, or every
    /// Claude model with a price if one of them serves all.
    ///
    /// # Errors
    ///
    /// Those of [`authenticate`](Self::authenticate), and [`EngineError::Key`] if the key may not be used.
    pub async fn models(
        &self,
        presented: impl Iterator<Item = &str>,
    ) -> Result<Vec<String>, EngineError> {
        let caller = self.authenticate(presented).await?;
        let key = self.catch_up(caller).await?.key;
        let now = self.core.clock.now();
        // No model has this name, so that all else about the key is checked.
        key.check(Platform::ClaudeConsole, "", now)?;
        let binding = key.binding(Platform::ClaudeConsole);
        let mut names = BTreeSet::new();
        for entry in &self.core.directory.roster().entries {
            let account = &entry.account;
            if !entry.is_open_to(binding)
                || account.platform != Platform::ClaudeConsole
                || !account.is_active
            {
                continue;
            }
            if account.models.pairs().is_empty() {
                let book = self.core.prices.book();
                let priced = book.models().map(|(name, _)| name);
                names.extend(priced.filter(|name| name.starts_with("claude-")).map(str::to_owned));
            }
            let restricted = key.restricted_models.in_force();
            let allowed = account.models.pairs().iter().filter(|(name, upstream)| {
                !names_model(restricted, if upstream.is_empty() { name } else { upstream })
            });
            names.extend(allowed.map(|(name, _)| name.clone()));
        }
        names.retain(|name| key.check(Platform::ClaudeConsole, name, now).is_ok());
        Ok(names.into_iter().collect())
    }

    /// Relays a request: the answer of the first account that gives one.
    ///
    /// # Errors
    ///
    /// Every [`EngineError`] but those of [`authenticate`](Self::authenticate), before anything reached
    /// the client.
    pub async fn relay(
        &self,
        caller: Caller,
        incoming: &Incoming<'_>,
    ) -> Result<Response<RelayBody>, EngineError> {
        let scan = scan_request(incoming.body)?;
        if !scan.has_messages {
            return Err(EngineError::NoMessages);
        }
        let call = Call {
            endpoint: incoming.endpoint,
            headers: incoming.headers,
            query: incoming.query,
            body: incoming.body,
            scan: &scan,
        };
        let (flight, preference) = match incoming.endpoint {
            Endpoint::Messages => self.admit(caller, incoming, &scan).await?,
            Endpoint::CountTokens => self.wave_through(caller, incoming, &scan).await?,
        };
        self.deliver(flight, preference, &call, incoming).await
    }
}
