//! The login that a v1 noted in `init.json` in its data folder, in clear. It is read and never written.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use relay_engine::operator::NotedLogin;
use secrecy::SecretString;
use serde::Deserialize;

/// The file's name.
pub(crate) const FILE: &str = "init.json";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    admin_username: String,
    admin_password: String,
}

/// Reads v1's note, if it is there.
///
/// # Errors
///
/// Fails if it is there and cannot be read.
pub(crate) fn read(data_dir: &Path) -> Result<Option<NotedLogin>> {
    let path = data_dir.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    // What the reader says may quote the file.
    let Ok(Note { admin_username, admin_password }) = serde_json::from_str(&text) else {
        bail!("{} is damaged: expected adminUsername and adminPassword", path.display());
    };
    Ok(Some(NotedLogin { username: admin_username, password: SecretString::from(admin_password) }))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn the_note_of_v1_is_read_and_a_damaged_one_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).unwrap().is_none());
        let path = folder.path().join(FILE);
        let note = r#"{
  "initializedAt": "2026-11-23T04:21:58.000Z",
  "adminUsername": "cr_admin_abcd1234",
  "adminPassword": "S3cretPassw0rd",
  "version": "1.0.0"
}"#;
        std::fs::write(&path, note).unwrap();
        let noted = read(folder.path()).unwrap().unwrap();
        assert_eq!(noted.username, "cr_admin_abcd1234");
        assert_eq!(noted.password.expose_secret(), "S3cretPassw0rd");
        std::fs::write(&path, r#"{"adminPassword": "hidden""#).unwrap();
        let error = format!("{:#}", read(folder.path()).unwrap_err());
        assert!(error.contains(FILE) && !error.contains("hidden"), "{error}");
    }
}
