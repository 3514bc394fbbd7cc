//! The workspace's own files, as text.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Where our sources lie; everything else at the root is documents, settings or built things.
const FOLDERS: &[&str] = &["crates", "bins", "tests", "xtask"];

/// One file, with its path from the workspace's root.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every file of ours with the extension, in a stable order.
pub(crate) fn files_ending(extension: &str) -> io::Result<Vec<File>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for folder in FOLDERS {
        collect(&root, &PathBuf::from(folder), extension, &mut files)?;
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn collect(root: &Path, folder: &Path, extension: &str, files: &mut Vec<File>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            if !["target", "node_modules", ".venv"].iter().any(|name| path.ends_with(name)) {
                collect(root, &path, extension, files)?;
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            let text = fs::read_to_string(root.join(&path))?;
            files.push(File { path: path.display().to_string(), text });
        }
    }
    Ok(())
}
