//! `cargo xtask ci`: every check, quickest first, ending at the first that fails.
#![expect(clippy::print_stdout, reason = "a developer wants to see which check runs")]

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use crate::command::CommandLine;

/// Runs every check.
///
/// # Errors
///
/// Fails with the name of the first check that fails, and the command to repeat it.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    ensure!(arguments.is_empty(), "ci takes no arguments");
    let started = Instant::now();
    for (name, command) in steps() {
        let step_started = Instant::now();
        println!("\n== {name}: {command}");
        command.run().with_context(|| format!("{name} failed"))?;
        println!("== {name}: passed in {:.1} s", step_started.elapsed().as_secs_f64());
    }
    println!("\nall checks passed in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn steps() -> Vec<(&'static str, CommandLine)> {
    let step = |name, line| (name, CommandLine::new(line));
    vec![
        step("format", "cargo fmt --all --check"),
        step("tidy", "cargo test -p xtask --test tidy --locked"),
        step(
            "clippy",
            "cargo clippy --workspace --all-targets --all-features --locked -- -D warnings",
        ),
        // The README's command, so that what a newcomer runs is what CI runs.
        step("tests", "cargo xtask test --clients --contract"),
        step("doc tests", "cargo test --doc --workspace --locked"),
        (
            "docs",
            CommandLine::new("cargo doc --no-deps --document-private-items --workspace --locked")
                .env("RUSTDOCFLAGS", "-Dwarnings"),
        ),
        step("dependencies", "cargo deny check bans licenses sources"),
        step("openapi", "cargo xtask openapi --check"),
    ]
}
