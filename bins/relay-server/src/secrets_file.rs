//! Secrets that Relay generates for itself, kept in `secrets.json` in the data folder for its user alone.
//!
//! What the operator gives always wins and is never written down.

use std::fs::{self, DirBuilder, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use relay_crypto::generate_secret;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::SecretsSection;

/// The file's name.
const FILE: &str = "secrets.json";
/// Random bytes in a generated secret.
const SECRET_BYTES: usize = 32;

/// The secrets that this process works with.
#[derive(Debug)]
pub(crate) struct Secrets {
    pub(crate) jwt: SecretString,
    pub(crate) encryption_key: SecretString,
    /// What the file holds, or is to hold.
    kept: Kept,
    path: PathBuf,
    new_jwt: bool,
    /// The encryption key was generated just now: whatever the store holds was sealed with another one.
    pub(crate) new_encryption_key: bool,
    /// The operator gives another encryption key than the file holds.
    pub(crate) other_encryption_key: bool,
}

/// The file's content.
#[derive(Clone, Debug, Default)]
struct Kept {
    jwt: Option<SecretString>,
    encryption_key: Option<SecretString>,
    /// Values of `ENCRYPTION_KEY` under which API keys were digested that came from elsewhere.
    former_encryption_keys: Vec<SecretString>,
}

/// The file's form.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Stored<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jwt_secret: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encryption_key: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former_encryption_keys: Vec<std::borrow::Cow<'a, str>>,
}

impl Secrets {
    /// The given secrets, else the kept ones, else new ones, which are not kept until they are
    /// [saved](Self::save).
    ///
    /// # Errors
    ///
    /// Fails if the file is there and cannot be read, or is no secrets file.
    pub(crate) fn resolve(given: &SecretsSection, data_dir: &Path) -> Result<Self> {
        let path = data_dir.join(FILE);
        let mut kept = read(&path)?;
        let other_encryption_key = match (&given.encryption_key, &kept.encryption_key) {
            (Some(given), Some(kept)) => given.expose_secret() != kept.expose_secret(),
            (Some(_) | None, _) => false,
        };
        let new_jwt = given.jwt_secret.is_none() && kept.jwt.is_none();
        if new_jwt {
            kept.jwt = Some(generate_secret(SECRET_BYTES));
        }
        let new_encryption_key = given.encryption_key.is_none() && kept.encryption_key.is_none();
        if new_encryption_key {
            kept.encryption_key = Some(generate_secret(SECRET_BYTES));
        }
        let jwt = given.jwt_secret.clone().or_else(|| kept.jwt.clone());
        let encryption_key = given.encryption_key.clone().or_else(|| kept.encryption_key.clone());
        let (Some(jwt), Some(encryption_key)) = (jwt, encryption_key) else {
            bail!("the secrets could not be made");
        };
        Ok(Self {
            jwt,
            encryption_key,
            kept,
            path,
            new_jwt,
            new_encryption_key,
            other_encryption_key,
        })
    }

    /// Keeps what was generated. A process that did the same at the same time may have been first: then
    /// its secrets hold.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be written.
    pub(crate) fn save(self, given: &SecretsSection) -> Result<Self> {
        if !self.is_unsaved() {
            return Ok(self);
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let lock =
            File::open(folder).with_context(|| format!("cannot open {}", folder.display()))?;
        lock.lock().with_context(|| format!("cannot lock {}", folder.display()))?;
        let mut kept = read(&self.path)?;
        kept.jwt = kept.jwt.or(self.kept.jwt);
        kept.encryption_key = kept.encryption_key.or(self.kept.encryption_key);
        write(folder, &self.path, &kept)?;
        Self::resolve(given, folder)
    }

    /// Values of `ENCRYPTION_KEY` under which API keys were digested that came from elsewhere.
    pub(crate) fn former_encryption_keys(&self) -> &[SecretString] {
        &self.kept.former_encryption_keys
    }

    /// Keeps values of `ENCRYPTION_KEY` under which API keys from elsewhere are digested. Returns whether
    /// any of them is new.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read or written.
    pub(crate) fn remember(&self, keys: impl Iterator<Item = SecretString>) -> Result<bool> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        make_data_dir(folder)?;
        let lock =
            File::open(folder).with_context(|| format!("cannot open {}", folder.display()))?;
        lock.lock().with_context(|| format!("cannot lock {}", folder.display()))?;
        let mut kept = read(&self.path)?;
        let mut is_new = false;
        for key in keys {
            let known = [&self.encryption_key].into_iter().chain(&kept.former_encryption_keys);
            if !known.into_iter().any(|known| known.expose_secret() == key.expose_secret()) {
                kept.former_encryption_keys.push(key);
                is_new = true;
            }
        }
        if is_new {
            write(folder, &self.path, &kept)?;
        }
        Ok(is_new)
    }

