//! Whether a `relay-server` starts: says its version, finds nothing wrong in an empty configuration, serves,
//! and ends when it is asked to.

use std::fmt;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::bench::free_address;
use crate::command::CommandLine;
use crate::elf::Executable;
use crate::machine::QEMU;

/// How long it may take to serve, or to end. An emulator takes ten times as long as a processor.
const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);

/// A way to run a binary.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// As any program of this machine.
    Here,
    /// In an emulator, by this command: for another machine, or on a plainer processor than this one.
    Emulated(&'static str),
}

impl Way {
    /// The ways that this machine has for such a binary.
    pub(crate) fn all(binary: Executable) -> Vec<Self> {
        let mut ways = Vec::new();
        if binary.machine.architecture() == std::env::consts::ARCH {
            ways.push(Self::Here);
        }
        // The emulator has no libraries of the other machine to load.
        if binary.is_static && QEMU.is_there() {
            ways.push(Self::Emulated(binary.machine.emulator()));
        }
        ways
    }

    /// Tries the binary, and returns its version.
    ///
    /// # Errors
    ///
    /// Fails with what it said if it does not run, or does not end as it should.
    pub(crate) fn try_out(self, binary: &Path) -> Result<String> {
        let folder = tempfile::tempdir()?;
        let version = self.called(binary, folder.path(), &["--version"])?;
        let version = version.trim().to_owned();
        ensure!(!version.is_empty(), "--version says nothing");
        self.called(binary, folder.path(), &["config", "check"])?;
        self.serve(binary, folder.path()).context("it does not serve")?;
        Ok(version)
    }

    /// A command in an empty folder with an empty environment: nothing of this machine's settings counts.
    fn command(self, binary: &Path, folder: &Path) -> Result<Command> {
        let binary = binary.canonicalize()?;
        let mut command = match self {
            Self::Here => Command::new(binary),
            Self::Emulated(emulator) => {
                let mut emulator = CommandLine::new(emulator).command();
                emulator.arg(binary);
                emulator
            }
        };
        command.current_dir(folder).stdin(Stdio::null()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        Ok(command)
    }

    fn called(self, binary: &Path, folder: &Path, words: &[&str]) -> Result<String> {
        let output = self.command(binary, folder)?.args(words).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {}\n{said}", words.join(" "), output.status);
        // Allocators and loaders complain there, and go on.
        ensure!(said.is_empty(), "{} complains:\n{said}", words.join(" "));
        Ok(String::from_utf8(output.stdout)?)
    }

    fn serve(self, binary: &Path, folder: &Path) -> Result<()> {
        let address = free_address()?;
        let log = folder.join("log");
        let said = File::create(&log)?;
        let child = self
            .command(binary, folder)?
            .env("PORT", address.port().to_string())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()?;
        let served = Serving(child).until_it_ended(address);
        served.with_context(|| std::fs::read_to_string(&log).unwrap_or_default())
    }
}

/// A server that is gone when it is dropped.
struct Serving(Child);

impl Serving {
    /// Waits until it answers, asks it to end, and waits until it has.
    fn until_it_ended(mut self, address: SocketAddr) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !is_alive(address) {
            if let Some(status) = self.0.try_wait()? {
                bail!("it ended: {status}");
            }
            ensure!(Instant::now() < deadline, "no answer at /livez");
            sleep(POLL);
        }
        CommandLine::new("kill -TERM").arg(self.0.id().to_string()).run()?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait()? {
                ensure!(status.success(), "asked to end, it ended with {status}");
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "asked to end, it did not");
            sleep(POLL);
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.kill().ok(); // It may have ended meanwhile, which is what we want.
        self.0.wait().ok();
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here => f.write_str("on this machine"),
            Self::Emulated(emulator) => write!(f, "in {emulator}"),
        }
    }
}

fn is_alive(address: SocketAddr) -> bool {
    let Ok(mut socket) = TcpStream::connect(address) else { return false };
    let asked =
        socket.write_all(b"GET /livez HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    asked.is_ok()
        && socket.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::Machine;

    #[test]
    fn a_binary_that_needs_a_loader_is_run_by_its_own_machine_only() {
        let architecture = std::env::consts::ARCH;
        for machine in Machine::ALL {
            let ways = Way::all(Executable { machine, is_static: false });
            let expected =
                if machine.architecture() == architecture { &[Way::Here][..] } else { &[] };
            assert_eq!(ways, expected);
        }
    }

    #[test]
    fn a_program_that_complains_or_fails_does_not_pass() {
        let folder = tempfile::tempdir().unwrap();
        for (name, script) in [
            ("silent", "exit 0"),
            ("fails", "echo 1.0; exit 3"),
            ("complains", "echo 1.0; echo 'Invalid conf pair' >&2"),
            ("serves nothing", "echo 1.0"),
        ] {
            let program = folder.path().join(name);
            std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            CommandLine::new("chmod 755").arg(program.display().to_string()).run().unwrap();
            assert!(Way::Here.try_out(&program).is_err(), "{name}");
        }
    }
}
