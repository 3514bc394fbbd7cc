//! The layers of the configuration, each value labelled with its origin: a predecessor's defaults, the
//! file, the environment.

use std::path::Path;

use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::compat::{Compat, DefaultValue};
use super::settings::SETTINGS;
use super::{ConfigError, Environment};

/// The layers, the lowest first.
pub(super) struct Layers {
    file: Option<FileLayer>,
    values: Vec<ValueLayer>,
    compat: Vec<ValueLayer>,
}

impl Layers {
    /// The file, if there is one, and above it what the environment says.
    pub(super) fn new(file: Option<FileLayer>, environment: &Environment) -> Self {
        let values = SETTINGS.iter().flat_map(|setting| {
            let given = setting.variables().filter_map(|(name, shape)| {
                let value = environment.read(name, shape)?;
                Some(ValueLayer { origin: environment.label(name), path: setting.path, value })
            });
            // The first name holds, so it comes last.
            given.collect::<Vec<_>>().into_iter().rev()
        });
        Self { file, values: values.collect(), compat: Vec::new() }
    }

    /// Puts the defaults of the predecessor that is named below everything, if one is.
    pub(super) fn adopt_defaults(&mut self) -> Option<Compat> {
        let compat = self.figment().extract_inner::<Compat>("store.compat").ok()?;
        let origin = format!("default of {compat}");
        let layer = |(path, value): &(&'static str, DefaultValue)| {
            let value = match value {
                DefaultValue::Whole(number) => Value::from(*number),
                DefaultValue::Hours(hours) => Value::from(*hours),
            };
            ValueLayer { origin: origin.clone(), path, value }
        };
        self.compat = compat.defaults().iter().map(layer).collect();
        Some(compat)
    }

    /// All of them, merged.
    pub(super) fn figment(&self) -> Figment {
        let figment = self.compat.iter().fold(Figment::new(), Figment::merge);
        let figment = self.file.iter().fold(figment, Figment::merge);
        self.values.iter().fold(figment, Figment::merge)
    }

    /// Takes out the value that `error` is about, so that what else is wrong can be found. `false`: it
    /// cannot be told which.
    pub(super) fn forget(&mut self, error: &figment::Error) -> bool {
        let path = match (&error.kind, error.path.as_slice()) {
            (figment::error::Kind::UnknownField(field, _), []) => vec![field.clone()],
            (_, path) => path.to_vec(),
        };
        let origin = error.metadata.as_ref().map(|metadata| metadata.name.as_ref());
        let before = self.values.len();
        self.values
            .retain(|layer| Some(layer.origin.as_str()) != origin || layer.path != path.join("."));
        let in_environment = self.values.len() < before;
        in_environment || self.file.as_mut().is_some_and(|file| file.forget(&path))
    }
}

/// One value.
struct ValueLayer {
    origin: String,
    path: &'static str,
    value: Value,
}

impl Provider for &ValueLayer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
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

    /// Takes out what is at `path`.
    fn forget(&mut self, path: &[String]) -> bool {
        let Some((last, sections)) = path.split_last() else { return false };
        self.data.values_mut().any(|dict| {
            let section = sections.iter().try_fold(dict, |dict, name| match dict.get_mut(name) {
                Some(Value::Dict(_, inner)) => Some(inner),
                Some(_) | None => None,
            });
            section.is_some_and(|section| section.remove(last).is_some())
        })
    }
}

impl Provider for &FileLayer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(self.data.clone())
    }
}
