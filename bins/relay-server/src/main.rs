//! Relay: the relay between AI coding clients and their model providers.
//!
//! This binary composes and nothing else: it reads the command line and the configuration, opens a store,
//! and hands the parts to the crates that do the work. No other crate reads the environment.

mod cli;
mod commands;
mod config;
mod demo;
mod installation;
mod logging;
mod predecessor_login;
mod redis_marker;
mod redis_place;
mod secrets_file;
mod serve;
mod terminal;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use tokio::runtime::{Builder, Runtime};

use crate::cli::{Cli, Command};
use crate::config::{Config, ConfigError, Environment, FileChoice};

// Measured: a request costs a tenth less CPU than with the system's allocator, whose lists of large free
// blocks are walked with every request's body. How it is set is in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
/// What a shell knows as a configuration error (`EX_USAGE` in sysexits.h).
const CONFIG_ERROR: u8 = 64;
/// What a wrong command line ends with, as the parser has it.
const MISUSED: u8 = 2;

fn main() -> ExitCode {
    match run(Cli::parse().command.unwrap_or(Command::Serve)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let told = match error.downcast_ref::<clap::Error>() {
                Some(misuse) => misuse.to_string(),
                None => format!("relay-server: {}", in_full(&error)),
            };
            terminal::say(told.trim_end());
            status(&error)
        }
    }
}

/// What the process ends with.
fn status(error: &anyhow::Error) -> ExitCode {
    if error.is::<clap::Error>() {
        ExitCode::from(MISUSED)
    } else if error.is::<ConfigError>() {
        ExitCode::from(CONFIG_ERROR)
    } else {
        ExitCode::FAILURE
    }
}

fn run(command: Command) -> Result<()> {
    let configured = || Config::load(&Environment::of_process(), FileChoice::Usual);
    // Only what serves logs at the configured level; a command's own words are enough.
    match command {
        Command::Serve => {
            let config = configured()?;
            logging::start(&config.sections.log)?;
            runtime()?.block_on(serve::serve(&config))
        }
        Command::Demo(arguments) => demo::run(arguments),
        Command::Sandbox(arguments) => runtime()?.block_on(commands::sandbox::run(arguments)),
        Command::Account(command) => {
            runtime()?.block_on(commands::account::run(command, &configured()?))
        }
        Command::Key(command) => runtime()?.block_on(commands::key::run(command, &configured()?)),
        Command::Admin(command) => {
            runtime()?.block_on(commands::admin::run(&command, &configured()?))
        }
        Command::Config(command) => commands::config::run(&command, &Environment::of_process()),
        Command::Adopt(arguments) => {
            runtime()?.block_on(commands::adopt::run(arguments, &configured()?))
        }
        Command::Release => runtime()?.block_on(commands::release::run(&configured()?)),
        Command::Export(arguments) => {
            runtime()?.block_on(commands::export::run(&arguments, &configured()?))
        }
        Command::Import(arguments) => {
            runtime()?.block_on(commands::import::run(&arguments, &configured()?))
        }
        Command::Reprice(arguments) => {
            runtime()?.block_on(commands::reprice::run(arguments, &configured()?))
        }
        Command::Openapi => {
            terminal::print(relay_api::openapi::document());
            Ok(())
        }
    }
}

/// An error with its causes. Some say their cause themselves; those are not repeated.
fn in_full(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        _ if told.contains(&cause) => told,
        _ => format!("{told}: {cause}"),
    })
}

/// A runtime of one thread: the one that runs it.
///
/// # Errors
///
/// Fails if the operating system gives no event queue.
fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("cannot start a runtime")
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn the_status_tells_wrong_usage_from_a_wrong_configuration_and_from_a_failure() {
        assert_eq!(status(&Cli::misused("no").into()), ExitCode::from(2));
        assert_eq!(status(&ConfigError::Doubtful(1).into()), ExitCode::from(64));
        assert_eq!(status(&anyhow!("no")), ExitCode::FAILURE);
    }

    #[test]
    fn an_error_is_told_with_its_causes_and_without_repetition() {
        let error = anyhow!("refused").context("no Redis: refused").context("cannot start");
        assert_eq!(in_full(&error), "cannot start: no Redis: refused");
    }
}
