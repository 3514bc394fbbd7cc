//! The configuration, read once: built-in defaults, below `relay.toml`, below `.env`, below the
//! environment.
//!
//! Nothing else in Relay reads the environment. Every value knows where it came from, so that
//! `config show` can say it. Text that is blank counts as not set, as compose files write it. Every
//! variable of v1 and v2 is either a setting or named as ignored.

mod compat;
mod cors;
mod dotenv;
mod environment;
mod error;
mod health;
mod ignored;
mod layers;
mod logging;
mod metrics;
mod notices;
mod objections;
mod pricing;
mod redis;
mod seal;
mod security;
mod server;
mod settings;
mod shape;
mod sticky;
mod store;
mod upstream;
mod webhooks;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use layers::{FileLayer, Layers};
use objections::Objections;
use serde::Deserialize;

pub(crate) use compat::Compat;
pub(crate) use cors::CorsSection;
pub(crate) use environment::Environment;
pub(crate) use error::{ConfigError, Problem};
pub(crate) use health::HealthSection;
pub(crate) use logging::{LogFormat, LogLevel, LoggingSection};
pub(crate) use metrics::MetricsSection;
pub(crate) use notices::Notices;
pub(crate) use pricing::PricingSection;
use redis::RedisSection;
pub(crate) use seal::SealChoice;
pub(crate) use security::{AdminSection, KeysSection, SecretsSection};
pub(crate) use server::ServerSection;
pub(crate) use settings::{SETTINGS, Setting, Shown};
pub(crate) use sticky::StickySection;
pub(crate) use store::{StoreKind, StoreSection};
pub(crate) use upstream::UpstreamSection;
pub(crate) use webhooks::WebhooksSection;

/// Names a configuration file other than `relay.toml` in the working directory.
pub(crate) const FILE_VARIABLE: &str = "RELAY_CONFIG";
/// The configuration file that is read if it is there.
const DEFAULT_FILE: &str = "relay.toml";
/// Variables for those that have no other way to set them.
const DOTENV_FILE: &str = ".env";

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
    pub(crate) sticky: StickySection,
    pub(crate) health: HealthSection,
    pub(crate) cors: CorsSection,
    pub(crate) pricing: PricingSection,
    pub(crate) webhooks: WebhooksSection,
    pub(crate) metrics: MetricsSection,
}

/// The configuration of this process.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) sections: Sections,
    /// By path; what is not here is a default.
    origins: BTreeMap<&'static str, String>,
    notices: Notices,
}

/// Which files to read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FileChoice {
    /// The one that the environment names, or `relay.toml` in the working directory if it is there; and
    /// `.env` there.
    Usual,
    /// None.
    Ignored,
}

