//! `import`.

use std::fs::File;
use std::io::BufReader;

use anyhow::{Context as _, Result};
use relay_engine::operator::transfer::{ImportFile, ImportReport, Section, Tally, TransferError};

use super::{export, passphrase};
use crate::cli::ImportArgs;
use crate::config::Config;
use crate::installation::{Access, Installation};
use crate::terminal::{print, say};

/// Takes in what a file holds.
///
/// # Errors
///
/// Fails if the file is not whole or does not open, or the store holds something and is not to be merged
/// with: then nothing was written. Also if the store fails; then it can be repeated with `--merge`.
pub(crate) async fn run(arguments: &ImportArgs, config: &Config) -> Result<()> {
    let path = &arguments.file;
    let passphrase = passphrase::read(&arguments.passphrase)?;
    let open = || File::open(path).map(BufReader::new);
    let file = ImportFile::check(open, passphrase.clone())
        .with_context(|| format!("{} cannot be imported; nothing was written", path.display()))?;
    let installation = Installation::open(config, Access::Administer).await?;
    let operator = &installation.operator;
    if !arguments.merge && !operator.holds_nothing().await? {
        return Err(TransferError::NotEmpty).with_context(|| {
            format!(
                "nothing was written into {}; --merge adds what it lacks and leaves the rest as it is",
                installation.store_place
            )
        });
    }
    let here = config.sections.store.calendar().standard_offset_minutes();
    if file.offset_minutes() != here {
        say(format!(
            "warning: days and months were counted {} minutes ahead of UTC there, and are counted {} minutes ahead \
             here (TIMEZONE_OFFSET, RELAY_TIMEZONE)",
            file.offset_minutes(),
            here
        ));
    }
    // First: whoever serves recognises the keys as soon as they are there.
    let is_new = installation.secrets.remember(file.encryption_keys())?;
    let imported = operator.import(&file, arguments.merge).await;
    let report = imported.context("the import is not complete; repeat it with --merge")?;
    tell(&report);
    print(format!("state          {} in the file", file.contents().state.to_hex()));
    let options = export::options(config, &installation, passphrase);
    let here = operator.contents(&options).await.context("the store cannot be read")?;
    let verdict = if here.state == file.contents().state {
        "the same"
    } else if report.is_all_added() {
        "not the same"
    } else {
        "not the same, as what was left was there before"
    };
    print(format!("state          {} in the store: {verdict}", here.state.to_hex()));
    if is_new {
        say(format!(
            "API keys from there were digested with another ENCRYPTION_KEY, which {} now holds: keep it together \
             with the store, on every machine that serves, and start Relay anew.",
            installation.secrets.path().display()
        ));
    }
    Ok(())
}

fn tell(report: &ImportReport) {
    for section in Section::ALL {
        let Tally { added, kept } = report.tally(section);
        print(format!("{:13}  {added} added, {kept} left as they were", section.name()));
    }
}
