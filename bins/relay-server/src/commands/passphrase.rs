//! The passphrase of an export.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Read};

use anyhow::{Context as _, Result, bail};
use secrecy::SecretString;

use crate::cli::PassphraseArgs;
use crate::terminal::say;

/// The shortest that is taken, in characters: the file may lie anywhere.
const SHORTEST: usize = 12;
/// A passphrase is a line; this leaves room for any.
const LONGEST: u64 = 64 * 1024;

/// Reads the passphrase: the first line of the named file, or of standard input.
///
/// # Errors
///
/// Fails if it cannot be read, or is too short.
pub(crate) fn read(arguments: &PassphraseArgs) -> Result<SecretString> {
    let passphrase = if let Some(path) = &arguments.passphrase_file {
        let failed = || format!("cannot read {}", path.display());
        first_line(File::open(path).with_context(failed)?).with_context(failed)?
    } else {
        if io::stdin().is_terminal() {
            say("Type the passphrase and press Enter:");
        }
        first_line(io::stdin()).context("standard input cannot be read")?
    };
    if passphrase.chars().count() < SHORTEST {
        bail!("the passphrase must have at least {SHORTEST} characters");
    }
    Ok(SecretString::from(passphrase))
}

fn first_line(source: impl Read) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(source.take(LONGEST)).read_line(&mut line)?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_the_first_line_of_its_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let arguments = PassphraseArgs { passphrase_file: Some(file.path().to_owned()) };
        std::fs::write(file.path(), "correct horse battery \r\nmore\n").unwrap();
        let passphrase = read(&arguments).unwrap();
        assert_eq!(secrecy::ExposeSecret::expose_secret(&passphrase), "correct horse battery ");
        std::fs::write(file.path(), "too short\n").unwrap();
        assert!(!format!("{:#}", read(&arguments).unwrap_err()).contains("too short"));
    }
}
