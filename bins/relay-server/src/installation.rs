//! What the configuration describes, opened: the store, the secrets, the operator.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use relay_crypto::{ApiKeyMinter, KeyHasher, Keyring, SealFormat};
use relay_engine::operator::{Operator, OperatorParts};
use relay_engine::{Clock, SystemClock};
use relay_store::{StoreError, Stores};
use relay_store_redis::RedisStore;
use relay_store_sqlite::{SqliteOptions, SqliteStore};

pub(crate) use relay_store_sqlite::Access;

use crate::config::{Config, SealChoice, StoreKind};
use crate::redis_marker;
use crate::redis_place;
use crate::secrets_file::{Secrets, make_data_dir};
use crate::terminal::say;

/// The embedded store's file in the data folder.
const DATABASE: &str = "relay.db";
/// A Relay whose store is open.
pub(crate) struct Installation {
    pub(crate) stores: Stores,
    pub(crate) operator: Arc<Operator>,
    pub(crate) secrets: Secrets,
    pub(crate) clock: Arc<dyn Clock>,
    /// What kind of store, and where it is, for people.
    pub(crate) store_kind: StoreKind,
    pub(crate) store_place: String,
    /// The store, if it is Redis, for what only a Redis knows.
    pub(crate) redis: Option<RedisStore>,
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
        let (stores, store_place, redis) = match store_kind {
            StoreKind::Sqlite => {
                let (stores, place) = open_sqlite(config, access)?;
                (stores, place, None)
            }
            StoreKind::Redis => {
                let (store, place) = redis_place::open(config, access).await?;
                (store.stores(), place, Some(store))
            }
        };
        match (&redis, access) {
            (Some(redis), Access::Serve) => {
                let accept_empty = sections.store.accept_empty;
                redis_marker::check(redis, &store_place, data_dir, accept_empty).await?;
            }
            (Some(redis), Access::Administer) => {
                redis_marker::warn_if_emptied(redis, &store_place, data_dir).await?;
            }
            (None, _) => {}
        }
        if secrets.new_encryption_key && holds_anything(&stores, redis.as_ref()).await? {
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
            keyring: keyring(&secrets, config),
            minter: ApiKeyMinter::new(&sections.keys.prefix),
            hasher: hasher(&secrets),
            clock: Arc::clone(&clock),
        }));
        Ok(Self { stores, operator, secrets, clock, store_kind, store_place, redis })
    }
}

/// Seals in the form that the configuration asks for: in Redis a predecessor may have to read it.
pub(crate) fn keyring(secrets: &Secrets, config: &Config) -> Keyring {
    let format = match config.seal() {
        SealChoice::Aead => SealFormat::Aead,
        SealChoice::Legacy => SealFormat::Legacy,
    };
    Keyring::new(&secrets.encryption_key, format)
}

/// Digests API keys, those that came from elsewhere too.
pub(crate) fn hasher(secrets: &Secrets) -> KeyHasher {
    KeyHasher::new(&secrets.encryption_key).with_former(secrets.former_encryption_keys().to_vec())
}

async fn holds_anything(stores: &Stores, redis: Option<&RedisStore>) -> Result<bool, StoreError> {
    // Listing takes what v2 left into v1's indexes: not before it is known that all is well.
    if let Some(redis) = redis {
        return Ok(redis.traces().await?.entries);
    }
    Ok(!stores.accounts.list().await?.is_empty() || !stores.keys.list().await?.is_empty())
}

fn open_sqlite(config: &Config, access: Access) -> Result<(Stores, String)> {
    let section = &config.sections.store;
    let path: PathBuf = section.data_dir.join(DATABASE);
    let options = SqliteOptions {
        calendar: section.calendar(),
        record_capacity: section.records(),
        record_lifetime: section.record_lifetime(),
        access,
    };
    let store = SqliteStore::open(&path, options)
        .with_context(|| format!("cannot open the store {}", path.display()))?;
    Ok((store.stores(), path.display().to_string()))
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
}
