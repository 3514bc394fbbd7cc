//! The upstream of every candidate: Relay's own sandbox, told what to answer.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::server::{Core, Launch, Server, free_address};

/// The key that the upstream sees, whoever stands between.
pub(crate) const UPSTREAM_KEY: &str = "sk-sandbox-bench";

/// A line of prose, repeated by the sandbox as needed.
const SENTENCE: &str = "The lease of a crashed worker runs out by itself, so the slot comes back. ";

/// A running sandbox.
pub(crate) struct Sandbox {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    _server: Server,
}

/// What the sandbox answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scenario {
    /// About 1.1 KB of JSON, at once.
    Answer,
    /// A stream with a short delta every so often, for so long.
    Drip { delta_ms: u64, lasts_ms: u64 },
    /// A stream that begins at once and then stays open in silence for so long.
    Linger { silence_ms: u64 },
}

impl Sandbox {
    /// Starts the sandbox that is built into the server, without records: hashing bodies would count.
    ///
    /// # Errors
    ///
    /// Fails when it does not start.
    pub(crate) fn start(server: &Path, folder: &Path) -> Result<Self> {
        let address = free_address()?;
        let words = ["sandbox", "--no-record", "--listen", &address.to_string()].map(str::to_owned);
        let launch = Launch {
            words: [server.display().to_string()].into_iter().chain(words).collect(),
            environment: Vec::new(),
            address,
            tells_when_ready: false,
            core: Core::Rest,
            log: folder.join("sandbox.log"),
        };
        Ok(Self { address, _server: Server::start(&launch)? })
    }

    /// Makes it play `scenario` from now on.
    ///
    /// # Errors
    ///
    /// Fails when the sandbox refuses the script.
    pub(crate) fn play(&self, scenario: Scenario) -> Result<()> {
        let script = json!({ "steps": [step(scenario)] }).to_string();
        let mut socket = TcpStream::connect(self.address)?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(
            socket,
            "PUT /_sandbox/scenarios/{UPSTREAM_KEY} HTTP/1.1\r\nhost: sandbox\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{script}",
            script.len()
        )?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).context("the sandbox did not answer")?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "the sandbox refused {scenario:?}: {answer}");
        Ok(())
    }
}

fn step(scenario: Scenario) -> Value {
    match scenario {
        Scenario::Answer => json!({ "text": SENTENCE.repeat(11) }),
        Scenario::Drip { delta_ms, lasts_ms } => {
            json!({ "text": SENTENCE.repeat(8), "deltas": lasts_ms / delta_ms, "delta_ms": delta_ms })
        }
        Scenario::Linger { silence_ms } => json!({
            "text": SENTENCE.repeat(2), "deltas": 12, "silence_after_frame": { "frame": 8, "ms": silence_ms },
        }),
    }
}
