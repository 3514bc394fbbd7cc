//! What a run of the benchmark measures, and for how long.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// Streams that are open at once while memory and the cost of events are measured.
pub(crate) const OPEN_STREAMS: u32 = 1000;

/// Streams over which the time to the first token is taken.
pub(crate) const FIRST_TOKEN_STREAMS: u32 = 200;

/// Requests a second of the latency measure: far from any candidate's limit.
pub(crate) const LATENCY_RATE: u32 = 300;

/// Connections of the closed loops, with small and with large requests.
pub(crate) const SMALL_CONNECTIONS: u32 = 64;
pub(crate) const LARGE_CONNECTIONS: u32 = 12;

/// Body sizes: a short question, and a turn of a coding conversation.
pub(crate) const SMALL_BODY_BYTES: usize = 2_000;
pub(crate) const LARGE_BODY_BYTES: usize = 200_000;

/// The command line, understood.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    /// How often every candidate gets its slice of each measure.
    pub(crate) rounds: u32,
    /// How often every proxy is started afresh for the measures of open streams.
    pub(crate) stream_rounds: u32,
    /// How long one slice is measured.
    pub(crate) slice: Duration,
    /// Where the figures go as JSON.
    pub(crate) json: Option<PathBuf>,
    /// A server that is already built, for comparing with an older one.
    pub(crate) server: Option<PathBuf>,
}

impl Options {
    /// Reads the arguments after `bench`.
    ///
    /// # Errors
    ///
    /// Fails on an argument that it does not know or that lacks its value.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self {
            rounds: 5,
            stream_rounds: 3,
            slice: Duration::from_secs(3),
            json: None,
            server: None,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => {
                    options.rounds = 2;
                    options.stream_rounds = 1;
                    options.slice = Duration::from_secs(1);
                }
                "--json" => options.json = Some(file(argument, arguments.next())?),
                "--server" => options.server = Some(file(argument, arguments.next())?),
                unknown => {
                    bail!("bench takes --quick, --json FILE, --server FILE, not `{unknown}`")
                }
            }
        }
        Ok(options)
    }
}

/// The path is kept whole: the benchmark's children run in other folders.
fn file(argument: &str, value: Option<&String>) -> Result<PathBuf> {
    let value = value.with_context(|| format!("{argument} needs a file name"))?;
    std::path::absolute(value).with_context(|| format!("{value} is no path"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_understood_or_refused() {
        let parse = |line: &str| {
            Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        };
        let full = parse("").unwrap();
        let quick = parse("--quick --json /a/b.json").unwrap();
        assert!(quick.rounds < full.rounds && quick.slice < full.slice);
        assert_eq!(quick.json, Some(PathBuf::from("/a/b.json")));
        assert!(parse("--server relay").unwrap().server.unwrap().is_absolute());
        for wrong in ["--json", "--server", "--fast", "x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
