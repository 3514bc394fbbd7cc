//! The Lua scripts: short, and only where a check must be atomic with what it decides.

use redis::{Cmd, Pipeline, ServerErrorKind, Value};
use relay_store::StoreError;

use crate::connection::{ConnectionPool, SharedConnection};

/// The scripts of the store.
pub(crate) struct Scripts {
    /// Takes a slot of a key's concurrency limit and the hold.
    pub(crate) admit: Script,
    /// Extends a lease and keeps what is known of the usage.
    pub(crate) checkpoint: Script,
    /// Extends a slot of a key's concurrency limit.
    pub(crate) extend_slot: Script,
    /// Ends requests and counts their usage.
    pub(crate) settle: Script,
    /// Writes if what was read still holds.
    pub(crate) guarded_write: Script,
    /// Writes segments of statistics.
    pub(crate) roll_statistics: Script,
}

/// A script and the digest under which Redis keeps it.
pub(crate) struct Script {
    text: &'static str,
    digest: String,
}

impl Scripts {
    /// Reads the scripts.
    pub(crate) fn new() -> Self {
        Self {
            admit: Script::new(include_str!("scripts/admit.lua")),
            checkpoint: Script::new(include_str!("scripts/checkpoint.lua")),
            extend_slot: Script::new(include_str!("scripts/extend_slot.lua")),
            settle: Script::new(include_str!("scripts/settle.lua")),
            guarded_write: Script::new(include_str!("scripts/guarded_write.lua")),
            roll_statistics: Script::new(include_str!("scripts/roll_statistics.lua")),
        }
    }
}

impl Script {
    fn new(text: &'static str) -> Self {
        Self { text, digest: redis::Script::new(text).get_hash().to_owned() }
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
        pipeline.cmd("SCRIPT").arg("LOAD").arg(self.text);
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
        let scripts = Scripts::new();
        let Scripts { admit, checkpoint, extend_slot, settle, guarded_write, roll_statistics } =
            scripts;
        for script in [admit, checkpoint, extend_slot, settle, guarded_write, roll_statistics] {
            let header: String =
                script.text.lines().take_while(|line| line.starts_with("--")).collect();
            for word in ["KEYS", "ARGV", "Returns"] {
                assert!(header.contains(word), "{word} is missing in: {header}");
            }
            let code = script.text.replace("...", "");
            assert!(!code.contains(".."), "a script joins no names: {header}");
        }
    }
}
