//! `cargo xtask check-binary`: whether a binary is what its image says it is. An image for one machine with a
//! binary for another starts nowhere, and nobody sees it until somebody pulls it.
#![expect(clippy::print_stdout, reason = "a developer wants to see what was found")]

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use crate::elf::{Executable, Machine};
use crate::trial::Way;

const USAGE: &str =
    "check-binary takes a file, --platform linux/amd64 or linux/arm64, and --static";

/// What a binary has to be.
#[derive(Debug, Default, Eq, PartialEq)]
struct Wanted<'a> {
    path: &'a str,
    machine: Option<Machine>,
    is_static: bool,
}

/// Reads the head of a binary, compares it with what is wanted, and starts it in every way that this machine
/// has.
///
/// # Errors
///
/// Fails if it is something else, or does not run.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let wanted = wanted(arguments)?;
    let path = wanted.path;
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {path}"))?;
    let found = Executable::parse(&bytes).with_context(|| format!("{path} cannot be shipped"))?;
    compare(&wanted, found)?;
    start(Path::new(path), found)
}

/// Starts a binary in every way that this machine has, and says what it found.
///
/// # Errors
///
/// Fails if it does not run in one of them.
pub(crate) fn start(path: &Path, found: Executable) -> Result<()> {
    let linking = if found.is_static { "static" } else { "dynamic" };
    println!("{}: {}, {linking}", path.display(), found.machine.platform());
    let ways = Way::all(found);
    if ways.is_empty() {
        println!(
            "  not run: it is for another machine than this one, and there is no emulator for it"
        );
    }
    for way in ways {
        let version = way.try_out(path).with_context(|| format!("it does not run {way}"))?;
        println!("  {version} runs {way}");
    }
    Ok(())
}

fn compare(wanted: &Wanted<'_>, found: Executable) -> Result<()> {
    let Wanted { path, machine, is_static } = wanted;
    if let Some(machine) = machine {
        ensure!(
            *machine == found.machine,
            "{path} is for {}, not for {}",
            found.machine.platform(),
            machine.platform()
        );
    }
    ensure!(!is_static || found.is_static, "{path} needs a loader: it is not static");
    Ok(())
}

fn wanted(arguments: &[String]) -> Result<Wanted<'_>> {
    let mut wanted = Wanted::default();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--static" => wanted.is_static = true,
            "--platform" => {
                let platform = arguments.next().context(USAGE)?;
                let machine = Machine::ALL.into_iter().find(|known| known.platform() == platform);
                wanted.machine = Some(machine.context(USAGE)?);
            }
            path if wanted.path.is_empty() && !path.starts_with("--") => wanted.path = path,
            _ => bail!(USAGE),
        }
    }
    ensure!(!wanted.path.is_empty(), USAGE);
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn what_is_wanted_is_read() {
        let given = words("relay-server --platform linux/arm64 --static");
        let expected =
            Wanted { path: "relay-server", machine: Some(Machine::Arm64), is_static: true };
        assert_eq!(wanted(&given).unwrap(), expected);
        for wrong in ["", "--static", "a b", "a --platform", "a --platform windows", "a --other"] {
            assert!(wanted(&words(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_binary_for_another_machine_is_refused() {
        let amd64 = Executable { machine: Machine::Amd64, is_static: false };
        let wanted = |machine, is_static| Wanted { path: "p", machine, is_static };
        assert!(compare(&wanted(None, false), amd64).is_ok());
        assert!(compare(&wanted(Some(Machine::Amd64), false), amd64).is_ok());
        assert!(compare(&wanted(Some(Machine::Arm64), false), amd64).is_err());
        assert!(compare(&wanted(None, true), amd64).is_err());
    }
}
