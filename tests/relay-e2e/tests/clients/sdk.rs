//! The SDKs, each driven by a small program that runs one scenario and says what it saw.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use relay_e2e::{ApiKey, Relay};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

/// How long a scenario may take. Generous: an interpreter starts slowly on a machine that runs many
/// tests.
const PATIENCE: Duration = Duration::from_mins(1);

/// An SDK in one of its two lines: the current one, and the last before it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sdk {
    Python,
    Python0,
    TypeScript,
    TypeScript0,
}

/// A client that has finished its scenario and still runs.
#[derive(Debug)]
pub(crate) struct Client {
    /// What it saw.
    pub(crate) seen: Value,
    process: Child,
    stay: ChildStdin,
    _home: TempDir,
}

impl Sdk {
    /// The start of the `user-agent` that tells this SDK from the others.
    pub(crate) fn user_agent(self) -> &'static str {
        match self {
            Self::Python => "Anthropic/Python 2.",
            Self::Python0 => "Anthropic/Python 0.",
            Self::TypeScript => "Anthropic/JS 1.",
            Self::TypeScript0 => "Anthropic/JS 0.",
        }
    }

    /// The `anthropic-version` that it speaks.
    pub(crate) fn api_version(self) -> &'static str {
        match self {
            Self::Python | Self::TypeScript => "2026-10-21",
            Self::Python0 | Self::TypeScript0 => "2023-06-01",
        }
    }

    /// Runs a scenario against `relay` and returns what the client saw, after its end.
    pub(crate) async fn run(self, relay: &Relay, key: &ApiKey, scenario: &str) -> Value {
        self.start(relay, key, scenario).await.leave().await
    }

    /// Runs a scenario against `relay` and keeps the client running after it.
    pub(crate) async fn start(self, relay: &Relay, key: &ApiKey, scenario: &str) -> Client {
        let home = tempfile::tempdir().unwrap();
        let mut process = self
            .driver()
            .args([&relay.base_url(), &key.secret, scenario])
            .env_clear()
            .env("PATH", environment("PATH").unwrap())
            .env("HOME", home.path())
            .current_dir(home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{self:?} does not start: {error}"));
        let stay = process.stdin.take().unwrap();
        let mut printed = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = timeout(PATIENCE, printed.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("{self:?} says nothing about {scenario}"));
        // Why it failed stands on its standard error, which is the test's.
        let line = line.unwrap().unwrap_or_else(|| panic!("{self:?} failed at {scenario}"));
        let seen = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{self:?} printed no JSON ({error}): {line}"));
        Client { seen, process, stay, _home: home }
    }

    /// The driver's command, up to the arguments that all drivers share.
    fn driver(self) -> Command {
        let drivers = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
        match self {
            Self::Python | Self::Python0 => {
                let mut command = Command::new(self.folder().join("bin").join("python"));
                command.arg(drivers.join("anthropic_sdk.py"));
                command
            }
            Self::TypeScript | Self::TypeScript0 => {
                let mut command = Command::new("node");
                command.arg(drivers.join("anthropic_sdk.mjs")).arg(self.folder());
                command
            }
        }
    }

    /// Where it is installed.
    fn folder(self) -> PathBuf {
        let name = match self {
            Self::Python => "pynew",
            Self::Python0 => "pyold",
            Self::TypeScript => "jsnew",
            Self::TypeScript0 => "jsold",
        };
        let folder = environment("RELAY_CLIENTS_DIR").map(|all| Path::new(&all).join(name));
        let installed = folder.filter(|folder| folder.is_dir());
        installed.unwrap_or_else(|| {
            panic!("the SDKs are not installed; run the tests with: cargo xtask test --clients")
        })
    }
}

impl Client {
    /// Lets the client end, and returns what it saw.
    pub(crate) async fn leave(self) -> Value {
        let Self { seen, mut process, stay, _home } = self;
        drop(stay);
        let status = timeout(PATIENCE, process.wait()).await.unwrap().unwrap();
        assert!(status.success(), "the client ended with {status}");
        seen
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has no other configuration")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
