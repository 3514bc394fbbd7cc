//! Relay's development tasks: `cargo xtask` lists them.

mod bench;
mod check_binary;
mod check_image;
mod ci;
mod clients;
mod command;
mod elf;
mod machine;
mod oci;
mod openapi;
mod packages;
mod release;
mod suite;
mod tarball;
mod trial;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
Usage: cargo xtask <task>

  ci                                  every check, quickest first; stops at the first failure
  test [--clients] [--contract] [--chaos] [nextest args...]
                                      every test; --clients adds the real Anthropic SDKs,
                                      --contract every operation of the OpenAPI document,
                                      --chaos two hundred kills instead of ten
  bench [--quick] [--json FILE]       Relay beside nginx and a direct connection
  openapi [--check]                   writes docs/openapi.json, or compares it with the code
  check-binary FILE [--platform linux/amd64|linux/arm64] [--static]
                                      whether a binary is for that machine, and runs
  check-image FILE                    whether an image archive is whole, and its binaries run
  release [--source URL]              static binaries for every platform, their image, checked
";

#[expect(
    clippy::print_stderr,
    reason = "the last word of a command line tool goes to its terminal"
)]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let Some((task, rest)) = arguments.split_first() else { bail!("no task given\n\n{USAGE}") };
    match task.as_str() {
        "ci" => ci::run(rest),
        "test" => suite::run(rest),
        "bench" => bench::run(rest),
        bench::LOAD_TASK => bench::run_load(rest),
        "openapi" => openapi::run(rest),
        "check-binary" => check_binary::run(rest),
        "check-image" => check_image::run(rest),
        "release" => release::run(rest),
        unknown => bail!("unknown task `{unknown}`\n\n{USAGE}"),
    }
}
