//! `[log]`: how much is said on standard error, and in what form.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// How much is said on standard error, and in what form.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LoggingSection {
    pub(crate) level: LogLevel,
    pub(crate) format: LogFormat,
}

/// How much is said. Reads the names of v1 (winston) and of v2 (pino).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum LogLevel {
    /// Nothing.
    Off,
    /// Failures that need an operator.
    Error,
    /// Failures that heal.
    Warn,
    /// What happens rarely and matters.
    #[default]
    Info,
    /// What helps to find a mistake.
    Debug,
    /// Everything.
    Trace,
}

/// In what form it is said.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

impl LogLevel {
    fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "silent" | "off" => Self::Off,
            "fatal" | "error" => Self::Error,
            "warn" => Self::Warn,
            // winston's `http` is one line a request, which Relay does not write.
            "info" | "http" => Self::Info,
            "verbose" | "debug" => Self::Debug,
            "silly" | "trace" => Self::Trace,
            _ => return None,
        })
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        })
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

impl<'de> Deserialize<'de> for LogLevel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::parse(&name).ok_or_else(|| {
            serde::de::Error::custom(
                "expected error, warn, info, debug, trace or silent (also fatal, http, verbose, silly)",
            )
        })
    }
}
