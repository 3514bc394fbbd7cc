//! `cargo xtask bench`: Relay beside nginx and a direct connection, in one interleaved run.
//!
//! The proxies share one core, the load and the upstream the other. Every round gives each candidate a
//! short slice of each measure, one after the other, so that whatever else the machine does hits all
//! of them; ratios are taken inside a round, and the table shows medians over the rounds.
#![expect(clippy::print_stdout, reason = "the table is what the benchmark is for")]

mod candidate;
mod job;
mod load;
mod measures;
mod nginx;
mod options;
mod probe;
mod relay;
mod report;
mod results;
mod sandbox;
mod server;
mod slice;

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::command::CommandLine;
use crate::{machine, workspace};
use candidate::Candidates;
use options::Options;
use results::Results;
pub(crate) use server::free_address;

/// The hidden task that the load process runs.
pub(crate) const LOAD_TASK: &str = "bench-load";

/// The programs that a run is made of.
struct Binaries {
    /// Relay, and the sandbox.
    server: PathBuf,
    /// This program, optimised: as the load process.
    load: PathBuf,
}

/// Builds, measures, prints the table, and writes the figures where `--json` says.
///
/// # Errors
///
/// Fails when the machine lacks a program, a candidate does not start, or any request fails.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments)?;
    for tool in [machine::TASKSET, machine::NGINX, machine::REDIS] {
        tool.ensure()?;
    }
    let binaries = build(&options)?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut candidates = Candidates::start(&binaries, folder.path())?;
    let mut results = Results::default();
    for round in 1..=options.stream_rounds {
        println!("streams, round {round} of {}", options.stream_rounds);
        measures::open_streams(&mut candidates, &binaries, &options, &mut results)?;
    }
    for round in 1..=options.rounds {
        println!("requests, round {round} of {}", options.rounds);
        measures::requests(&candidates, &binaries, &options, &mut results)?;
    }
    println!("\n{}", report::table(&results));
    if let Some(path) = &options.json {
        let json = format!("{:#}\n", report::json(&results, &options));
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// What the hidden task does.
///
/// # Errors
///
/// Fails when an answer is not what it must be.
pub(crate) fn run_load(arguments: &[String]) -> Result<()> {
    load::run(arguments)
}

fn build(options: &Options) -> Result<Binaries> {
    let release = workspace::target_directory()?.join("release");
    CommandLine::new("cargo build --release --locked -p xtask").run()?;
    let server = if let Some(server) = &options.server {
        server.clone()
    } else {
        CommandLine::new("cargo build --release --locked -p relay-server").run()?;
        release.join("relay-server")
    };
    Ok(Binaries { server, load: release.join("xtask") })
}
