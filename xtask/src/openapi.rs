//! `cargo xtask openapi`: keeps docs/openapi.json in step with the code.
#![expect(clippy::print_stdout, reason = "a developer wants to see what was written")]

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::command::CommandLine;
use crate::workspace;

/// Writes the document that the server prints; with `--check`, only compares.
///
/// # Errors
///
/// Fails when the server cannot be built, or when `--check` finds a difference.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let check = match arguments {
        [] => false,
        [flag] if flag == "--check" => true,
        other => bail!("openapi takes --check or nothing, not {other:?}"),
    };
    let server = workspace::build_for_tests(None)?;
    let printed = CommandLine::program(&server).arg("openapi").output()?;
    let document = formatted(&printed)?;
    let path = path();
    if check {
        let kept = std::fs::read_to_string(&path).with_context(|| {
            format!("cannot read {}; run `cargo xtask openapi`", path.display())
        })?;
        return compare(&kept, &document);
    }
    std::fs::write(&path, document).with_context(|| format!("cannot write {}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}

fn path() -> PathBuf {
    workspace::root().join("docs").join("openapi.json")
}

/// The document with one line a value, so that a change of the API is a readable diff.
fn formatted(printed: &str) -> Result<String> {
    let document: serde_json::Value =
        serde_json::from_str(printed).context("`relay-server openapi` printed no JSON")?;
    Ok(format!("{document:#}\n"))
}

fn compare(kept: &str, current: &str) -> Result<()> {
    let mut pairs = kept.lines().zip(current.lines()).enumerate();
    let Some((line, (old, new))) = pairs.find(|(_, (old, new))| old != new) else {
        if kept.len() == current.len() {
            return Ok(());
        }
        bail!("docs/openapi.json is out of step with the code; run `cargo xtask openapi`");
    };
    bail!(
        "docs/openapi.json is out of step with the code at line {}; run `cargo xtask openapi`\n  kept: {}\n  code: {}",
        line + 1,
        old.trim(),
        new.trim()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kept_document_must_equal_the_current_one() {
        let current = formatted(r#"{"a":{"b":1},"c":[]}"#).unwrap();
        let changed = formatted(r#"{"a":{"b":2},"c":[]}"#).unwrap();
        compare(&current, &current).unwrap();
        let error = compare(&changed, &current).unwrap_err().to_string();
        assert!(error.contains("line 3") && error.contains("kept: \"b\": 2"), "{error}");
        assert!(compare(&current[..current.len() - 2], &current).is_err(), "a cut file differs");
        assert!(compare("", &current).is_err());
    }
}
