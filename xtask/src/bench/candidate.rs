//! Who takes part, and everything that must run beside them.

use std::net::SocketAddr;
use std::path::Path;
use std::{fmt, fs};

use anyhow::{Context as _, Result};

use super::relay::{self, Relay, Store};
use super::sandbox::{Sandbox, UPSTREAM_KEY};
use super::server::{Core, Launch, Server, free_address};
use super::{Binaries, nginx};

/// A way from the client to the upstream.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Name {
    Direct,
    Nginx,
    Embedded,
    Redis,
}

/// One of them, set up.
pub(crate) struct Candidate {
    /// Which one.
    pub(crate) name: Name,
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    /// The key that clients present.
    pub(crate) key: String,
    /// The proxy, unless there is none.
    proxy: Option<Proxy>,
}

struct Proxy {
    launch: Launch,
    running: Option<Server>,
}

/// All of them, with the upstream and the store that they use.
pub(crate) struct Candidates {
    /// In the order of the table.
    pub(crate) all: Vec<Candidate>,
    /// What answers.
    pub(crate) sandbox: Sandbox,
    _redis: Server,
}

impl Name {
    /// The word for it in the JSON figures.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Embedded => "relay_embedded",
            Self::Redis => "relay_redis",
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Embedded => "Relay, embedded",
            Self::Redis => "Relay, Redis",
        })
    }
}

impl Candidates {
    /// Sets everything up and starts it.
    ///
    /// # Errors
    ///
    /// Fails when one of the programs does not start.
    pub(crate) fn start(binaries: &Binaries, folder: &Path) -> Result<Self> {
        let sandbox = Sandbox::start(&binaries.server, folder)?;
        let upstream = sandbox.address;
        let redis_address = free_address()?;
        let redis = Server::start(&redis_launch(folder, redis_address))?;

        let key = UPSTREAM_KEY.to_owned();
        let direct =
            Candidate { name: Name::Direct, address: upstream, key: key.clone(), proxy: None };
        let mut all = vec![direct];
        let nginx = nginx::launch(folder, free_address()?, upstream)?;
        all.push(Candidate::proxy(Name::Nginx, key, nginx));
        for (name, store) in
            [(Name::Embedded, Store::Embedded), (Name::Redis, Store::Redis(redis_address))]
        {
            let addresses = (free_address()?, upstream);
            let Relay { launch, key } = relay::set_up(&binaries.server, folder, addresses, store)?;
            all.push(Candidate::proxy(name, key, launch));
        }
        for candidate in &mut all {
            candidate.restart()?;
        }
        Ok(Self { all, sandbox, _redis: redis })
    }
}

impl Candidate {
    fn proxy(name: Name, key: String, launch: Launch) -> Self {
        let address = launch.address;
        Self { name, address, key, proxy: Some(Proxy { launch, running: None }) }
    }

    /// Starts the proxy afresh, so that no earlier load shows in its memory.
    ///
    /// # Errors
    ///
    /// Fails when it does not end, or does not start.
    pub(crate) fn restart(&mut self) -> Result<()> {
        let Some(proxy) = &mut self.proxy else { return Ok(()) };
        if let Some(running) = proxy.running.take() {
            running.stop().with_context(|| format!("{} must restart", self.name))?;
        }
        proxy.running = Some(Server::start(&proxy.launch)?);
        Ok(())
    }

    /// The last lines that the proxy said, for when a request failed.
    pub(crate) fn last_words(&self) -> String {
        let log = self.proxy.as_ref().map(|proxy| fs::read_to_string(&proxy.launch.log));
        let log = log.and_then(Result::ok).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// The proxy's process; none for the direct way.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.proxy.as_ref()?.running.as_ref().map(Server::pid)
    }
}

fn redis_launch(folder: &Path, address: SocketAddr) -> Launch {
    let port = address.port();
    let words = format!("redis-server --bind 127.0.0.1 --port {port} --appendonly no --dir");
    let words = words.split(' ').map(str::to_owned).chain([folder.display().to_string()]);
    let no_snapshots = ["--save", ""].map(str::to_owned);
    let log = folder.join("redis.log");
    Launch {
        words: words.chain(no_snapshots).collect(),
        environment: Vec::new(),
        address,
        tells_when_ready: false,
        core: Core::Rest,
        log,
    }
}
