//! The one layer of an image: what lies in it, and who may write to it.

use std::collections::BTreeMap;
use std::io::Read as _;

use anyhow::{Context as _, Result, ensure};

use crate::oci::RunConfig;

/// An unpacked layer that holds nothing it should not.
pub(super) struct Layer {
    /// By path, from the root, without a slash at the end.
    entries: BTreeMap<String, Entry>,
}

struct Entry {
    mode: u32,
    owner: u64,
    /// Of a file.
    content: Option<Vec<u8>>,
}

const WRITABLE_BY_OTHERS: u32 = 0o022;
const WRITABLE_BY_ALL: u32 = 0o002;
/// Only who made a file in such a folder may remove it.
const STICKY: u32 = 0o1000;
/// Runs as its owner or group, whoever starts it.
const SET_ID: u32 = 0o6000;
const EXECUTABLE_BY_ALL: u32 = 0o555;

impl Layer {
    /// Reads a layer.
    ///
    /// # Errors
    ///
    /// Fails if something in it is neither file nor folder, or may be changed by somebody who should not.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let mut entries = BTreeMap::new();
        for entry in tar::Archive::new(bytes).entries()? {
            let mut entry = entry?;
            let path = str::from_utf8(&entry.path_bytes())?.trim_end_matches('/').to_owned();
            let header = entry.header();
            let (mode, owner, kind) = (header.mode()?, header.uid()?, header.entry_type());
            let content = if kind.is_file() {
                ensure!(mode & WRITABLE_BY_OTHERS == 0, "/{path} is writable by others ({mode:o})");
                ensure!(mode & SET_ID == 0, "/{path} changes the user ({mode:o})");
                ensure!(owner == 0, "/{path} is not root's, so that its owner may replace it");
                let mut content = Vec::new();
                entry.read_to_end(&mut content)?;
                Some(content)
            } else {
                ensure!(kind.is_dir(), "/{path} is neither file nor folder");
                let is_open = mode & WRITABLE_BY_ALL != 0 && mode & STICKY == 0;
                ensure!(!is_open, "/{path} is a folder that everybody may empty ({mode:o})");
                None
            };
            let known = entries.insert(path.clone(), Entry { mode, owner, content });
            ensure!(known.is_none(), "/{path} is there twice");
        }
        Ok(Self { entries })
    }

    /// The program that a container runs, after a look at whom it runs as and where it writes.
    ///
    /// # Errors
    ///
    /// Fails if it cannot run, runs as root, or cannot write where it keeps its data.
    pub(super) fn binary(mut self, run: &RunConfig) -> Result<Vec<u8>> {
        let user = run.user.split(':').next().unwrap_or_default().parse::<u64>();
        let user =
            user.context("its user is no number: orchestrators cannot tell that it is not root")?;
        ensure!(user != 0, "it runs as root");
        for folder in run.volumes.keys().chain([&run.working_dir]) {
            let found = self.entries.get(folder.trim_start_matches('/'));
            let found = found.with_context(|| format!("{folder} is missing"))?;
            ensure!(found.content.is_none(), "{folder} is no folder");
            ensure!(found.owner == user, "{folder} belongs to {}, not to {user}", found.owner);
        }
        let program = run.entrypoint.first().context("it runs nothing")?;
        let found = self.entries.remove(program.trim_start_matches('/'));
        let found = found.with_context(|| format!("{program} is missing"))?;
        let is_executable = found.mode & EXECUTABLE_BY_ALL == EXECUTABLE_BY_ALL;
        ensure!(is_executable, "{program} is not executable ({:o})", found.mode);
        found.content.with_context(|| format!("{program} is no file"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tarball::{Owner, ROOT, Tarball};

    fn with_file(mode: u32) -> Result<Layer> {
        let mut layer = Tarball::new(0);
        layer.file("server", mode, b"program").unwrap();
        layer.folder("data", 0o700, Owner(7)).unwrap();
        Layer::read(&layer.finish().unwrap())
    }

    fn run_config(user: &str, folder: &str, program: &str) -> RunConfig {
        RunConfig {
            user: user.to_owned(),
            working_dir: folder.to_owned(),
            entrypoint: vec![program.to_owned()],
            ..RunConfig::default()
        }
    }

    #[test]
    fn what_others_may_change_is_found() {
        assert!(with_file(0o755).is_ok());
        for mode in [0o757, 0o775, 0o4755, 0o2755] {
            assert!(with_file(mode).is_err(), "{mode:o}");
        }
        for (mode, owner, is_fine) in [
            (0o755, ROOT, true),
            (0o777, ROOT, false),
            (0o1777, ROOT, true),
            (0o700, Owner(7), true),
        ] {
            let mut layer = Tarball::new(0);
            layer.folder("folder", mode, owner).unwrap();
            let read = Layer::read(&layer.finish().unwrap());
            assert_eq!(read.is_ok(), is_fine, "{mode:o}");
        }
    }

    #[test]
    fn a_container_that_could_not_work_is_found() {
        let binary = |mode, run| with_file(mode).unwrap().binary(&run);
        assert_eq!(binary(0o755, run_config("7:7", "/data", "/server")).unwrap(), b"program");
        for (why, mode, user, folder, program) in [
            ("root", 0o755, "0:0", "/data", "/server"),
            ("a name", 0o755, "relay", "/data", "/server"),
            ("nobody said", 0o755, "", "/data", "/server"),
            ("another's folder", 0o755, "8:8", "/data", "/server"),
            ("no folder", 0o755, "7:7", "/elsewhere", "/server"),
            ("a file as folder", 0o755, "7:7", "/server", "/server"),
            ("not executable", 0o644, "7:7", "/data", "/server"),
            ("no program", 0o755, "7:7", "/data", "/other"),
            ("a folder as program", 0o755, "7:7", "/data", "/data"),
        ] {
            assert!(binary(mode, run_config(user, folder, program)).is_err(), "{why}");
        }
    }
}
