//! What the configuration describes, opened: the store, the secrets, the operator.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use relay_crypto::{ApiKeyMinter, KeyHasher, Keyring, SealFormat};
use relay_engine::operator::{Operator, OperatorParts};
use relay_engine::{Clock, SystemClock};
use relay_store::{StoreError, Stores};
use relay_store_redis::{RedisAddress, RedisOptions, RedisStore};
use relay_store_sqlite::{SqliteOptions, SqliteStore};

pub(crate) use relay_store_sqlite::Access;

use crate::config::{Config, StoreKind};
use crate::secrets_file::{Secrets, make_data_dir};
use crate::terminal::say;

/// The embedded store's file in the data folder.
const DATABASE: &str = "relay.db";
/// What the names in Redis begin with that v1 does not know.
const REDIS_PREFIX: &str = "relay:";
const REDIS_PAUSE: Duration = Duration::from_millis(500);

/// A Relay whose store is open.
pub(crate) struct Installation {
    pub(crate) stores: Stores,
    pub(crate) operator: Arc<Operator>,
    pub(crate) secrets: Secrets,
    pub(crate) clock: Arc<dyn Clock>,
    /// What kind of store, and where it is, for people.
    pub(crate) store_kind: StoreKind,
    pub(crate) store_place: String,
}

impl Installation {
    /// Opens what `config` describes; what is missing is made.
    ///
    /// # Errors
    ///
    /// Fails if the store or the secrets cannot be opened, saying what to do.
    pub(crate) async fn open(config: &Config, access: Access) -> Result<Self> {
        let sections = &config.sections;
        let data_dir = &sections.store.data_dir;
        let store_kind = config.store_kind();
        let secrets = Secrets::resolve(&sections.secrets, data_dir)?;
        if store_kind == StoreKind::Sqlite || secrets.is_unsaved() {
            make_data_dir(data_dir)?;
        }
        let (stores, store_place) = match store_kind {
            StoreKind::Sqlite => open_sqlite(config, access)?,
            StoreKind::Redis => open_redis(config, access).await?,
        };
        if secrets.new_encryption_key && holds_anything(&stores).await? {
            bail!(
                "the store ({store_place}) already holds accounts or API keys that were made with an \
                 ENCRYPTION_KEY, and none is given: set ENCRYPTION_KEY to that one"
            );
        }
        let secrets = secrets.save(&sections.secrets)?;
        if secrets.other_encryption_key {
            say(format!(
                "warning: ENCRYPTION_KEY is not the one in {}: accounts sealed with that one cannot be opened, \
                 and API keys made with it are not recognised",
                secrets.path().display()
            ));
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let operator = Arc::new(Operator::new(OperatorParts {
            stores: stores.clone(),
            keyring: keyring(&secrets, store_kind),
            minter: ApiKeyMinter::new(&sections.keys.prefix),
            hasher: KeyHasher::new(&secrets.encryption_key),
            clock: Arc::clone(&clock),
        }));
        Ok(Self { stores, operator, secrets, clock, store_kind, store_place })
    }
}

/// Seals for the given kind of store: in Redis a predecessor may have to read it.
pub(crate) fn keyring(secrets: &Secrets, store_kind: StoreKind) -> Keyring {
    let format = match store_kind {
        StoreKind::Sqlite => SealFormat::Aead,
        StoreKind::Redis => SealFormat::Legacy,
    };
    Keyring::new(&secrets.encryption_key, format)
}

async fn holds_anything(stores: &Stores) -> Result<bool, StoreError> {
    Ok(!stores.accounts.list().await?.is_empty() || !stores.keys.list().await?.is_empty())
}

fn open_sqlite(config: &Config, access: Access) -> Result<(Stores, String)> {
    let section = &config.sections.store;
    let path: PathBuf = section.data_dir.join(DATABASE);
    let options = SqliteOptions {
        calendar: section.calendar,
        record_capacity: section.records(),
        record_lifetime: section.record_lifetime(),
        access,
    };
    let store = SqliteStore::open(&path, options)
        .with_context(|| format!("cannot open the store {}", path.display()))?;
    Ok((store.stores(), path.display().to_string()))
}

async fn open_redis(config: &Config, access: Access) -> Result<(Stores, String)> {
    let (address, place) = redis_address(config)?;
    let options = RedisOptions {
        address,
        calendar: config.sections.store.calendar,
        record_capacity: config.sections.store.records(),
        record_lifetime: config.sections.store.record_lifetime(),
        billing_events: true,
        prefix: REDIS_PREFIX.to_owned(),
    };
    // What starts first is nobody's business: a server waits. A command does not.
    let waits = access == Access::Serve;
    let failed = || {
        format!("cannot use Redis at {place}; start it, or correct RELAY_REDIS_URL or REDIS_HOST")
    };
    let mut announced = false;
    loop {
        match RedisStore::connect(&options).await {
            Ok(store) => return Ok((store.stores(), place)),
            Err(StoreError::Unavailable(cause)) if waits => {
                if !std::mem::replace(&mut announced, true) {
                    say(format!("Redis at {place} does not answer ({cause}); waiting for it"));
                }
            }
            Err(error) => return Err(error).with_context(failed),
        }
        tokio::time::sleep(REDIS_PAUSE).await;
    }
}

/// Where Redis is, and how to call it without its password.
fn redis_address(config: &Config) -> Result<(RedisAddress, String)> {
    let section = &config.sections.redis;
    let (address, place) = match &section.url {
        Some(url) => (RedisAddress::Url(url.clone()), section.place_of_url()),
        None => redis_parts(config),
    };
    if !section.uses_tls() {
        return Ok((address, place));
    }
    let authorities = section
        .tls_ca_file
        .as_ref()
        .map(|path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display())));
    let address =
        RedisAddress::Tls { place: Box::new(address), authorities: authorities.transpose()? };
    Ok((address, format!("{place}, by TLS")))
}

