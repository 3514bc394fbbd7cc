//! `cargo xtask test`: every test of the workspace, after seeing to what they need.
#![expect(clippy::print_stdout, reason = "a developer wants to see what runs")]

use anyhow::Result;

use crate::clients::{SCHEMATHESIS, SDKS};
use crate::command::CommandLine;
use crate::packages::Package;
use crate::{machine, packages, workspace};

/// Tests that need more than the workspace, behind a flag of `cargo xtask test`.
struct Extra {
    flag: &'static str,
    /// The feature of the end-to-end crate that holds them.
    feature: &'static str,
    /// What they drive.
    packages: &'static [Package],
}

const EXTRAS: [Extra; 3] = [
    Extra { flag: "--clients", feature: "relay-e2e/clients", packages: SDKS },
    Extra {
        flag: "--contract",
        feature: "relay-e2e/contract",
        packages: std::slice::from_ref(&SCHEMATHESIS),
    },
    Extra { flag: "--chaos", feature: "relay-e2e/chaos", packages: &[] },
];

/// Runs the tests; `--clients` adds those that drive the Anthropic SDKs, `--contract` those that try every
/// operation of the `OpenAPI` document, `--chaos` makes those that kill things run at full length, the rest
/// goes to nextest.
///
/// # Errors
///
/// Fails when a test fails, or when the machine lacks something that cannot be installed from here.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let is_flag = |argument: &String| EXTRAS.iter().any(|extra| extra.flag == argument);
    let (ours, for_nextest): (Vec<String>, Vec<String>) =
        arguments.iter().cloned().partition(is_flag);
    let extras: Vec<&Extra> =
        EXTRAS.iter().filter(|extra| ours.iter().any(|flag| flag == extra.flag)).collect();

    machine::REDIS.ensure()?;
    machine::ensure_nextest()?;
    // Before the long build: a registry that cannot be reached should be known at once.
    let wanted: Vec<&Package> = extras.iter().flat_map(|extra| extra.packages).collect();
    let folder = packages::install(&wanted)?;
    let features: Vec<&str> = extras.iter().map(|extra| extra.feature).collect();
    let features = (!features.is_empty()).then(|| features.join(","));
    let server = workspace::build_for_tests(features.as_deref())?;

    let mut nextest = CommandLine::new("cargo nextest run --workspace --locked");
    if std::env::var_os("CI").is_some_and(|value| value == "true") {
        nextest = nextest.arg("--profile").arg("ci");
    }
    if let Some(features) = features {
        nextest = nextest.arg("--features").arg(features);
    }
    nextest = nextest.env("RELAY_CLIENTS_DIR", folder.display().to_string());
    let nextest = nextest.env("RELAY_SERVER_BIN", server.display().to_string()).args(&for_nextest);
    println!("{nextest}");
    nextest.run()
}
