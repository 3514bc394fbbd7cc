//! The environment and the file as layers of the configuration, each value labelled with its origin.

use std::collections::BTreeMap;
use std::path::Path;

use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use super::settings::{SETTINGS, Shape};
use super::{ConfigError, FILE_VARIABLE};

/// What Relay's own variables begin with.
const OWN_PREFIX: &str = "RELAY_";
/// Variables of Relay's tests, which no configuration reads.
const TEST_PREFIX: &str = "RELAY_TEST_";

/// The environment variables of a process, or of a test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// This process's. What is not Unicode cannot be a setting.
    pub(crate) fn of_process() -> Self {
        let unicode = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self(unicode.collect())
    }

    /// The value of `name`, unless it is empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Gives `name` a value.
    #[cfg(test)]
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// One layer for each setting that is given.
    pub(super) fn layers(&self) -> impl Iterator<Item = VariableLayer> {
        SETTINGS.iter().filter_map(|setting| {
            let value = self.get(setting.variable)?;
            let value = match setting.shape {
                Shape::Number => number(value),
                Shape::Switch => Value::from(value == "true"),
                Shape::Text => Value::from(value),
            };
            Some(VariableLayer { variable: setting.variable, path: setting.path, value })
        })
    }

    /// Variables that begin like Relay's but are none of its settings.
    pub(super) fn strays(&self) -> Vec<String> {
        let known = |name: &str| {
            name == FILE_VARIABLE || SETTINGS.iter().any(|setting| setting.variable == name)
        };
        let ours = |name: &str| name.starts_with(OWN_PREFIX) && !name.starts_with(TEST_PREFIX);
        self.0.keys().filter(|name| ours(name) && !known(name)).cloned().collect()
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }
}

/// The text of a variable as a number, if it is one; otherwise the section refuses the text.
fn number(text: &str) -> Value {
    let text = text.trim();
    if let Ok(whole) = text.parse::<u64>() {
        return Value::from(whole);
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Value::from(whole);
    }
    text.parse::<f64>().map_or_else(|_| Value::from(text), Value::from)
}

/// One environment variable.
pub(super) struct VariableLayer {
    variable: &'static str,
    path: &'static str,
    value: Value,
}

impl Provider for VariableLayer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.variable)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let (section, name) = self.path.split_once('.').unwrap_or(("", self.path));
        let section_dict = Dict::from([(name.to_owned(), self.value.clone())]);
        let dict = Dict::from([(section.to_owned(), Value::from(section_dict))]);
        Ok(Map::from([(Profile::Default, dict)]))
    }
}

/// The configuration file.
pub(super) struct FileLayer {
    name: String,
    data: Map<Profile, Dict>,
}

impl FileLayer {
    /// Reads `text`, the content of the file at `path`.
    pub(super) fn new(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let data = Toml::string(text).data().map_err(|error| ConfigError::NotToml {
            path: path.to_owned(),
            why: error.kind.to_string(),
        })?;
        Ok(Self { name: path.display().to_string(), data })
    }
}

impl Provider for FileLayer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(self.data.clone())
    }
}