fn redis_parts(config: &Config) -> (RedisAddress, String) {
    let section = &config.sections.redis;
    let host = section.host.clone().unwrap_or_else(|| "127.0.0.1".to_owned());
    let port = section.port.unwrap_or(6379);
    let database = config.redis_database();
    let hint = match (section.db, config.compat()) {
        (None, None) => " (REDIS_DB is not set; v1 used 0)",
        (Some(_), _) | (_, Some(_)) => "",
    };
    let place = format!("{host}:{port}, database {database}{hint}");
    let (database, password) = (database.into(), section.password.clone());
    (RedisAddress::Host { host, port, database, username: None, password }, place)
}

#[cfg(test)]
mod tests {
    use relay_domain::{Actor, Platform};
    use relay_engine::operator::NewAccount;

    use super::*;
    use crate::config::{Environment, FileChoice};

    fn config(data_dir: &std::path::Path, encryption_key: &str) -> Config {
        let environment = Environment::from([
            ("RELAY_DATA_DIR", data_dir.to_str().unwrap()),
            ("ENCRYPTION_KEY", encryption_key),
        ]);
        Config::load(&environment, FileChoice::Ignored).unwrap()
    }

    #[tokio::test]
    async fn sealed_accounts_without_their_key_are_refused_rather_than_orphaned() {
        let folder = tempfile::tempdir().unwrap();
        let given = config(folder.path(), "a-key-that-the-operator-gave");
        let installation = Installation::open(&given, Access::Administer).await.unwrap();
        let account = NewAccount::new(Platform::ClaudeConsole, "https://example.test", "sk".into());
        installation.operator.create_account(&Actor::shell(), account).await.unwrap();
        drop(installation);
        let refused = Installation::open(&config(folder.path(), ""), Access::Administer).await;
        let error = refused.err().unwrap().to_string();
        assert!(error.contains("ENCRYPTION_KEY"), "{error}");
        let kept = std::fs::read_to_string(folder.path().join("secrets.json")).unwrap();
        assert!(!kept.contains("encryption_key"), "no key was generated over the given one");
        assert!(Installation::open(&given, Access::Administer).await.is_ok());
    }

    #[test]
    fn redis_is_called_by_its_place_and_never_by_its_password() {
        let cases = [
            ("RELAY_REDIS_URL", "redis://user:hidden@cache:1/2", "cache:1/2"),
            ("RELAY_REDIS_URL", "redis://cache:1/2", "cache:1/2"),
            ("RELAY_REDIS_URL", "unix:///run/redis.sock?password=hidden", "/run/redis.sock"),
            ("RELAY_REDIS_URL", "rediss://:hidden@cache:1/2", "cache:1/2, by TLS"),
            ("REDIS_HOST", "cache", "cache:6379, database 1 (REDIS_DB is not set; v1 used 0)"),
        ];
        for (variable, value, expected) in cases {
            let environment = Environment::from([(variable, value), ("REDIS_PASSWORD", "")]);
            let config = Config::load(&environment, FileChoice::Ignored).unwrap();
            assert_eq!(redis_address(&config).unwrap().1, expected);
        }
    }
}
