//! `[upstream]`: how long Relay waits for providers, and how often it tries.

use std::time::Duration;

use relay_engine::EngineConfig;
use serde::Deserialize;

use super::{Objection, within};

/// How long Relay waits for providers, and how often it tries.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct UpstreamSection {
    pub(crate) max_attempts: u64,
    pub(crate) head_timeout_seconds: u64,
    pub(crate) idle_timeout_seconds: u64,
    pub(crate) keep_alive_seconds: u64,
    pub(crate) lease_seconds: u64,
}

impl Default for UpstreamSection {
    fn default() -> Self {
        let engine = EngineConfig::default();
        Self {
            max_attempts: u64::try_from(engine.max_attempts).unwrap_or(u64::MAX),
            head_timeout_seconds: engine.head_timeout.as_secs(),
            idle_timeout_seconds: engine.idle_timeout.as_secs(),
            keep_alive_seconds: engine.keep_alive.as_secs(),
            lease_seconds: engine.lease.as_secs(),
        }
    }
}

impl UpstreamSection {
    pub(super) fn validate(&self) -> Result<(), Objection> {
        within("upstream.max_attempts", self.max_attempts, 1..=100)?;
        within("upstream.head_timeout_seconds", self.head_timeout_seconds, 1..=86_400)?;
        within("upstream.idle_timeout_seconds", self.idle_timeout_seconds, 1..=86_400)?;
        within("upstream.keep_alive_seconds", self.keep_alive_seconds, 1..=3_600)?;
        // A lease is renewed three times in its length; much shorter, and a slow store ends it.
        within("upstream.lease_seconds", self.lease_seconds, 3..=3_600)
    }

    /// The engine's settings, with keys that begin with `key_prefix`.
    pub(crate) fn engine(&self, key_prefix: &str) -> EngineConfig {
        EngineConfig {
            key_prefix: key_prefix.to_owned(),
            max_attempts: usize::try_from(self.max_attempts).unwrap_or(usize::MAX),
            head_timeout: Duration::from_secs(self.head_timeout_seconds),
            idle_timeout: Duration::from_secs(self.idle_timeout_seconds),
            keep_alive: Duration::from_secs(self.keep_alive_seconds),
            lease: Duration::from_secs(self.lease_seconds),
            ..EngineConfig::default()
        }
    }
}
