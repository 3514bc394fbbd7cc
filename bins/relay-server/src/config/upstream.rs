//! `[upstream]`: how long Relay waits for providers, and how often it tries.

use std::fmt;
use std::time::Duration;

use relay_domain::OnDisconnect;
use relay_engine::{DrainBounds, EngineConfig, ProxyNames};
use serde::Deserialize;

use super::{HealthSection, Objections, StickySection};

const MIB: usize = 1024 * 1024;

/// How long Relay waits for providers, and how often it tries.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct UpstreamSection {
    pub(crate) max_attempts: u64,
    pub(crate) head_timeout_seconds: u64,
    pub(crate) idle_timeout_seconds: u64,
    pub(crate) keep_alive_seconds: u64,
    pub(crate) lease_seconds: u64,
    pub(crate) pool_idle_seconds: u64,
    /// Idle connections to one upstream that the process keeps; `None`: any number.
    pub(crate) pool_max_idle: Option<u64>,
    pub(crate) proxy_use_ipv4: bool,
    pub(crate) on_disconnect: DisconnectChoice,
    pub(crate) drain_seconds: u64,
    pub(crate) drain_mb: u64,
    /// Answers that the process reads on at once.
    pub(crate) drain_answers: u64,
}

/// What becomes of an answer whose client has left, unless its account says that it is drained.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DisconnectChoice {
    /// The upstream is stopped.
    #[default]
    Abort,
    /// It is read on, within bounds.
    Drain,
}

impl fmt::Display for DisconnectChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Abort => "abort",
            Self::Drain => "drain",
        })
    }
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
            pool_idle_seconds: engine.pool_idle_timeout.as_secs(),
            pool_max_idle: None,
            proxy_use_ipv4: engine.proxy_names == ProxyNames::Ipv4,
            on_disconnect: DisconnectChoice::default(),
            drain_seconds: engine.drain.time.as_secs(),
            drain_mb: u64::try_from(engine.drain.bytes / MIB).unwrap_or(u64::MAX),
            drain_answers: u64::try_from(engine.drain.answers).unwrap_or(u64::MAX),
        }
    }
}

impl UpstreamSection {
    pub(super) fn validate(&self, objections: &mut Objections) {
        let bounds = [
            ("upstream.max_attempts", self.max_attempts, 1..=100),
            ("upstream.head_timeout_seconds", self.head_timeout_seconds, 1..=86_400),
            ("upstream.idle_timeout_seconds", self.idle_timeout_seconds, 1..=86_400),
            ("upstream.keep_alive_seconds", self.keep_alive_seconds, 1..=3_600),
            // A lease is renewed three times in its length; much shorter, and a slow store ends it.
            ("upstream.lease_seconds", self.lease_seconds, 3..=3_600),
            ("upstream.pool_idle_seconds", self.pool_idle_seconds, 0..=3_600),
            ("upstream.drain_seconds", self.drain_seconds, 1..=86_400),
            ("upstream.drain_mb", self.drain_mb, 1..=1_024),
            ("upstream.drain_answers", self.drain_answers, 1..=100_000),
        ];
        for (path, seconds, sensible) in bounds {
            objections.within(path, seconds, sensible);
        }
    }

    /// The engine's settings, with keys that begin with `key_prefix`, for a process of so many `workers`.
    pub(crate) fn engine(
        &self,
        key_prefix: &str,
        workers: usize,
        sticky: &StickySection,
        health: &HealthSection,
    ) -> EngineConfig {
        let idle_of_worker = |of_process: u64| {
            usize::try_from(of_process).unwrap_or(usize::MAX).div_ceil(workers.max(1))
        };
        EngineConfig {
            key_prefix: key_prefix.to_owned(),
            max_attempts: usize::try_from(self.max_attempts).unwrap_or(usize::MAX),
            head_timeout: Duration::from_secs(self.head_timeout_seconds),
            idle_timeout: Duration::from_secs(self.idle_timeout_seconds),
            keep_alive: Duration::from_secs(self.keep_alive_seconds),
            lease: Duration::from_secs(self.lease_seconds),
            binding_lifetime: sticky.lifetime(),
            binding_renewal: sticky.renewal(),
            pool_idle_timeout: Duration::from_secs(self.pool_idle_seconds),
            pool_max_idle: match self.pool_idle_seconds {
                // The pool would keep one that may not be idle at all until it looks for it.
                0 => 0,
                _ => self.pool_max_idle.map_or(usize::MAX, idle_of_worker),
            },
            proxy_names: if self.proxy_use_ipv4 { ProxyNames::Ipv4 } else { ProxyNames::Any },
            rests: health.policy(),
            on_disconnect: match self.on_disconnect {
                DisconnectChoice::Abort => OnDisconnect::Abort,
                DisconnectChoice::Drain => OnDisconnect::Drain,
            },
            drain: self.drain(),
            ..EngineConfig::default()
        }
    }

    fn drain(&self) -> DrainBounds {
        let count = |number| usize::try_from(number).unwrap_or(usize::MAX);
        DrainBounds {
            time: Duration::from_secs(self.drain_seconds),
            bytes: count(self.drain_mb).saturating_mul(MIB),
            answers: count(self.drain_answers),
        }
    }
}
