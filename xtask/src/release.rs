//! `cargo xtask release`: a static binary for every platform, one archive for each, an image for all, and
//! their checksums, each checked before anything is said to be done.
//!
//! Nothing of the time or the machine goes into them, so that the same commit gives the same bytes.
#![expect(clippy::print_stdout, reason = "a developer wants to see what was made")]

mod build;
pub(crate) mod image;
mod notices;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use crate::command::CommandLine;
use crate::machine::QEMU;
use crate::tarball::{ROOT, Tarball, gzip};
use crate::{check_binary, check_image, oci, workspace};
use image::Facts;

/// The version of every crate here.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What an operator gets beside the binary.
const BESIDE: [&str; 3] = ["README.md", "deploy/nginx.conf", "deploy/relay.service"];

/// Builds, packs and checks.
///
/// # Errors
///
/// Fails if the tree is not as it was committed, the commit is tagged as another version, a tool is missing
/// and cannot be installed, something does not compile, or a check fails.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let source = match arguments {
        [] => None,
        [flag, source] if flag == "--source" => Some(source.clone()),
        _ => bail!("release takes --source URL, where the code is to be read"),
    };
    let mut facts = facts(source)?;
    // Before the long builds: what cannot be started here must not be released from here.
    QEMU.ensure()?;
    let folder = workspace::target_directory()?.join("release-files");
    if folder.exists() {
        fs::remove_dir_all(&folder).context("cannot remove what an earlier release left")?;
    }
    fs::create_dir_all(&folder)?;

    let built = build::all()?;
    facts.notices = notices::collect(&built.c_library)?;
    let mut binaries = Vec::new();
    for (machine, path) in built.binaries {
        let wanted = ["--static", "--platform", machine.platform()].map(str::to_owned);
        check_binary::run(&[&[path.display().to_string()], &wanted[..]].concat())?;
        binaries.push((machine, fs::read(path)?));
    }
    let mut files = Vec::new();
    for (machine, binary) in &binaries {
        let name = format!("relay-server-{VERSION}-linux-{}", machine.image_architecture());
        files.push((format!("{name}.tar.gz"), packed(&name, binary, &facts)?));
    }
    let image = format!("relay-server-{VERSION}-image.tar");
    files.push((image.clone(), image::archive(&binaries, &facts)?));
    write(&folder, &files)?;
    check_image::run(&[folder.join(image).display().to_string()])
}

/// What is to be released, as git tells it.
fn facts(source: Option<String>) -> Result<Facts> {
    let changes = CommandLine::new("git status --porcelain").output()?;
    ensure!(
        changes.is_empty(),
        "a release is made of what is committed; not committed is\n{changes}"
    );
    let tags = CommandLine::new("git tag --points-at HEAD --list v*").output()?;
    let expected = format!("v{VERSION}");
    ensure!(
        tags.is_empty() || tags.lines().any(|tag| tag == expected),
        "the commit is tagged {}, but the version in Cargo.toml is {VERSION}",
        tags.trim().replace('\n', " and ")
    );
    let told = CommandLine::new("git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ")
        .arg("--format=%H %ct %cd")
        .env("TZ", "UTC")
        .output()?;
    let mut words = told.split_whitespace().map(str::to_owned);
    let mut next = || words.next().context("git tells nothing of the commit");
    let (revision, modified, created) = (next()?, next()?.parse()?, next()?);
    let (version, notices) = (VERSION.to_owned(), Vec::new());
    Ok(Facts { version, revision, created, modified, source, notices })
}

/// The archive of one platform: a folder with the binary and what an operator sets it up with.
fn packed(name: &str, binary: &[u8], facts: &Facts) -> Result<Vec<u8>> {
    let mut tarball = Tarball::new(facts.modified);
    tarball.folder(name, 0o755, ROOT)?;
    for path in BESIDE {
        let content = fs::read(workspace::root().join(path)).context(path)?;
        let file = path.rsplit('/').next().unwrap_or(path);
        tarball.file(&format!("{name}/{file}"), 0o644, &content)?;
    }
    for (file, text) in &facts.notices {
        tarball.file(&format!("{name}/{file}"), 0o644, text)?;
    }
    tarball.file(&format!("{name}/relay-server"), 0o755, binary)?;
    gzip(&tarball.finish()?)
}

/// Writes the files, and their checksums as `sha256sum --check` reads them.
fn write(folder: &Path, files: &[(String, Vec<u8>)]) -> Result<()> {
    let mut sums = String::new();
    println!("\n{}:", folder.display());
    for (name, content) in files {
        fs::write(folder.join(name), content).with_context(|| format!("cannot write {name}"))?;
        writeln!(sums, "{}  {name}", oci::sha256(content))?;
        println!("  {name}, {} KiB", content.len() / 1024);
    }
    fs::write(folder.join("SHA256SUMS"), sums)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::Machine;

    #[test]
    fn what_is_packed_is_there_and_the_compose_file_names_this_version() {
        let facts = Facts {
            version: VERSION.to_owned(),
            revision: String::new(),
            created: String::new(),
            modified: 0,
            source: None,
            notices: vec![
                notices::own().unwrap(),
                ("NOTICES.txt".to_owned(), b"By others.".to_vec()),
            ],
        };
        assert!(facts.notices[0].1.starts_with(b"MIT License\n"), "as Cargo.toml says");
        let packed = packed("relay", b"program", &facts).unwrap();
        let plain = flate2::read::GzDecoder::new(&packed[..]);
        let mut archive = tar::Archive::new(plain);
        let paths = archive.entries().unwrap();
        let paths: Vec<_> =
            paths.map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
        let expected = [
            "",
            "README.md",
            "nginx.conf",
            "relay.service",
            "LICENSE",
            "NOTICES.txt",
            "relay-server",
        ];
        let expected = expected.map(|file| format!("relay/{file}"));
        assert_eq!(paths, expected);

        let compose = fs::read_to_string(workspace::root().join("deploy/compose.yaml")).unwrap();
        assert!(compose.contains(&format!("image: relay-server:{VERSION}\n")));
    }

    #[test]
    fn every_machine_has_a_target_of_its_own_kind() {
        for machine in Machine::ALL {
            assert!(machine.static_target().starts_with(machine.architecture()));
            assert!(machine.platform().ends_with(machine.image_architecture()));
            assert!(machine.emulator().contains(machine.architecture()));
        }
    }
}
