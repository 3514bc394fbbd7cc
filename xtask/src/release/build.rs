//! Static binaries for every platform, built on any of them.
//!
//! The C in the tree (`SQLite`, jemalloc, ring) needs a compiler and a C library for each. Zig is both, for
//! all, in one Python package; cargo-zigbuild shows it to Cargo.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::command::CommandLine;
use crate::elf::Machine;
use crate::packages::{self, Language, Package};
use crate::workspace;

/// Brings Zig along. That one is not pinned here: it does not reach what Rust compiles.
const ZIGBUILD: Package = Package {
    folder: "zigbuild",
    language: Language::Python,
    name: "cargo-zigbuild",
    version: "0.24.0",
};

/// What was built.
pub(super) struct Built {
    /// Where the binary for each machine lies.
    pub(super) binaries: [(Machine, PathBuf); Machine::ALL.len()],
    /// Where the licence of the C library lies that is in them.
    pub(super) c_library: PathBuf,
}

/// Builds `relay-server` for every machine.
///
/// # Errors
///
/// Fails if a tool cannot be installed, or something does not compile.
pub(super) fn all() -> Result<Built> {
    let tools = packages::install(&[&ZIGBUILD])?.join(ZIGBUILD.folder).join("bin");
    let targets = Machine::ALL.map(Machine::static_target);
    CommandLine::new("rustup target add").args(&targets.map(str::to_owned)).run()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path =
        std::env::join_paths(std::iter::once(tools.clone()).chain(std::env::split_paths(&path)))?;
    let path = path.into_string().ok().context("PATH is no text")?;
    let mut build = CommandLine::program(&tools.join("cargo-zigbuild"))
        .args(
            &["zigbuild", "--release", "--locked", "--package", "relay-server"].map(str::to_owned),
        )
        .env("PATH", path)
        .env("RUSTFLAGS", flags()?);
    for target in targets {
        build = build.arg("--target").arg(target);
    }
    build.run()?;
    let zig = CommandLine::program(&tools.join("python"))
        .args(&["-c", "import ziglang; print(ziglang.__path__[0])"].map(str::to_owned))
        .output()?;
    let c_library = Path::new(zig.trim()).join("lib/libc/musl/COPYRIGHT");
    let folder = workspace::target_directory()?;
    let binary = |machine: Machine| {
        (machine, folder.join(machine.static_target()).join("release").join("relay-server"))
    };
    Ok(Built { binaries: Machine::ALL.map(binary), c_library })
}

/// In place of the flags of whoever builds: the plainest processor of each kind, which is Rust's default, and
/// no folder of this machine in what a binary says when it fails.
fn flags() -> Result<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let home = home.context("there is neither CARGO_HOME nor a home")?;
    let folders: [(&Path, &str); 2] = [(&home, "/cargo"), (workspace::root(), "/relay")];
    let mut flags = Vec::new();
    for (folder, name) in folders {
        let folder = folder.display();
        let flag = format!("--remap-path-prefix={folder}={name}");
        ensure!(!flag.contains(char::is_whitespace), "{folder} must be without white space");
        flags.push(flag);
    }
    Ok(flags.join(" "))
}
