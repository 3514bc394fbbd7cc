//! Which Redis, and which of its databases: v1 took 0 where none was chosen, and v2 took 1.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use relay_store::StoreError;
use relay_store_redis::{RedisAddress, RedisOptions, RedisStore, Traces};
use relay_store_sqlite::Access;

use crate::config::Config;
use crate::terminal::say;

/// What the names in Redis begin with that v1 does not know.
const PREFIX: &str = "relay:";
const DEFAULT_HOST: &str = "127.0.0.1";
const DEFAULT_PORT: u16 = 6379;
const PAUSE: Duration = Duration::from_millis(500);
/// The databases of v1 and v2.
const CANDIDATES: [u32; 2] = [0, 1];

/// Opens the store in Redis. Returns where it is, for people.
///
/// # Errors
///
/// Fails if Redis cannot be used, or if it is not clear which database is meant.
pub(crate) async fn open(config: &Config, access: Access) -> Result<(RedisStore, String)> {
    // What starts first is nobody's business: a server waits. A command does not.
    let waits = access == Access::Serve;
    let place = place(config, config.chosen_database().map(u32::from));
    let mut announced = false;
    loop {
        match connect(config).await {
            Ok(opened) => return Ok(opened),
            Err(error) => match error.downcast_ref() {
                Some(StoreError::Unavailable(cause)) if waits => {
                    if !std::mem::replace(&mut announced, true) {
                        say(format!("Redis at {place} does not answer ({cause}); waiting for it"));
                    }
                }
                Some(_) | None => return Err(explained(error, &place)),
            },
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Says what to do about an `error` of Redis at `place`. One that is not Redis' own says so itself.
fn explained(error: anyhow::Error, place: &str) -> anyhow::Error {
    let advice = match error.downcast_ref() {
        Some(StoreError::Unavailable(_)) => "start it, or correct RELAY_REDIS_URL or REDIS_HOST",
        Some(_) => "correct RELAY_REDIS_URL or the settings of REDIS_, or what it objects to",
        None => return error,
    };
    error.context(format!("cannot use Redis at {place}; {advice}"))
}

async fn connect(config: &Config) -> Result<(RedisStore, String)> {
    let database = match (&config.sections.redis.url, config.chosen_database()) {
        (None, None) => Some(choose(config).await?),
        (_, chosen) => chosen.map(u32::from),
    };
    let store = RedisStore::connect(&options(config, database)?).await?;
    Ok((store, place(config, database)))
}

/// The database that somebody has written into, where none is chosen.
///
/// # Errors
///
/// Fails if somebody has written into both: guessing wrong would look like losing everything.
async fn choose(config: &Config) -> Result<u32> {
    let mut used = Vec::new();
    for database in CANDIDATES {
        let traces = match RedisStore::open(&options(config, Some(database))?)?.traces().await {
            // A Redis with one database.
            Err(StoreError::Refused(_)) if database > 0 => Traces::default(),
            other => other?,
        };
        if traces.are_any() {
            used.push((database, traces));
        }
    }
    match used[..] {
        [] => Ok(config.redis_database().into()),
        [(database, _)] => Ok(database),
        _ => {
            let told = used.iter().map(|(database, traces)| {
                format!("database {database} (written by {})", writers(*traces))
            });
            bail!(
                "REDIS_DB is not set, and there is something in {}; v1 used 0 unless told otherwise and v2 used 1: \
                 set REDIS_DB to the one that is meant, or RELAY_COMPAT to v1 or v2",
                told.collect::<Vec<_>>().join(" and ")
            )
        }
    }
}

/// Who has written, for people.
pub(crate) fn writers(traces: Traces) -> String {
    let names = [(traces.v1, "v1"), (traces.v2, "v2"), (traces.relay, "Relay")];
    let names: Vec<_> = names.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
    match &names[..] {
        [] if traces.entries => "v1 or v2".to_owned(),
        [] => "nobody".to_owned(),
        names => names.join(", "),
    }
}

fn options(config: &Config, database: Option<u32>) -> Result<RedisOptions> {
    Ok(RedisOptions {
        address: address(config, database)?,
        calendar: config.sections.store.calendar(),
        record_capacity: config.sections.store.records(),
        record_lifetime: config.sections.store.record_lifetime(),
        billing_events: config.sections.redis.billing_events(),
        prefix: PREFIX.to_owned(),
    })
}

fn address(config: &Config, database: Option<u32>) -> Result<RedisAddress> {
    let section = &config.sections.redis;
    let place = if let Some(url) = &section.url {
        RedisAddress::Url(url.clone())
    } else {
        let host = section.host.clone().unwrap_or_else(|| DEFAULT_HOST.to_owned());
        let (port, password) = (section.port.unwrap_or(DEFAULT_PORT), section.password.clone());
        let database = database.unwrap_or_else(|| config.redis_database().into());
        RedisAddress::Host { host, port, database, username: None, password }
    };
    if !section.uses_tls() {
        return Ok(place);
    }
    let read = |path: &PathBuf| {
        std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let authorities = section.tls_ca_file.as_ref().map(read).transpose()?;
    Ok(RedisAddress::Tls { place: Box::new(place), authorities })
}

/// How to call it without its password.
fn place(config: &Config, database: Option<u32>) -> String {
    let section = &config.sections.redis;
    let place = if section.url.is_some() {
        section.place_of_url()
    } else {
        let host = section.host.as_deref().unwrap_or(DEFAULT_HOST);
        let port = section.port.unwrap_or(DEFAULT_PORT);
        match database {
            None => format!("{host}:{port}"),
            Some(database) if config.chosen_database().is_none() => {
                format!("{host}:{port}, database {database} (REDIS_DB is not set)")
            }
            Some(database) => format!("{host}:{port}, database {database}"),
        }
    };
    if section.uses_tls() { format!("{place}, by TLS") } else { place }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, FileChoice};

    #[test]
    fn only_a_redis_that_is_away_is_to_be_started() {
        let cause = || Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        let told = |error: anyhow::Error| explained(error, "cache:6379").to_string();
        let away = told(StoreError::Unavailable(cause()).into());
        assert!(away.contains("cache:6379") && away.contains("start it"), "{away}");
        let refused = told(StoreError::Refused(cause()).into());
        assert!(refused.contains("cache:6379") && !refused.contains("start it"), "{refused}");
        let undecided = "REDIS_DB is not set";
        assert_eq!(told(anyhow::anyhow!(undecided)), undecided, "Redis is there and can be used");
    }

    #[test]
    fn redis_is_called_by_its_place_and_never_by_its_password() {
        let cases = [
            ("RELAY_REDIS_URL", "redis://user:hidden@cache:1/2", "cache:1/2"),
            ("RELAY_REDIS_URL", "redis://cache:1/2", "cache:1/2"),
            ("RELAY_REDIS_URL", "unix:///run/redis.sock?password=hidden", "/run/redis.sock"),
            ("RELAY_REDIS_URL", "rediss://:hidden@cache:1/2", "cache:1/2, by TLS"),
            ("REDIS_HOST", "cache", "cache:6379, database 1 (REDIS_DB is not set)"),
        ];
        for (variable, value, expected) in cases {
            let environment = Environment::from([(variable, value), ("REDIS_PASSWORD", "")]);
            let config = Config::load(&environment, FileChoice::Ignored).unwrap();
            assert_eq!(place(&config, Some(1)), expected);
        }
    }
}
