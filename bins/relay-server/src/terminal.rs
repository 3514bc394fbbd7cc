//! What is said to the person at the terminal: results on standard output, everything else on standard
//! error. Secrets that are shown once are shown here and never logged.
//!
//! Nobody need be listening: a closed pipe ends no command and, above all, no server.

use std::io::{self, Write as _};

use anyhow::{Context as _, Result};

/// Says a line on standard error.
pub(crate) fn say(line: impl AsRef<str>) {
    writeln!(io::stderr().lock(), "{}", line.as_ref()).ok();
}

/// Prints a line of a result on standard output.
pub(crate) fn print(line: impl AsRef<str>) {
    writeln!(io::stdout().lock(), "{}", line.as_ref()).ok();
}

/// Prints a part of a line, at once.
///
/// # Errors
///
/// Fails if standard output is closed.
pub(crate) fn print_part(text: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text).and_then(|()| out.flush()).context("standard output is closed")
}

/// Prints `value` as JSON.
///
/// # Errors
///
/// Fails if it has no JSON form, which does not occur.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<()> {
    print(serde_json::to_string_pretty(value).context("the result cannot be written as JSON")?);
    Ok(())
}

/// Prints rows below their headings, in columns.
pub(crate) fn print_table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([headings[column].len()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    print(line(headings));
    for row in rows {
        print(line(std::array::from_fn(|column| row[column].as_str())));
    }
}
