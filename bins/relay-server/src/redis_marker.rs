//! Whether a Redis still is the one that this installation was set up on. A Redis whose volume was lost comes
//! back empty, and a Relay that then began anew would look well while every API key is refused.
//!
//! The installation gives the database a name, and keeps that in its data folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use relay_crypto::generate_secret;
use relay_store_redis::RedisStore;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use crate::secrets_file::{make_data_dir, replace_file};
use crate::terminal::say;

/// The file in the data folder.
const FILE: &str = "redis.json";
/// How many random bytes a name has.
const NAME_BYTES: usize = 16;

#[derive(Deserialize, Serialize)]
struct Stored {
    /// The name that the database was given.
    installation: String,
}

/// Looks whether `redis` (at `place`, for people) is the database of before, and names it for the next time.
/// Warns if it keeps nothing on a disk.
///
/// # Errors
///
/// Fails if it was set up before and is empty now, unless that is accepted; or if Redis does.
pub(crate) async fn check(
    redis: &RedisStore,
    place: &str,
    data_dir: &Path,
    accept_empty: bool,
) -> Result<()> {
    if redis.persists().await? == Some(false) {
        say(format!(
            "warning: Redis at {place} keeps nothing on a disk (appendonly is no and save is empty): when it ends, \
             every API key, account and count is lost; set appendonly yes"
        ));
    }
    let path = data_dir.join(FILE);
    let kept = read(&path)?;
    let found = redis.installation().await?;
    if let Some(kept) = &kept
        && found.as_ref() != Some(kept)
    {
        if !redis.traces().await?.entries && !accept_empty {
            bail!(
                "{}. To begin anew with nothing, set RELAY_ACCEPT_EMPTY_STORE=true for one start",
                loss(place, &path)
            );
        }
        say(format!(
            "warning: Redis at {place} is not the database that this installation was set up on; it is from now on"
        ));
    }
    let name = match found {
        Some(name) => name,
        None => redis.install(generate_secret(NAME_BYTES).expose_secret()).await?,
    };
    if kept.as_ref() != Some(&name)
        && let Err(error) = write(data_dir, &path, &Stored { installation: name })
    {
        // With every secret given, Relay needs no folder of its own.
        say(format!(
            "warning: {error:#}; if Redis is found empty at a later start, nobody will notice"
        ));
    }
    Ok(())
}

/// The same for a command, which may be what brings the data back: says so if the database was emptied.
///
/// # Errors
///
/// Fails if Redis does.
pub(crate) async fn warn_if_emptied(
    redis: &RedisStore,
    place: &str,
    data_dir: &Path,
) -> Result<()> {
    let path = data_dir.join(FILE);
    let Some(kept) = read(&path)? else { return Ok(()) };
    if redis.installation().await? != Some(kept) && !redis.traces().await?.entries {
        say(format!("warning: {}", loss(place, &path)));
    }
    Ok(())
}

fn loss(place: &str, path: &Path) -> String {
    format!(
        "Redis at {place} has neither API keys nor accounts, but this installation was set up on one ({} says so): \
         its data was lost, or this is another Redis. Bring back its data, correct the address, or take in an export \
         (relay-server import)",
        path.display()
    )
}

fn read(path: &PathBuf) -> Result<Option<String>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let stored: Stored = serde_json::from_str(&text)
        .with_context(|| format!("{} is damaged; remove it", path.display()))?;
    Ok(Some(stored.installation))
}

fn write(folder: &Path, path: &Path, stored: &Stored) -> Result<()> {
    make_data_dir(folder)?;
    let json = serde_json::to_vec_pretty(stored)
        .with_context(|| format!("cannot write {}", path.display()))?;
    replace_file(folder, path, &json)
}
