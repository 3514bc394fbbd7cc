//! Relay as an operator sets it up: an account, a key, and the server.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::sandbox::UPSTREAM_KEY;
use super::server::{Core, Launch};

/// A Relay that has been set up and can be started.
pub(crate) struct Relay {
    /// How to start it.
    pub(crate) launch: Launch,
    /// The key that its clients present.
    pub(crate) key: String,
}

/// Where Relay keeps what it keeps.
#[derive(Clone, Copy)]
pub(crate) enum Store {
    Embedded,
    Redis(SocketAddr),
}

/// Creates an account at `upstream` and a key for it, in a store of its own.
///
/// # Errors
///
/// Fails with what the server said when one of its commands fails.
pub(crate) fn set_up(
    server: &Path,
    folder: &Path,
    (address, upstream): (SocketAddr, SocketAddr),
    store: Store,
) -> Result<Relay> {
    let name = match store {
        Store::Embedded => "embedded",
        Store::Redis(_) => "redis",
    };
    let data = folder.join(format!("relay-{name}"));
    fs::create_dir_all(&data).context("cannot make Relay's folder")?;
    let environment = environment(&data, address, store);
    let call = |words: &[&str]| called(server, &environment, words);
    let url = format!("http://{upstream}");
    call(&["account", "add", "--name", "bench", "--url", &url, "--key", UPSTREAM_KEY, "--json"])?;
    let key = call(&["key", "create", "--name", "bench", "--json"])?;
    let key = key["key"].as_str().context("`key create` printed no key")?.to_owned();
    let launch = Launch {
        words: vec![server.display().to_string(), "serve".to_owned()],
        environment,
        address,
        tells_when_ready: true,
        core: Core::Proxies,
        log: folder.join(format!("relay-{name}.log")),
    };
    Ok(Relay { launch, key })
}

/// Secrets are given, so that every run starts alike; all else is as a user finds it.
fn environment(data: &Path, address: SocketAddr, store: Store) -> Vec<(String, String)> {
    let mut environment = vec![
        ("RELAY_DATA_DIR", data.display().to_string()),
        ("HOST", address.ip().to_string()),
        ("PORT", address.port().to_string()),
        ("ENCRYPTION_KEY", "benchmark-encryption-key-32-byte".to_owned()),
        ("JWT_SECRET", "benchmark-token-secret-of-32-bytes-or-more".to_owned()),
        ("ADMIN_PASSWORD", "benchmark-admin-password".to_owned()),
    ];
    if let Store::Redis(redis) = store {
        environment.push(("RELAY_REDIS_URL", format!("redis://{redis}/0")));
    }
    environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn called(server: &Path, environment: &[(String, String)], words: &[&str]) -> Result<Value> {
    let output = Command::new(server)
        .args(words)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", server.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "relay-server {}: {said}", words.join(" "));
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("relay-server {} printed no JSON", words.join(" ")))
}
