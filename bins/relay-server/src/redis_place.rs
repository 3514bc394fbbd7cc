//! Which Redis, and which of its databases: v1 took 0 where none was chosen, and v2 took 1.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use relay_store::StoreError;
use relay_store_redis::{RedisAddress, RedisOptions, RedisStore, Traces};
use relay_store_sqlite::Access;

use crate::config::{Config, RedisSection};
use crate::terminal::say;

/// What the names in Redis begin with that v1 does not know.
const PREFIX: &str = "relay:";
/// How long a server waits for a Redis that is not there yet: what starts first is nobody's business.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(500);
/// The databases of v1 and v2.
const CANDIDATES: [u32; 2] = [0, 1];

/// Opens the store in Redis. Returns where it is, for people.
///
/// # Errors
///
/// Fails if Redis cannot be used, or if it is not clear which database is meant.
pub(crate) async fn open(config: &Config, access: Access) -> Result<(RedisStore, String)> {
    let section = &config.sections.redis;
    let place = place(section, section.db.map(u32::from));
    if config.origin("store.timezone_offset").is_some()
        && config.sections.store.calendar.offset_minutes() == 0
    {
        say(
            "warning: TIMEZONE_OFFSET=0 is taken as UTC; v1 and v2 took it for +8, so days that they counted shift",
        );
    }
    let patience = match access {
        Access::Serve => PATIENCE,
        Access::Administer => Duration::ZERO,
    };
    let failed = || {
        format!("cannot use Redis at {place}; start it, or correct RELAY_REDIS_URL or REDIS_HOST")
    };
    let deadline = tokio::time::Instant::now() + patience;
    let mut announced = false;
    loop {
        match connect(config).await {
            Ok(opened) => return Ok(opened),
            Err(error) => {
                let Some(StoreError::Unavailable(cause)) = error.downcast_ref() else {
                    return Err(error).with_context(failed);
                };
                if deadline <= tokio::time::Instant::now() {
                    return Err(error).with_context(failed);
                }
                if !std::mem::replace(&mut announced, true) {
                    say(format!(
                        "Redis at {place} does not answer ({cause}); waiting up to {} s for it",
                        patience.as_secs()
                    ));
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn connect(config: &Config) -> Result<(RedisStore, String)> {
    let section = &config.sections.redis;
    let database = match (&section.url, section.db) {
        (None, None) => Some(choose(config).await?),
        (_, chosen) => chosen.map(u32::from),
    };
    let store = RedisStore::connect(&options(config, database)).await?;
    Ok((store, place(section, database)))
}

/// The database that somebody has written into, where none is chosen.
///
/// # Errors
///
/// Fails if somebody has written into both: guessing wrong would look like losing everything.
async fn choose(config: &Config) -> Result<u32> {
    let mut used = Vec::new();
    for database in CANDIDATES {
        let traces = match RedisStore::open(&options(config, Some(database)))?.traces().await {
            // A Redis with one database.
            Err(StoreError::Refused(_)) if database > 0 => Traces::default(),
            other => other?,
        };
        if traces.are_any() {
            used.push((database, traces));
        }
    }
    match used[..] {
        [] => Ok(0),
        [(database, _)] => Ok(database),
        _ => {
            let told = used.iter().map(|(database, traces)| {
                format!("database {database} (written by {})", writers(*traces))
            });
            bail!(
                "REDIS_DB is not set, and there is something in {}; v1 used 0 unless told otherwise and v2 used 1: \
                 set REDIS_DB to the one that is meant",
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

fn options(config: &Config, database: Option<u32>) -> RedisOptions {
    RedisOptions {
        address: address(&config.sections.redis, database),
        calendar: config.sections.store.calendar,
        record_capacity: config.sections.store.records(),
        prefix: PREFIX.to_owned(),
    }
}

fn address(section: &RedisSection, database: Option<u32>) -> RedisAddress {
    if let Some(url) = &section.url {
        return RedisAddress::Url(url.clone());
    }
    let host = section.host.clone().unwrap_or_else(|| "127.0.0.1".to_owned());
    let (port, password) = (section.port.unwrap_or(6379), section.password.clone());
    RedisAddress::Host { host, port, database: database.unwrap_or(0), username: None, password }
}

/// How to call it without its password.
fn place(section: &RedisSection, database: Option<u32>) -> String {
    if section.url.is_some() {
        return section.place_of_url();
    }
    let host = section.host.as_deref().unwrap_or("127.0.0.1");
    let port = section.port.unwrap_or(6379);
    match (database, section.db) {
        (None, _) => format!("{host}:{port}"),
        (Some(database), None) => {
            format!("{host}:{port}, database {database} (REDIS_DB is not set)")
        }
        (Some(database), Some(_)) => format!("{host}:{port}, database {database}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, FileChoice};

    #[test]
    fn redis_is_called_by_its_place_and_never_by_its_password() {
        let cases = [
            ("RELAY_REDIS_URL", "redis://user:hidden@cache:1/2", "cache:1/2"),
            ("RELAY_REDIS_URL", "redis://cache:1/2", "cache:1/2"),
            ("RELAY_REDIS_URL", "unix:///run/redis.sock?password=hidden", "/run/redis.sock"),
            ("REDIS_HOST", "cache", "cache:6379, database 1 (REDIS_DB is not set)"),
        ];
        for (variable, value, expected) in cases {
            let environment = Environment::from([(variable, value), ("REDIS_PASSWORD", "")]);
            let config = Config::load(&environment, FileChoice::Ignored).unwrap();
            assert_eq!(place(&config.sections.redis, Some(1)), expected);
        }
    }
}
