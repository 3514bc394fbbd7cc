//! `cargo xtask test`: every test of the workspace, after seeing to what they need.
#![expect(clippy::print_stdout, reason = "a developer wants to see what runs")]

use anyhow::Result;

use crate::command::CommandLine;
use crate::{clients, machine, workspace};

/// The feature of the end-to-end crate that holds the tests with the real SDKs.
const CLIENTS_FEATURE: &str = "relay-e2e/clients";

/// Runs the tests; `--clients` adds those that drive the Anthropic SDKs, the rest goes to nextest.
///
/// # Errors
///
/// Fails when a test fails, or when the machine lacks something that cannot be installed from here.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (ours, for_nextest): (Vec<String>, Vec<String>) =
        arguments.iter().cloned().partition(|argument| argument == "--clients");
    let with_clients = !ours.is_empty();

    machine::REDIS.ensure()?;
    machine::ensure_nextest()?;
    // Before the long build: a registry that cannot be reached should be known at once.
    let sdks = if with_clients { Some(clients::prepare()?) } else { None };
    let features = with_clients.then_some(CLIENTS_FEATURE);
    let server = workspace::build_for_tests(features)?;

    let mut nextest = CommandLine::new("cargo nextest run --workspace --locked");
    if std::env::var_os("CI").is_some_and(|value| value == "true") {
        nextest = nextest.arg("--profile").arg("ci");
    }
    if let Some(features) = features {
        nextest = nextest.arg("--features").arg(features);
    }
    if let Some(folder) = sdks {
        nextest = nextest.env("RELAY_CLIENTS_DIR", folder.display().to_string());
    }
    let nextest = nextest.env("RELAY_SERVER_BIN", server.display().to_string()).args(&for_nextest);
    println!("{nextest}");
    nextest.run()
}
