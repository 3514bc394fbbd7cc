//! How the engine is set.

use std::time::Duration;

use relay_domain::OnDisconnect;

use crate::{DrainBounds, ProxyNames, RestPolicy};

/// The engine's settings. Every wait has a bound; no stream has a total one.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// What every API key begins with.
    pub key_prefix: String,
    /// Attempts on one request, each on another account.
    pub max_attempts: usize,
    /// How long connecting to an upstream may take, TLS and proxy included.
    pub connect_timeout: Duration,
    /// How long an upstream may think before the head of its answer.
    pub head_timeout: Duration,
    /// How long an upstream may be silent within its answer.
    pub idle_timeout: Duration,
    /// After so much silence the client gets the protocol's own sign of life.
    pub keep_alive: Duration,
    /// How long a stream's head is held back for its first content, so that a failure stays unseen.
    pub commit_timeout: Duration,
    /// How many bytes are held back for it.
    pub commit_bytes: usize,
    /// How long a request's hold outlives its process.
    pub lease: Duration,
    /// How long a conversation stays bound to its account after its last renewal; zero: not at all.
    pub binding_lifetime: Duration,
    /// A binding with less than this left is renewed by the next request.
    pub binding_renewal: Duration,
    /// How long an idle upstream connection is kept; below what providers allow.
    pub pool_idle_timeout: Duration,
    /// How many idle connections to one upstream a runtime keeps.
    pub pool_max_idle: usize,
    /// Which addresses of a proxy's name are used.
    pub proxy_names: ProxyNames,
    /// How long accounts rest after what.
    pub rests: RestPolicy,
    /// The largest complete (not streamed) answer.
    pub max_answer_bytes: usize,
    /// What becomes of an answer whose client has left, unless its account says that it is drained.
    pub on_disconnect: OnDisconnect,
    /// How much is read for clients that have left.
    pub drain: DrainBounds,
    /// How long the store may take to let a request in, or to recognise a key.
    pub admission_timeout: Duration,
}

impl EngineConfig {
    /// Whether conversations are bound to accounts.
    pub(crate) fn binds(&self) -> bool {
        !self.binding_lifetime.is_zero()
    }
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            key_prefix: "cr_".to_owned(),
            max_attempts: 5,
            connect_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_mins(10),
            idle_timeout: Duration::from_mins(5),
            keep_alive: Duration::from_secs(15),
            commit_timeout: Duration::from_secs(10),
            commit_bytes: 256 * 1024,
            lease: Duration::from_secs(30),
            binding_lifetime: Duration::from_hours(15 * 24),
            binding_renewal: Duration::from_hours(14 * 24),
            pool_idle_timeout: Duration::from_secs(15),
            pool_max_idle: usize::MAX,
            proxy_names: ProxyNames::default(),
            rests: RestPolicy::default(),
            max_answer_bytes: 32 * 1024 * 1024,
            on_disconnect: OnDisconnect::Abort,
            drain: DrainBounds::default(),
            admission_timeout: Duration::from_millis(400),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_hears_within_half_a_second_that_the_store_is_away() {
        // What else there is to do for the answer takes far less than the rest.
        let answered = EngineConfig::default().admission_timeout + Duration::from_millis(50);
        assert!(answered <= Duration::from_millis(500), "{answered:?}");
    }
}
