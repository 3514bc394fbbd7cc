//! `export`.

use std::fs;
use std::io::BufWriter;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use relay_engine::operator::transfer::{Contents, ExportOptions, Section};
use secrecy::SecretString;

use super::passphrase;
use crate::cli::ExportArgs;
use crate::config::Config;
use crate::installation::{Access, Installation};
use crate::terminal::{print, say};

/// Writes everything that the store holds into a file.
///
/// # Errors
///
/// Fails if the file is there already or cannot be written, or the store fails. No file is left then.
pub(crate) async fn run(arguments: &ExportArgs, config: &Config) -> Result<()> {
    let path = &arguments.file;
    if path.exists() {
        bail!("{} is there already; choose another name", path.display());
    }
    let passphrase = passphrase::read(&arguments.passphrase)?;
    let installation = Installation::open(config, Access::Administer).await?;
    let failed = || format!("cannot write {}", path.display());
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let file = tempfile::Builder::new()
        .prefix(".export-")
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)
        .with_context(failed)?;
    let options = options(config, &installation, passphrase);
    let exported = installation.operator.export(BufWriter::new(file), &options).await;
    let (file, contents) = exported.context("nothing was exported")?;
    let file =
        file.into_inner().map_err(std::io::IntoInnerError::into_error).with_context(failed)?;
    file.as_file().sync_all().with_context(failed)?;
    file.persist_noclobber(path).with_context(failed)?;
    say(format!(
        "Exported to {}. Keep the passphrase: without it the file is worthless.",
        path.display()
    ));
    tell(&contents);
    Ok(())
}

/// What an export of `installation` needs to know.
pub(super) fn options(
    config: &Config,
    installation: &Installation,
    passphrase: SecretString,
) -> ExportOptions {
    let secrets = &installation.secrets;
    let former = secrets.former_encryption_keys().iter();
    ExportOptions {
        passphrase,
        encryption_keys: [&secrets.encryption_key].into_iter().chain(former).cloned().collect(),
        calendar: config.sections.store.calendar(),
    }
}

/// Says what was exported.
fn tell(contents: &Contents) {
    for section in Section::ALL {
        print(format!("{:13}  {}", section.name(), contents.count(section)));
    }
    print(format!("state          {}", contents.state.to_hex()));
    let unopened = &contents.unopened;
    if !unopened.is_empty() {
        say(
            "warning: the secrets of these accounts do not open with this ENCRYPTION_KEY and were exported as they are:",
        );
    }
    for account in unopened {
        say(format!("  {account}"));
    }
}
