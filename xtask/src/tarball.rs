//! Tar archives that are the same bytes whenever they are made of the same things: entries in the order
//! given, one time for all, and owners by number only.

use std::io::Write as _;

use anyhow::Result;
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// An archive in the making.
pub(crate) struct Tarball {
    builder: Builder<Vec<u8>>,
    /// Seconds since 1970.
    modified: u64,
}

/// Who owns an entry, as user and as group.
#[derive(Clone, Copy)]
pub(crate) struct Owner(pub(crate) u64);

/// Who owns what nobody should change.
pub(crate) const ROOT: Owner = Owner(0);

impl Tarball {
    /// An empty archive, all of whose entries are to have this time, in seconds since 1970.
    pub(crate) fn new(modified: u64) -> Self {
        Self { builder: Builder::new(Vec::new()), modified }
    }

    /// Adds a folder; its path has no slash at its end.
    ///
    /// # Errors
    ///
    /// Fails if the path is too long for the format.
    pub(crate) fn folder(&mut self, path: &str, mode: u32, owner: Owner) -> Result<()> {
        self.entry(EntryType::Directory, &format!("{path}/"), mode, owner, &[])
    }

    /// Adds a file of root's.
    ///
    /// # Errors
    ///
    /// As [`Tarball::folder`].
    pub(crate) fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        self.entry(EntryType::Regular, path, mode, ROOT, content)
    }

    /// The whole archive.
    ///
    /// # Errors
    ///
    /// None in practice: it is written to memory.
    pub(crate) fn finish(self) -> Result<Vec<u8>> {
        Ok(self.builder.into_inner()?)
    }

    fn entry(
        &mut self,
        kind: EntryType,
        path: &str,
        mode: u32,
        owner: Owner,
        content: &[u8],
    ) -> Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner.0);
        header.set_gid(owner.0);
        header.set_mtime(self.modified);
        header.set_size(u64::try_from(content.len())?);
        self.builder.append_data(&mut header, path, content)?;
        Ok(())
    }
}

/// Compresses, with no name and no time in the head.
///
/// # Errors
///
/// None in practice: it is written to memory.
pub(crate) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_things_make_the_same_bytes() {
        let made = || {
            let mut tarball = Tarball::new(1_700_000_000);
            tarball.folder("data", 0o700, Owner(7)).unwrap();
            tarball.file("data/file", 0o644, b"content").unwrap();
            gzip(&tarball.finish().unwrap()).unwrap()
        };
        assert_eq!(made(), made());
        let made = made();
        let plain = flate2::read::GzDecoder::new(&made[..]);
        let mut archive = tar::Archive::new(plain);
        let found: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                let path = entry.path().unwrap().display().to_string();
                (path, header.mode().unwrap(), header.uid().unwrap(), header.mtime().unwrap())
            })
            .collect();
        let expected = [
            ("data/".to_owned(), 0o700, 7, 1_700_000_000),
            ("data/file".to_owned(), 0o644, 0, 1_700_000_000),
        ];
        assert_eq!(found, expected);
    }
}