    /// Whether the file holds the secret at this path of the configuration; `None`: it is not for secrets
    /// of that kind.
    pub(crate) fn keeps(&self, path: &str) -> Option<bool> {
        let (kept, new) = match path {
            "secrets.jwt_secret" => (&self.kept.jwt, self.new_jwt),
            "secrets.encryption_key" => (&self.kept.encryption_key, self.new_encryption_key),
            _ => return None,
        };
        Some(kept.is_some() && !new)
    }

    /// Whether some were generated and not kept yet.
    pub(crate) fn is_unsaved(&self) -> bool {
        self.new_jwt || self.new_encryption_key
    }

    /// Whether this process works with a secret from the file.
    pub(crate) fn are_kept(&self) -> bool {
        let in_use = |kept: &Option<SecretString>, used: &SecretString| {
            kept.as_ref().is_some_and(|kept| kept.expose_secret() == used.expose_secret())
        };
        in_use(&self.kept.jwt, &self.jwt) || in_use(&self.kept.encryption_key, &self.encryption_key)
    }

    /// Where they are kept.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes the data folder, for this user alone, unless it is there.
///
/// # Errors
///
/// Fails if it cannot be made.
pub(crate) fn make_data_dir(path: &Path) -> Result<()> {
    let failed = || format!("cannot make the data folder {}; set RELAY_DATA_DIR", path.display());
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(failed)
}

fn read(path: &Path) -> Result<Kept> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Kept::default()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    // What the reader says may quote the file.
    let Ok(stored) = serde_json::from_str::<Stored<'_>>(&text) else {
        bail!("{} is damaged: expected jwt_secret and encryption_key as JSON", path.display());
    };
    let secret = |text: Option<std::borrow::Cow<'_, str>>| {
        text.filter(|text| !text.is_empty()).map(|text| SecretString::from(text.into_owned()))
    };
    let former = stored.former_encryption_keys.into_iter();
    Ok(Kept {
        jwt: secret(stored.jwt_secret),
        encryption_key: secret(stored.encryption_key),
        former_encryption_keys: former.map(|key| SecretString::from(key.into_owned())).collect(),
    })
}

/// Replaces the file in one step, so that nobody reads half of it.
fn write(folder: &Path, path: &Path, kept: &Kept) -> Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let text = |secret: &Option<SecretString>| {
        secret.as_ref().map(|secret| secret.expose_secret().to_owned().into())
    };
    let former = kept.former_encryption_keys.iter();
    let stored = Stored {
        jwt_secret: text(&kept.jwt),
        encryption_key: text(&kept.encryption_key),
        former_encryption_keys: former.map(|key| key.expose_secret().to_owned().into()).collect(),
    };
    let json = serde_json::to_vec_pretty(&stored).with_context(failed)?;
    replace_file(folder, path, &json)
}

