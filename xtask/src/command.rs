//! A command to run from the workspace's root, printable in a form that can be pasted into a shell.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::workspace;

/// A program with its arguments and extra environment.
#[derive(Clone, Debug)]
pub(crate) struct CommandLine {
    program: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl CommandLine {
    /// Splits `line` at white space: for commands that are written in this program.
    pub(crate) fn new(line: &str) -> Self {
        let mut words = line.split_whitespace().map(str::to_owned);
        Self {
            program: words.next().unwrap_or_default(),
            arguments: words.collect(),
            environment: Vec::new(),
        }
    }

    /// Runs the program at a path, which may hold white space.
    pub(crate) fn program(path: &Path) -> Self {
        Self { program: path.display().to_string(), arguments: Vec::new(), environment: Vec::new() }
    }

    /// Adds one argument as it is, white space included.
    pub(crate) fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments as they are.
    pub(crate) fn args(mut self, arguments: &[String]) -> Self {
        self.arguments.extend_from_slice(arguments);
        self
    }

    /// Sets a variable for this command only.
    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Runs to the end, with this process's terminal.
    ///
    /// # Errors
    ///
    /// Fails with the command to repeat when it cannot start or ends with another status than zero.
    pub(crate) fn run(&self) -> Result<()> {
        let status = self
            .command()
            .stdin(Stdio::null())
            .status()
            .with_context(|| format!("cannot start `{self}`"))?;
        if !status.success() {
            bail!("{status}; to repeat:\n  {self}");
        }
        Ok(())
    }

    /// Runs to the end and returns what it printed on standard output.
    ///
    /// # Errors
    ///
    /// As [`CommandLine::run`], with what it said on standard error.
    pub(crate) fn output(&self) -> Result<String> {
        let output = self
            .command()
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start `{self}`"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{}; to repeat:\n  {self}\n{}", output.status, said.trim_end());
        }
        String::from_utf8(output.stdout).with_context(|| format!("`{self}` printed no text"))
    }

    /// Whether the command starts and ends well; its output is thrown away.
    pub(crate) fn succeeds(&self) -> bool {
        self.command()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// The command as the standard library has it, for callers that keep the child.
    pub(crate) fn command(&self) -> Command {
        let mut command = if self.program == "cargo" {
            // The cargo that runs us, so that a `+toolchain` on the outer call holds for all.
            Command::new(std::env::var_os("CARGO").as_deref().unwrap_or(OsStr::new("cargo")))
        } else {
            Command::new(&self.program)
        };
        command.args(&self.arguments).current_dir(workspace::root());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.environment {
            write!(f, "{name}={} ", quoted(value))?;
        }
        write!(f, "{}", quoted(&self.program))?;
        for argument in &self.arguments {
            write!(f, " {}", quoted(argument))?;
        }
        Ok(())
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_prints_as_a_shell_would_read_it() {
        let command = CommandLine::new("cargo nextest  run").env("A", "b c").arg("it's(x)");
        assert_eq!(command.to_string(), r"A='b c' cargo nextest run 'it'\''s(x)'");
    }

    #[test]
    fn a_failure_names_the_command_to_repeat() {
        let error = CommandLine::new("sh -c").arg("exit 3").run().unwrap_err();
        assert!(error.to_string().contains("sh -c 'exit 3'"), "{error}");
    }

    #[test]
    fn output_is_what_was_printed() {
        assert_eq!(CommandLine::new("echo one two").output().unwrap(), "one two\n");
    }
}
