//! `[server]`: where Relay listens and what it accepts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::Objections;

/// Where Relay listens and what it accepts.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ServerSection {
    #[serde(deserialize_with = "host")]
    pub(crate) host: IpAddr,
    pub(crate) port: u16,
    /// Threads that serve requests; `None`: one for each processor.
    workers: Option<u64>,
    max_body_mb: u64,
    shutdown_seconds: u64,
    /// How many proxies stand before Relay and tell whom they speak for.
    #[serde(deserialize_with = "hops")]
    pub(crate) trusted_proxies: u8,
    /// What the operator calls this installation; `GET /health` shows it.
    pub(crate) environment: Option<String>,
}

impl Default for ServerSection {
    fn default() -> Self {
        let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            host,
            port: 4000,
            workers: None,
            max_body_mb: 64,
            shutdown_seconds: 600,
            trusted_proxies: 0,
            environment: None,
        }
    }
}

impl ServerSection {
    pub(super) fn validate(&self, objections: &mut Objections) {
        if let Some(workers) = self.workers {
            objections.within("server.workers", workers, 1..=1_024);
        }
        objections.within("server.max_body_mb", self.max_body_mb, 1..=1_024);
        objections.within("server.shutdown_seconds", self.shutdown_seconds, 0..=86_400);
        objections.within("server.trusted_proxies", self.trusted_proxies.into(), 0..=16);
        let fits = |name: &String| (1..=64).contains(&name.trim().chars().count());
        if self.environment.as_ref().is_some_and(|name| !fits(name)) {
            objections.add("server.environment", "expected 1 to 64 characters");
        }
    }

    /// Where to listen.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    /// Threads that serve requests.
    pub(crate) fn workers(&self) -> usize {
        let configured = self.workers.and_then(|workers| usize::try_from(workers).ok());
        configured.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// The largest request body.
    pub(crate) fn max_body_bytes(&self) -> usize {
        usize::try_from(self.max_body_mb * 1024 * 1024).unwrap_or(usize::MAX)
    }

    /// How long open streams may take to end once Relay was told to stop.
    pub(crate) fn drain(&self) -> Duration {
        Duration::from_secs(self.shutdown_seconds)
    }
}

/// A number of proxies; `true` is one, as v1 takes it, and `false` none.
fn hops<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a number of proxies, or true for one")]
    enum Given {
        Switch(bool),
        Number(u8),
    }
    Ok(match Given::deserialize(deserializer)? {
        Given::Switch(on) => u8::from(on),
        Given::Number(hops) => hops,
    })
}

/// An address, or the one name that everybody writes.
fn host<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == "localhost" {
        return Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    text.parse().map_err(|_| {
        serde::de::Error::custom("expected an IP address, such as 127.0.0.1 or 0.0.0.0")
    })
}
