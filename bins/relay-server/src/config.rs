//! The configuration, read once: built-in defaults, below `relay.toml`, below the environment.
//!
//! Nothing else in Relay reads the environment. Every value knows where it came from, so that
//! `config show` can say it. Text that is empty counts as not set, as compose files write it.

mod environment;
mod error;
mod logging;
mod redis;
mod seal;
mod security;
mod server;
mod settings;
mod store;
mod upstream;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::Figment;
use serde::Deserialize;

pub(crate) use environment::Environment;
pub(crate) use error::ConfigError;
pub(crate) use logging::{LogFormat, LogLevel, LoggingSection};
pub(crate) use redis::RedisSection;
pub(crate) use seal::SealChoice;
pub(crate) use security::{AdminSection, KeysSection, SecretsSection};
pub(crate) use server::ServerSection;
pub(crate) use settings::{SETTINGS, Setting, Shown};
pub(crate) use store::{StoreKind, StoreSection};
pub(crate) use upstream::UpstreamSection;

/// Names a configuration file other than `relay.toml` in the working directory.
pub(crate) const FILE_VARIABLE: &str = "RELAY_CONFIG";
/// The configuration file that is read if it is there.
const DEFAULT_FILE: &str = "relay.toml";

/// Everything that can be set.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sections {
    pub(crate) server: ServerSection,
    pub(crate) store: StoreSection,
    pub(crate) redis: RedisSection,
    pub(crate) secrets: SecretsSection,
    pub(crate) admin: AdminSection,
    pub(crate) keys: KeysSection,
    pub(crate) log: LoggingSection,
    pub(crate) upstream: UpstreamSection,
}

/// The configuration of this process.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) sections: Sections,
    /// By path; what is not here is a default.
    origins: BTreeMap<&'static str, String>,
    /// Variables that look like Relay's and are not.
    strays: Vec<String>,
}

/// Which file to read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FileChoice {
    /// The one that the environment names, or `relay.toml` in the working directory if it is there.
    Usual,
    /// None.
    Ignored,
}

impl Config {
    /// Reads the configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming the setting and where its value came from.
    pub(crate) fn load(environment: &Environment, choice: FileChoice) -> Result<Self, ConfigError> {
        let mut figment = Figment::new();
        if let Some((path, text)) = read_file(environment, choice)? {
            figment = figment.merge(environment::FileLayer::new(&path, &text)?);
        }
        for layer in environment.layers() {
            figment = figment.merge(layer);
        }
        let sections: Sections =
            figment.extract().map_err(|error| ConfigError::of_value(&error))?;
        let origin = |path: &str| figment.find_metadata(path).map(|found| found.name.to_string());
        let origins =
            SETTINGS.iter().filter_map(|setting| Some((setting.path, origin(setting.path)?)));
        let config = Self { origins: origins.collect(), strays: environment.strays(), sections };
        config.validate()?;
        Ok(config)
    }

    /// Where the value of the setting at `path` came from; `None`: it is the default.
    pub(crate) fn origin(&self, path: &str) -> Option<&str> {
        self.origins.get(path).map(String::as_str)
    }

    /// Environment variables that begin like Relay's but are none of its settings: misspelled, perhaps.
    pub(crate) fn strays(&self) -> &[String] {
        &self.strays
    }

    /// Where things are kept: as the operator says, or in Redis if one is named.
    pub(crate) fn store_kind(&self) -> StoreKind {
        let named = self.sections.redis.is_named();
        self.sections.store.kind.unwrap_or(if named { StoreKind::Redis } else { StoreKind::Sqlite })
    }

    /// In which form secrets are sealed.
    pub(crate) fn seal(&self) -> SealChoice {
        match self.store_kind() {
            StoreKind::Sqlite => SealChoice::Aead,
            StoreKind::Redis => self.sections.store.seal,
        }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let sections = &self.sections;
        let checks = [
            sections.server.validate(),
            sections.store.validate(),
            sections.redis.validate(),
            sections.secrets.validate(),
            sections.admin.validate(),
            sections.keys.validate(),
            sections.upstream.validate(),
        ];
        match checks.into_iter().find_map(Result::err) {
            None => Ok(()),
            Some(Objection { path, why }) => {
                let origin = self.origin(path).unwrap_or("the default").to_owned();
                Err(ConfigError::Refused { path, origin, why })
            }
        }
    }
}

/// Why a section refuses a value.
pub(crate) struct Objection {
    /// The setting, as in `relay.toml`.
    path: &'static str,
    why: String,
}

impl Objection {
    fn new(path: &'static str, why: impl Into<String>) -> Self {
        Self { path, why: why.into() }
    }
}

/// Refuses a number outside of `range`, in the unit that the setting's name says.
fn within(
    path: &'static str,
    value: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<(), Objection> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Objection::new(
        path,
        format!("{value} is not between {} and {}", range.start(), range.end()),
    ))
}

fn read_file(
    environment: &Environment,
    choice: FileChoice,
) -> Result<Option<(PathBuf, String)>, ConfigError> {
    let named = match choice {
        FileChoice::Ignored => return Ok(None),
        FileChoice::Usual => environment.get(FILE_VARIABLE).map(PathBuf::from),
    };
    let path = named.clone().unwrap_or_else(|| Path::new(DEFAULT_FILE).to_owned());
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => Ok(None),
        Err(cause) => Err(ConfigError::Unreadable { path, cause }),
    }
}

#[cfg(test)]
mod tests;
