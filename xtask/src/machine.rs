//! What a machine must have before the tests can run, and how it gets what it lacks.
#![expect(clippy::print_stdout, reason = "a developer wants to see what is being installed")]

use std::path::Path;

use anyhow::{Result, bail};

use crate::command::CommandLine;

/// A program from the distribution's packages.
pub(crate) struct Tool {
    /// A command that succeeds when the program is there.
    pub(crate) probe: &'static str,
    /// The Debian packages that bring it.
    pub(crate) packages: &'static str,
}

/// The store of half of the tests: each starts a private one.
pub(crate) const REDIS: Tool = Tool { probe: "redis-server --version", packages: "redis-server" };

/// The yardstick of the benchmark.
pub(crate) const NGINX: Tool = Tool { probe: "nginx -v", packages: "nginx-light" };

/// Keeps the benchmark's proxies and its load on different cores.
pub(crate) const TASKSET: Tool = Tool { probe: "taskset --version", packages: "util-linux" };

/// Runs the TypeScript SDK.
pub(crate) const NODE: Tool = Tool { probe: "npm --version", packages: "nodejs npm" };

/// Runs the Python SDK.
pub(crate) const PYTHON: Tool =
    Tool { probe: "python3 -c 'import venv,ensurepip'", packages: "python3 python3-venv" };

/// Runs binaries for the machines that this one is not, and on plainer processors than this one has.
pub(crate) const QEMU: Tool = Tool {
    probe: "qemu-aarch64-static --version && qemu-x86_64-static --version",
    packages: "qemu-user-static",
};

impl Tool {
    /// Installs the program if it is missing and this process may; otherwise says how.
    ///
    /// # Errors
    ///
    /// Fails with the exact command when the program is missing and cannot be installed from here.
    pub(crate) fn ensure(&self) -> Result<()> {
        if self.is_there() {
            return Ok(());
        }
        let update = CommandLine::new("apt-get update");
        let install = CommandLine::new(&format!(
            "apt-get install -y --no-install-recommends {}",
            self.packages
        ))
        .env("DEBIAN_FRONTEND", "noninteractive");
        if !is_root() || !CommandLine::new("apt-get --version").succeeds() {
            bail!("`{}` does not work here; install it:\n  {}", self.probe, self.how_to_install());
        }
        println!("installing {}", self.packages);
        // A list that cannot be refreshed may still be good enough to install from.
        if !update.succeeds() {
            println!("`{update}` failed; trying with the old package lists");
        }
        install.run()
    }

    /// Whether the program is there, as `ensure` sees it.
    pub(crate) fn is_there(&self) -> bool {
        CommandLine::new("sh -c").arg(self.probe).succeeds()
    }

    /// The command for a person to run.
    pub(crate) fn how_to_install(&self) -> String {
        format!("sudo apt-get install -y {}", self.packages)
    }
}

/// Installs cargo-nextest if it is missing.
///
/// # Errors
///
/// Fails when Cargo cannot install it.
pub(crate) fn ensure_nextest() -> Result<()> {
    if CommandLine::new("cargo nextest --version").succeeds() {
        return Ok(());
    }
    println!("installing cargo-nextest");
    CommandLine::new("cargo install cargo-nextest --locked").run()
}

/// Packages can be installed by root only; the owner of our own `/proc` entry tells who we are.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    Path::new("/proc/self").metadata().is_ok_and(|process| process.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_works_is_left_alone_and_a_missing_one_is_named() {
        let there = Tool { probe: "true", packages: "" };
        assert!(there.is_there());
        there.ensure().unwrap();
        let missing = Tool { probe: "no-such-program-anywhere", packages: "no-such-package" };
        assert!(!missing.is_there());
        assert_eq!(missing.how_to_install(), "sudo apt-get install -y no-such-package");
    }
}
