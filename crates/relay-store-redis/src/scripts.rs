//! The Lua scripts: short, and only where a check must be atomic with what it decides.

use redis::{Cmd, Pipeline, ServerErrorKind, Value};
use relay_store::StoreError;

use crate::connection::{ConnectionPool, SharedConnection};

/// The scripts of the store.
pub(crate) struct Scripts {
    /// Lets a request in.
    pub(crate) admit: Script,
    /// Gives a held request to an account.
    pub(crate) assign: Script,
    /// Raises what a request holds.
    pub(crate) extend: Script,
    /// Gives parts of a hold back.
    pub(crate) release: Script,
    /// Extends a lease and keeps what is known of the usage.
    pub(crate) checkpoint: Script,
    /// Extends a slot.
    pub(crate) extend_slot: Script,
    /// Ends requests and counts their usage.
    pub(crate) settle: Script,
    /// Corrects what a settled request came to.
    pub(crate) correct: Script,
    /// Reads how far limits are used.
    pub(crate) standing: Script,
    /// Starts limits anew.
    pub(crate) restart: Script,
    /// Keeps what had been spent when a period began.
    pub(crate) begin_period: Script,
    /// Writes if what was read still holds.
    pub(crate) guarded_write: Script,
    /// Writes segments of statistics.
    pub(crate) roll_statistics: Script,
    /// Takes in how far statistics were made elsewhere.
    pub(crate) begin_statistics: Script,
    /// Takes a place in a line.
    pub(crate) wait: Script,
    /// Adds an event that is told once a day.
    pub(crate) append_of_the_day: Script,
}

/// A script and the digest under which Redis keeps it.
pub(crate) struct Script {
    text: String,
    digest: String,
}

/// What stands before a script that reads what it is given from the front.
const ARGUMENTS: &str = include_str!("scripts/arguments.lua");
/// What stands, behind that, before a script that reads limits.
const LIMITS: &str = include_str!("scripts/limits.lua");

impl Scripts {
    /// Reads the scripts.
    pub(crate) fn new() -> Self {
        let reading = |text| Script::new([ARGUMENTS, text].concat());
        let of_limits = |text| Script::new([ARGUMENTS, LIMITS, text].concat());
        let plain = |text: &str| Script::new(text.to_owned());
        Self {
            admit: of_limits(include_str!("scripts/admit.lua")),
            assign: of_limits(include_str!("scripts/assign.lua")),
            extend: of_limits(include_str!("scripts/extend.lua")),
            release: of_limits(include_str!("scripts/release.lua")),
            checkpoint: plain(include_str!("scripts/checkpoint.lua")),
            extend_slot: plain(include_str!("scripts/extend_slot.lua")),
            settle: of_limits(include_str!("scripts/settle.lua")),
            correct: reading(include_str!("scripts/correct.lua")),
            standing: of_limits(include_str!("scripts/standing.lua")),
            restart: of_limits(include_str!("scripts/restart.lua")),
            begin_period: of_limits(include_str!("scripts/begin_period.lua")),
            guarded_write: of_limits(include_str!("scripts/guarded_write.lua")),
            roll_statistics: plain(include_str!("scripts/roll_statistics.lua")),
            begin_statistics: plain(include_str!("scripts/begin_statistics.lua")),
            wait: plain(include_str!("scripts/wait.lua")),
            append_of_the_day: plain(include_str!("scripts/append_of_the_day.lua")),
        }
    }
}

impl Script {
    fn new(text: String) -> Self {
        let digest = redis::Script::new(&text).get_hash().to_owned();
        Self { text, digest }
    }

    /// A call of this script with so many keys, which must follow first, and then its arguments.
    pub(crate) fn call(&self, keys: usize) -> Cmd {
        // A name and what belongs to it, roughly: a batch that grows byte by byte is copied again and again.
        let mut command = Cmd::with_capacity(4 * keys + 16, 160 * keys + 512);
        command.arg("EVALSHA").arg(&self.digest).arg(keys);
        command
    }

    /// Sends a pipeline that calls this script; if Redis has forgotten it, teaches it and sends again.
    /// What else is in the pipeline must bear being done twice.
    pub(crate) async fn send(
        &self,
        connection: &SharedConnection,
        pipeline: &Pipeline,
    ) -> Result<Vec<Value>, StoreError> {
        let answers = connection.send(pipeline).await?;
        if !answers.iter().any(is_forgotten) {
            return Ok(answers);
        }
        connection.send(&self.teach()).await?;
        connection.send(pipeline).await
    }

    /// The same on a connection of the pool.
    pub(crate) async fn send_on_pool(
        &self,
        pool: &ConnectionPool,
        pipeline: &Pipeline,
    ) -> Result<Vec<Value>, StoreError> {
        let answers = pool.send_leniently(pipeline).await?;
        if !answers.iter().any(is_forgotten) {
            return Ok(answers);
        }
        pool.send(&self.teach()).await?;
        pool.send_leniently(pipeline).await
    }

    fn teach(&self) -> Pipeline {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("SCRIPT").arg("LOAD").arg(&self.text);
        pipeline
    }
}

fn is_forgotten(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.kind() == Some(ServerErrorKind::NoScript))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_says_what_it_takes_and_returns() {
        let Scripts {
            admit,
            assign,
            extend,
            release,
            checkpoint,
            extend_slot,
            settle,
            correct,
            standing,
            restart,
            begin_period,
            guarded_write,
            roll_statistics,
            begin_statistics,
            wait,
            append_of_the_day,
        } = Scripts::new();
        let limited = [
            admit,
            assign,
            extend,
            release,
            settle,
            standing,
            restart,
            begin_period,
            guarded_write,
        ];
        let others = [
            checkpoint,
            extend_slot,
            correct,
            roll_statistics,
            begin_statistics,
            wait,
            append_of_the_day,
        ];
        for script in limited.into_iter().chain(others) {
            let text = script.text.strip_prefix(ARGUMENTS).unwrap_or(&script.text);
            let text = text.strip_prefix(LIMITS).unwrap_or(text);
            let header: String = text.lines().take_while(|line| line.starts_with("--")).collect();
            for word in ["KEYS", "ARGV", "Returns"] {
                assert!(header.contains(word), "{word} is missing in: {header}");
            }
            let code = script.text.replace("...", "");
            assert!(!code.contains(".."), "a script joins no names: {header}");
        }
    }
}
