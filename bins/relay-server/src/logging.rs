//! The log: on standard error, little of it, never a secret.

use std::io::{self, IsTerminal as _};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::config::{LogFormat, LogLevel, LoggingSection};

/// What Relay's own crates begin with.
const OWN: &str = "relay";

/// Starts the log.
///
/// # Errors
///
/// Fails if there is one already.
pub(crate) fn start(section: &LoggingSection) -> Result<(), TryInitError> {
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    let layer = match section.format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter(section.level))).try_init()
}

/// Libraries only warn, at whatever level: below that, those for HTTP would log headers, with keys in them.
fn filter(level: LogLevel) -> Targets {
    let ours = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new().with_default(ours.min(LevelFilter::WARN)).with_target(OWN, ours)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn libraries_never_say_more_than_a_warning() {
        let cases = [
            (LogLevel::Trace, "relay_engine::attempt", Level::TRACE, true),
            (LogLevel::Trace, "h2::codec", Level::DEBUG, false),
            (LogLevel::Trace, "h2::codec", Level::WARN, true),
            (LogLevel::Info, "relay_engine::attempt", Level::DEBUG, false),
            (LogLevel::Info, "relay_server", Level::INFO, true),
            (LogLevel::Error, "hyper", Level::WARN, false),
            (LogLevel::Off, "relay_engine", Level::ERROR, false),
        ];
        for (level, target, of, expected) in cases {
            assert_eq!(
                filter(level).would_enable(target, &of),
                expected,
                "{target} {of} at {level}"
            );
        }
    }
}
