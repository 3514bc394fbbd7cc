//! The licences of everything that is linked into the binary. All of them let it be passed on, if their
//! texts travel along.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::command::CommandLine;
use crate::elf::Machine;
use crate::workspace;

/// What the files begin with that say under which licence something is.
const NAMES: [&str; 6] = ["licen", "copying", "copyright", "notice", "unlicen", "authors"];
/// Sources that are called so by chance.
const SOURCES: [&str; 6] = ["c", "go", "h", "html", "py", "rs"];

/// The texts, by the names of the files that an operator gets.
///
/// # Errors
///
/// Fails if Cargo cannot read the workspace, or a text that must be there is not.
pub(super) fn collect(c_library: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut notices = Notices::default();
    for machine in Machine::ALL {
        for package in packages(machine)? {
            notices.add(&package)?;
        }
    }
    let musl = fs::read_to_string(c_library).context("the licence of the C library")?;
    notices
        .texts
        .entry(musl.trim().to_owned())
        .or_default()
        .insert("musl, the C library".to_owned());
    let rust = CommandLine::new("rustc --print sysroot").output()?;
    let rust = Path::new(rust.trim()).join("share/doc/rust/COPYRIGHT-library.html");
    let rust = fs::read(rust).context("the licences of Rust's standard library")?;
    Ok(vec![
        own()?,
        ("NOTICES-rust.html".to_owned(), rust),
        ("NOTICES.txt".to_owned(), notices.text().into_bytes()),
    ])
}

/// Relay's own, by its file name.
pub(super) fn own() -> Result<(String, Vec<u8>)> {
    let name = "LICENSE".to_owned();
    let text = fs::read(workspace::root().join(&name)).context("Relay's own licence")?;
    Ok((name, text))
}

/// Who is named by each text, and who has none.
#[derive(Debug, Default)]
struct Notices {
    texts: BTreeMap<String, BTreeSet<String>>,
    without: BTreeSet<String>,
}

impl Notices {
    fn add(&mut self, package: &Package) -> Result<()> {
        let folder = package.manifest_path.parent().context("a manifest lies in no folder")?;
        let mut found = Vec::new();
        texts_below(folder, &mut found).with_context(|| format!("cannot read {}", package.name))?;
        let name = format!("{} {}", package.name, package.version);
        if found.is_empty() {
            let license = package.license.as_deref().unwrap_or("no licence named");
            self.without.insert(format!("{name} ({license}), by {}", package.authors.join(", ")));
        }
        for text in found {
            self.texts.entry(text).or_default().insert(name.clone());
        }
        Ok(())
    }

    fn text(&self) -> String {
        let mut whole = "This binary holds the work of others, under these licences.\n".to_owned();
        for (text, names) in &self.texts {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            // Writing to a string does not fail.
            write!(whole, "\n---- {}\n\n{}\n", names.join(", "), text).ok();
        }
        if !self.without.is_empty() {
            whole.push_str("\n---- Named in the package, without a text\n\n");
            for name in &self.without {
                writeln!(whole, "{name}").ok();
            }
        }
        whole
    }
}

fn texts_below(folder: &Path, found: &mut Vec<String>) -> Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            texts_below(&path, found)?;
        } else if kind.is_file() && is_notice(&path) {
            found.push(
                String::from_utf8_lossy(&fs::read(&path)?).replace("\r\n", "\n").trim().to_owned(),
            );
        }
    }
    Ok(())
}

fn is_notice(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    NAMES.iter().any(|start| name.starts_with(start)) && !SOURCES.contains(&extension.as_str())
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    authors: Vec<String>,
    manifest_path: std::path::PathBuf,
    /// `None`: it is ours.
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

/// The foreign packages that the server for a machine is made of. What only builds it counts: some of it
/// puts files into the binary.
fn packages(machine: Machine) -> Result<Vec<Package>> {
    let metadata = CommandLine::new("cargo metadata --format-version 1 --locked --filter-platform")
        .arg(machine.static_target())
        .output()?;
    let Metadata { mut packages, resolve } = serde_json::from_str(&metadata)?;
    let server = packages.iter().find(|package| package.name == "relay-server");
    let mut open = vec![server.context("there is no relay-server")?.id.clone()];
    let nodes: BTreeMap<&str, &Node> =
        resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let mut used = BTreeSet::new();
    while let Some(id) = open.pop() {
        let is_linked = |dependency: &&Dependency| {
            dependency.dep_kinds.iter().any(|kind| kind.kind.as_deref() != Some("dev"))
        };
        let node = nodes.get(id.as_str()).filter(|_| used.insert(id.clone()));
        let next = node.map(|node| node.deps.iter().filter(is_linked)).into_iter().flatten();
        open.extend(next.map(|dependency| dependency.pkg.clone()));
    }
    packages.retain(|package| package.source.is_some() && used.contains(&package.id));
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_and_grouped_and_who_has_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut notices = Notices::default();
        for (name, files) in [
            ("one", &[("LICENSE-MIT", "Do."), ("license.rs", "code")][..]),
            ("two", &[("c/COPYING", "Do.\r\n"), ("NOTICE.txt", "By us.")]),
            ("three", &[("README.md", "Read.")]),
        ] {
            let root = folder.path().join(name);
            for (path, text) in files {
                fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
                fs::write(root.join(path), text).unwrap();
            }
            let package = Package {
                id: name.to_owned(),
                name: name.to_owned(),
                version: "1.0.0".to_owned(),
                license: Some("MIT".to_owned()),
                authors: vec!["Somebody".to_owned()],
                manifest_path: root.join("Cargo.toml"),
                source: None,
            };
            notices.add(&package).unwrap();
        }
        let text = notices.text();
        assert!(text.contains("---- one 1.0.0, two 1.0.0\n\nDo.\n"), "{text}");
        assert!(text.contains("---- two 1.0.0\n\nBy us.\n"), "{text}");
        assert!(text.contains("three 1.0.0 (MIT), by Somebody\n"), "{text}");
        assert!(!text.contains("code") && !text.contains("Read."), "{text}");
    }

    #[test]
    fn the_server_is_made_of_what_it_depends_on() {
        let packages = packages(Machine::Arm64).unwrap();
        let has = |name: &str| packages.iter().any(|package| package.name == name);
        assert!(has("hyper") && has("tikv-jemalloc-sys") && has("utoipa-swagger-ui"));
        assert!(!has("relay-domain"), "ours");
        assert!(!has("tar") && !has("proptest"), "of the tasks and of the tests");
    }
}
