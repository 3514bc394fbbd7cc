//! The binary under test.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a command of the binary printed, and whether it succeeded.
#[derive(Clone, Debug)]
pub struct CommandOutput {
    /// The exit status was zero.
    pub success: bool,
    /// The exit status; `None`: a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl CommandOutput {
    /// Standard output as JSON.
    ///
    /// # Panics
    ///
    /// If the command failed, or printed anything else.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        assert!(self.success, "the command failed: {}{}", self.stdout, self.stderr);
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.stdout))
    }
}

/// Where the server's binary is: what `RELAY_SERVER_BIN` names, else where Cargo builds it.
///
/// # Panics
///
/// If there is none, with the command that builds it.
#[must_use]
pub fn server_binary() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "a test has no other configuration")]
    let named = std::env::var("RELAY_SERVER_BIN").ok().filter(|path| !path.is_empty());
    // A test's executable lies in `<target>/<profile>/deps`, the binary one folder above.
    let beside = std::env::current_exe().ok().and_then(|test| {
        let profile = test.parent()?.parent()?;
        Some(profile.join("relay-server"))
    });
    let binary = named.map(PathBuf::from).or(beside).unwrap_or_default();
    assert!(
        binary.is_file(),
        "there is no relay-server at {}; build it with: cargo build -p relay-server (or name it in RELAY_SERVER_BIN)",
        binary.display()
    );
    binary
}

/// Runs the binary with these words, in this environment and no other.
pub(crate) async fn run(environment: &BTreeMap<String, String>, words: &[&str]) -> CommandOutput {
    let output = Command::new(server_binary())
        .args(words)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let Ok(output) = timeout(PATIENCE, output).await else {
        panic!("relay-server {} does not end within {PATIENCE:?}", words.join(" "))
    };
    let output = output.unwrap_or_else(|error| panic!("relay-server does not start: {error}"));
    CommandOutput {
        success: output.status.success(),
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
