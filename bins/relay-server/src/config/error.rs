//! Why a configuration is not taken.

use std::fmt;
use std::path::PathBuf;

use figment::error::{Kind, OneOf};

/// Why a configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// A file cannot be read.
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
    /// Settings cannot be used.
    #[error("{}", in_lines(.0))]
    Refused(Vec<Problem>),
    /// Nothing is wrong, but warnings were to count.
    #[error("there are {0} warnings")]
    Doubtful(usize),
}

/// What is wrong with one setting. The text names it; it shows no secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Problem {
    /// The file holds a setting that does not exist.
    Unknown {
        /// Which file.
        origin: String,
        /// The name that was found.
        name: String,
        /// Which names there are.
        known: String,
    },
    /// A value is of the wrong type, makes no sense, or contradicts another.
    Unusable {
        /// The setting.
        path: String,
        /// Where its value came from.
        origin: String,
        /// What is wrong with it.
        why: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { origin, name, known } => {
                write!(f, "{origin}: there is no setting `{name}`; there {known}")
            }
            Self::Unusable { path, origin, why } => {
                write!(f, "{path} (from {origin}) cannot be used: {why}")
            }
        }
    }
}

impl Problem {
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
            Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => Self::Unusable {
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
            | Kind::UnsupportedKey(..)) => Self::Unusable { path, origin, why: other.to_string() },
        }
    }
}

/// One problem in one line, several below each other.
fn in_lines(problems: &[Problem]) -> String {
    match problems {
        [one] => one.to_string(),
        several => several
            .iter()
            .fold(format!("{} settings cannot be used:", several.len()), |told, problem| {
                format!("{told}\n  {problem}")
            }),
    }
}

/// A type as people call it.
fn in_words(expected: &str) -> &str {
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u64" => "a whole number",
        "f64" => "a number",
        "a boolean" => "true, 1, yes or on, or false, 0, no or off",
        other => other,
    }
}
