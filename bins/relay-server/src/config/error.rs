//! Why a configuration is not taken.

use std::path::PathBuf;

use figment::error::{Kind, OneOf};

/// Why a configuration is not taken. Each message names the setting; none shows a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{} is not valid TOML: {why}", path.display())]
    NotToml {
        /// Which file.
        path: PathBuf,
        /// What its reader says.
        why: String,
    },
    /// The file holds a setting that does not exist.
    #[error("{origin}: there is no setting `{name}`; there {known}")]
    Unknown {
        /// Which file.
        origin: String,
        /// The name that was found.
        name: String,
        /// Which names there are.
        known: String,
    },
    /// A value is of the wrong type.
    #[error("{path} (from {origin}) cannot be used: {why}")]
    Malformed {
        /// The setting.
        path: String,
        /// Where its value came from.
        origin: String,
        /// What is wrong with it.
        why: String,
    },
    /// A value is outside of what makes sense, or contradicts another.
    #[error("{path} (from {origin}) cannot be used: {why}")]
    Refused {
        /// The setting.
        path: &'static str,
        /// Where its value came from.
        origin: String,
        /// What is wrong with it.
        why: String,
    },
}

impl ConfigError {
    /// Says what figment found wrong with a value. A secret may stand in the wrong place, so found text
    /// is not repeated.
    pub(super) fn of_value(error: &figment::Error) -> Self {
        let origin =
            error.metadata.as_ref().map_or("relay.toml".into(), |source| source.name.to_string());
        let path = error.path.join(".");
        match &error.kind {
            Kind::UnknownField(field, known) => {
                let name = if path.is_empty() { field.clone() } else { path };
                let known = if known.is_empty() {
                    "are none".into()
                } else {
                    format!("are {}", OneOf(known))
                };
                Self::Unknown { origin, name, known }
            }
            Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => Self::Malformed {
                path,
                origin,
                why: format!("expected {}", in_words(expected.as_str())),
            },
            other @ (Kind::Message(_)
            | Kind::InvalidLength(..)
            | Kind::UnknownVariant(..)
            | Kind::MissingField(_)
            | Kind::DuplicateField(_)
            | Kind::ISizeOutOfRange(_)
            | Kind::USizeOutOfRange(_)
            | Kind::Unsupported(_)
            | Kind::UnsupportedKey(..)) => Self::Malformed { path, origin, why: other.to_string() },
        }
    }
}

/// A type as people call it.
fn in_words(expected: &str) -> &str {
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u64" => "a whole number",
        "f64" => "a number",
        other => other,
    }
}
