//! Foreign packages that tests drive, each at one version in a folder of its own under `target/clients`.
//!
//! A marker file with the version says that a folder is whole.
#![expect(clippy::print_stdout, reason = "a developer wants to see what is being installed")]

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::command::CommandLine;
use crate::machine::{NODE, PYTHON};
use crate::workspace;

/// Written last into a folder; holds the package and version that the folder was made for.
const MARKER: &str = "installed";

/// One package at one version.
pub(crate) struct Package {
    pub(crate) folder: &'static str,
    pub(crate) language: Language,
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
}

/// What a package is written in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Python,
    Node,
}

/// Makes sure that every package is installed and returns the folder that holds them.
///
/// # Errors
///
/// Fails when a language is missing and cannot be installed, or when a package registry cannot be
/// reached.
pub(crate) fn install(packages: &[&Package]) -> Result<PathBuf> {
    let clients = workspace::target_directory()?.join("clients");
    let wants = |language| packages.iter().any(|package| package.language == language);
    if wants(Language::Node) {
        NODE.ensure()?;
    }
    let missing: Vec<_> =
        packages.iter().filter(|package| !package.is_installed_in(&clients)).collect();
    if missing.iter().any(|package| package.language == Language::Python) {
        PYTHON.ensure()?;
    }
    for package in missing {
        let folder = clients.join(package.folder);
        println!("installing {} into {}", package.requirement(), folder.display());
        package
            .install_into(&folder)
            .with_context(|| format!("cannot install {}", package.requirement()))?;
    }
    Ok(clients)
}

impl Package {
    fn requirement(&self) -> String {
        let between = match self.language {
            Language::Python => "==",
            Language::Node => "@",
        };
        format!("{}{between}{}", self.name, self.version)
    }

    fn is_installed_in(&self, clients: &Path) -> bool {
        let marker = clients.join(self.folder).join(MARKER);
        fs::read_to_string(marker).is_ok_and(|installed| installed == self.requirement())
    }

    fn install_into(&self, folder: &Path) -> Result<()> {
        if folder.exists() {
            fs::remove_dir_all(folder).context("cannot remove what an earlier run left")?;
        }
        fs::create_dir_all(folder)?;
        match self.language {
            Language::Python => install_with_pip(&self.requirement(), folder)?,
            Language::Node => install_with_npm(&self.requirement(), folder)?,
        }
        fs::write(folder.join(MARKER), self.requirement())?;
        Ok(())
    }
}

fn install_with_pip(requirement: &str, folder: &Path) -> Result<()> {
    CommandLine::new("python3 -m venv").arg(folder.display().to_string()).run()?;
    CommandLine::program(&folder.join("bin").join("python"))
        .args(&["-m", "pip", "install", "--quiet", "--disable-pip-version-check"].map(String::from))
        .arg(requirement)
        .run()
}

/// The folder gets a manifest of its own: without one npm looks for a project in the folders above.
fn install_with_npm(requirement: &str, folder: &Path) -> Result<()> {
    fs::write(folder.join("package.json"), "{\"private\":true,\"type\":\"module\"}\n")?;
    CommandLine::new("npm install --no-audit --no-fund --loglevel error --prefix")
        .arg(folder.display().to_string())
        .arg(requirement)
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_counts_as_installed_only_with_the_marker_of_the_same_version() {
        let clients = tempfile::tempdir().unwrap();
        let package = &Package {
            folder: "tool",
            language: Language::Python,
            name: "anthropic",
            version: "2.12.0",
        };
        let folder = clients.path().join(package.folder);
        fs::create_dir_all(&folder).unwrap();
        assert!(!package.is_installed_in(clients.path()), "no marker: an install was cut short");
        fs::write(folder.join(MARKER), "anthropic==1.0.0").unwrap();
        assert!(!package.is_installed_in(clients.path()), "another version");
        fs::write(folder.join(MARKER), "anthropic==2.12.0").unwrap();
        assert!(package.is_installed_in(clients.path()));
    }
}