impl Config {
    /// Reads the configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming every setting that cannot be used and where its value came from.
    pub(crate) fn load(environment: &Environment, choice: FileChoice) -> Result<Self, ConfigError> {
        let (config, problems) = Self::examine(environment, choice)?;
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::Refused(problems)) }
    }

    /// Reads the configuration as far as it can be used, with all that is wrong with it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if a file cannot be read at all.
    pub(crate) fn examine(
        environment: &Environment,
        choice: FileChoice,
    ) -> Result<(Self, Vec<Problem>), ConfigError> {
        let folder = match choice {
            FileChoice::Usual => Some(Path::new("")),
            FileChoice::Ignored => None,
        };
        Self::examine_in(environment.clone(), folder)
    }

    fn examine_in(
        mut environment: Environment,
        folder: Option<&Path>,
    ) -> Result<(Self, Vec<Problem>), ConfigError> {
        let mut file = None;
        if let Some(folder) = folder {
            if let Some(text) = read_if_there(&folder.join(DOTENV_FILE))? {
                environment = environment.above_dotenv(&text);
            }
            file = read_file(&environment, folder)?;
        }
        let mut layers = Layers::new(file, &environment);
        let compat = layers.adopt_defaults();
        let mut problems = Vec::new();
        // One that is wrong hides the others, so it is taken out to find them.
        let mut sections: Sections = loop {
            match layers.figment().extract() {
                Ok(sections) => break sections,
                Err(error) => {
                    problems.push(Problem::of_value(&error));
                    if !layers.forget(&error) {
                        break Sections::default();
                    }
                }
            }
        };
        sections.store.compat = compat;
        if compat.is_some() {
            sections.store.count_as_before();
        }
        let figment = layers.figment();
        let origin = |path: &str| figment.find_metadata(path).map(|found| found.name.to_string());
        let origins =
            SETTINGS.iter().filter_map(|setting| Some((setting.path, origin(setting.path)?)));
        let mut config = Self { origins: origins.collect(), notices: Notices::default(), sections };
        problems.extend(config.objections());
        config.notices = Notices::of(&config, &environment);
        Ok((config, problems))
    }

    /// Where the value of the setting at `path` came from; `None`: it is the default.
    pub(crate) fn origin(&self, path: &str) -> Option<&str> {
        self.origins.get(path).map(String::as_str)
    }

    /// What an operator should know of it.
    pub(crate) fn notices(&self) -> &Notices {
        &self.notices
    }

    /// Whose defaults hold, if a predecessor's do.
    pub(crate) fn compat(&self) -> Option<Compat> {
        self.sections.store.compat
    }

    /// Where things are kept: as the operator says, or in Redis if one is named or was a predecessor's.
    pub(crate) fn store_kind(&self) -> StoreKind {
        let redis = self.sections.redis.is_named() || self.compat().is_some();
        self.sections.store.kind.unwrap_or(if redis { StoreKind::Redis } else { StoreKind::Sqlite })
    }

    /// In which form secrets are sealed.
    pub(crate) fn seal(&self) -> SealChoice {
        match self.store_kind() {
            StoreKind::Sqlite => SealChoice::Aead,
            StoreKind::Redis => self.sections.store.seal,
        }
    }

    /// The database of a Redis that is not named by a URL, if one is chosen: as the operator says, or the
    /// predecessor's usual one.
    pub(crate) fn chosen_database(&self) -> Option<u8> {
        self.sections.redis.db.or_else(|| self.compat().map(Compat::database))
    }

    /// The database that is taken unless another one turns out to be used: the chosen one, or v2's.
    pub(crate) fn redis_database(&self) -> u8 {
        self.chosen_database().unwrap_or(Compat::V2.database())
    }

    fn objections(&self) -> Vec<Problem> {
        let sections = &self.sections;
        let mut objections = Objections::default();
        sections.server.validate(&mut objections);
        sections.store.validate(&mut objections);
        sections.redis.validate(&mut objections);
        sections.secrets.validate(self.compat(), &mut objections);
        sections.admin.validate(&mut objections);
        sections.keys.validate(&mut objections);
        sections.upstream.validate(&mut objections);
        sections.sticky.validate(&mut objections);
        sections.health.validate(&mut objections);
        sections.cors.validate(&mut objections);
        sections.pricing.validate(&mut objections);
        sections.webhooks.validate(&mut objections);
        sections.metrics.validate(sections.server.address(), &mut objections);
        objections.into_problems(|path| self.origin(path).unwrap_or("the default").to_owned())
    }
}

/// The file that the environment names, or the usual one if it is there.
fn read_file(environment: &Environment, folder: &Path) -> Result<Option<FileLayer>, ConfigError> {
    let named = environment.get(FILE_VARIABLE).map(PathBuf::from);
    let path = named.clone().unwrap_or_else(|| folder.join(DEFAULT_FILE));
    match read_if_there(&path)? {
        Some(text) => FileLayer::new(&path, &text).map(Some),
        None if named.is_none() => Ok(None),
        None => {
            let cause = std::io::ErrorKind::NotFound.into();
            Err(ConfigError::Unreadable { path, cause })
        }
    }
}

fn read_if_there(path: &Path) -> Result<Option<String>, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(ConfigError::Unreadable { path: path.to_owned(), cause }),
    }
}

#[cfg(test)]
mod tests;
