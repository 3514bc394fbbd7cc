//! Where the workspace and what is built from it lie.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::command::CommandLine;

/// The folder that holds the root manifest.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// The folder that Cargo builds into, wherever the user has moved it.
///
/// # Errors
///
/// Fails when Cargo cannot read the workspace.
pub(crate) fn target_directory() -> Result<PathBuf> {
    let metadata =
        CommandLine::new("cargo metadata --no-deps --format-version 1 --offline").output()?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let folder = metadata["target_directory"].as_str().context("cargo metadata: no target")?;
    Ok(PathBuf::from(folder))
}

/// Builds all that the tests run, with the features that the tests need, and returns the server's
/// path. One build for both: the binary alone would compile the same crates again with fewer features.
///
/// # Errors
///
/// Fails when something does not compile.
pub(crate) fn build_for_tests(features: Option<&str>) -> Result<PathBuf> {
    let mut build = CommandLine::new("cargo build --workspace --bins --tests --examples --locked");
    if let Some(features) = features {
        build = build.arg("--features").arg(features);
    }
    build.run()?;
    Ok(target_directory()?.join("debug").join("relay-server"))
}