/// Replaces a file of the data folder in one step, for its owner alone, and waits until it is on the disk.
///
/// # Errors
///
/// Fails if it cannot be written; then the file is as it was.
pub(crate) fn replace_file(folder: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)
        .with_context(failed)?;
    file.write_all(bytes).with_context(failed)?;
    file.as_file().sync_all().with_context(failed)?;
    file.persist(path).with_context(failed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(jwt: Option<&str>, encryption_key: Option<&str>) -> SecretsSection {
        SecretsSection {
            jwt_secret: jwt.map(SecretString::from),
            encryption_key: encryption_key.map(SecretString::from),
        }
    }

    fn started(given: &SecretsSection, folder: &Path) -> Secrets {
        Secrets::resolve(given, folder).unwrap().save(given).unwrap()
    }

    #[test]
    fn generated_secrets_are_kept_for_their_user_alone_and_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let nothing = given(None, None);
        let first = started(&nothing, folder.path());
        let mode = fs::metadata(first.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = Secrets::resolve(&nothing, folder.path()).unwrap();
        assert!(!second.new_encryption_key && !second.other_encryption_key);
        assert_eq!(first.jwt.expose_secret(), second.jwt.expose_secret());
        assert_eq!(first.encryption_key.expose_secret(), second.encryption_key.expose_secret());
        assert_ne!(first.jwt.expose_secret(), first.encryption_key.expose_secret());
        assert_eq!(first.jwt.expose_secret().len(), 2 * SECRET_BYTES);
    }

    #[test]
    fn given_secrets_win_and_are_never_written_down() {
        let folder = tempfile::tempdir().unwrap();
        let both = started(&given(Some("j"), Some("e")), folder.path());
        assert!(!both.path().exists(), "nothing was generated, so nothing is kept");
        let one = started(&given(Some("given-jwt"), None), folder.path());
        assert_eq!(one.jwt.expose_secret(), "given-jwt");
        assert!(!fs::read_to_string(one.path()).unwrap().contains("given-jwt"));
        let other = started(&given(None, Some("given-key")), folder.path());
        assert_eq!(other.encryption_key.expose_secret(), "given-key");
        assert!(other.other_encryption_key, "the file holds another one");
        assert!(!fs::read_to_string(one.path()).unwrap().contains("given-key"));
    }

    #[test]
    fn the_first_of_two_at_once_decides() {
        let folder = tempfile::tempdir().unwrap();
        let nothing = given(None, None);
        let late = Secrets::resolve(&nothing, folder.path()).unwrap();
        let first = started(&nothing, folder.path());
        assert!(late.new_encryption_key);
        let late = late.save(&nothing).unwrap();
        assert_eq!(late.encryption_key.expose_secret(), first.encryption_key.expose_secret());
        assert!(!late.new_encryption_key);
    }

    #[test]
    fn a_damaged_file_is_refused_without_repeating_it() {
        let folder = tempfile::tempdir().unwrap();
        for damaged in
            ["", "{\"jwt_secret\": 7}", "{\"jwt_secret\": \"hidden", "{\"hidden\": \"x\"}"]
        {
            fs::write(folder.path().join(FILE), damaged).unwrap();
            let error = Secrets::resolve(&given(None, None), folder.path()).unwrap_err();
            assert!(!format!("{error:#}").contains("hidden"), "{damaged}");
        }
    }

    #[test]
    fn former_encryption_keys_are_remembered_once() {
        let folder = tempfile::tempdir().unwrap();
        let given = given(None, Some("the present one"));
        let secrets = started(&given, folder.path());
        let keys = || ["the present one", "another"].into_iter().map(SecretString::from);
        assert!(secrets.remember(keys()).unwrap());
        assert!(!secrets.remember(keys()).unwrap());
        let later = Secrets::resolve(&given, folder.path()).unwrap();
        let former: Vec<_> = later
            .former_encryption_keys()
            .iter()
            .map(secrecy::ExposeSecret::expose_secret)
            .collect();
        assert_eq!(former, ["another"]);
        assert!(!fs::read_to_string(later.path()).unwrap().contains("the present one"));
    }

    #[test]
    fn no_secret_is_printed() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = started(&given(None, None), folder.path());
        assert!(!format!("{secrets:?}").contains(secrets.jwt.expose_secret()));
    }
}
