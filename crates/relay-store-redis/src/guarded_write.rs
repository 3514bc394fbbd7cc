//! Writes that are decided on what was read, and happen only if it still holds.

use redis::Pipeline;
use relay_store::StoreError;
use serde::Serialize;
use serde_json::{Value, json};

use crate::connection;
use crate::fault;
use crate::shared::Shared;

/// How often a change is decided anew because another one came first. Each round one of those who
/// compete succeeds, so this is how many may compete.
pub(crate) const ATTEMPTS: usize = 64;

/// A list of writes and what must hold for them.
#[derive(Default)]
pub(crate) struct GuardedWrite {
    names: Vec<String>,
    plan: Plan,
}

#[derive(Default, Serialize)]
struct Plan {
    guards: Vec<(usize, String, Value)>,
    writes: Vec<Vec<Value>>,
    raises: Vec<RaisePlan>,
}

#[derive(Serialize)]
struct RaisePlan {
    sum: usize,
    known: usize,
    since: Vec<usize>,
    known_since: Vec<usize>,
    lifetime: u64,
}

/// A sum of dollars that is to have what was spent since it began, as far as other sums tell.
pub(crate) struct Raise {
    /// Its name.
    pub(crate) sum: String,
    /// A sum of the same that began at another moment.
    pub(crate) known: String,
    /// Sums of this and all else that was spent since `sum` began.
    pub(crate) since: Vec<String>,
    /// The same since `known` began.
    pub(crate) known_since: Vec<String>,
    /// How long it is kept after that, in seconds.
    pub(crate) lifetime: u64,
}

impl GuardedWrite {
    /// Only if there is nothing under `name`.
    pub(crate) fn if_absent(&mut self, name: impl Into<String>) {
        self.guard(name, "", Value::Bool(false));
    }

    /// Only if there is something under `name`.
    pub(crate) fn if_present(&mut self, name: impl Into<String>) {
        self.guard(name, "", Value::Bool(true));
    }

    /// Only if the field of a hash still is as it was read.
    pub(crate) fn if_still(&mut self, name: impl Into<String>, field: &str, as_read: Option<&str>) {
        self.guard(name, field, as_read.map_or(Value::Bool(false), Value::from));
    }

    /// Only if the hash has the field.
    pub(crate) fn if_has(&mut self, name: impl Into<String>, field: &str) {
        self.guard(name, field, Value::Bool(true));
    }

    /// Only if the text under `name` still is as it was read.
    pub(crate) fn if_text_is(&mut self, name: impl Into<String>, as_read: &str) {
        self.guard(name, "", Value::from(as_read));
    }

    /// How many conditions there are so far: the position of the next one.
    pub(crate) fn guard_count(&self) -> usize {
        self.plan.guards.len()
    }

    /// A command on `name`.
    pub(crate) fn write<T: Into<String>>(
        &mut self,
        command: &str,
        name: impl Into<String>,
        arguments: impl IntoIterator<Item = T>,
    ) {
        let position = self.position(name.into());
        let mut write = vec![json!(command), json!(position)];
        write.extend(arguments.into_iter().map(|argument| Value::String(argument.into())));
        self.plan.writes.push(write);
    }

    /// Sets fields of a hash; nothing if there are none.
    pub(crate) fn set_fields(&mut self, name: &str, fields: &[(&'static str, String)]) {
        if !fields.is_empty() {
            let pairs = fields.iter().flat_map(|(field, value)| [*field, value]);
            self.write("HSET", name, pairs);
        }
    }

    /// Raises a sum, by no less than what it lacks.
    pub(crate) fn raise(&mut self, raise: Raise) {
        let Raise { sum, known, since, known_since, lifetime } = raise;
        let (sum, known) = (self.position(sum), self.position(known));
        let since = since.into_iter().map(|name| self.position(name)).collect();
        let known_since = known_since.into_iter().map(|name| self.position(name)).collect();
        self.plan.raises.push(RaisePlan { sum, known, since, known_since, lifetime });
    }

    /// Does the writes. `Some`: nothing was done, because the guard at this position (from 0) does not
    /// hold.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when Redis fails.
    pub(crate) async fn run(self, shared: &Shared) -> Result<Option<usize>, StoreError> {
        let plan = serde_json::to_string(&self.plan)
            .map_err(|error| StoreError::Refused(Box::new(error)))?;
        let script = &shared.scripts.guarded_write;
        let mut command = script.call(self.names.len());
        command.arg(&self.names).arg(plan);
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.add_command(command);
        let answer = script.send_on_pool(&shared.pool, &pipeline).await?.pop();
        let answer = answer.ok_or_else(|| fault::unexpected("guarded_write.lua"))?;
        let failed: usize = connection::read(answer, "guarded_write.lua")?;
        Ok(failed.checked_sub(1))
    }

    fn guard(&mut self, name: impl Into<String>, field: &str, expected: Value) {
        let position = self.position(name.into());
        self.plan.guards.push((position, field.to_owned(), expected));
    }

    fn position(&mut self, name: String) -> usize {
        // Lua counts from one.
        if let Some(position) = self.names.iter().position(|known| *known == name) {
            return position + 1;
        }
        self.names.push(name);
        self.names.len()
    }
}

/// The fields of `new` that `old` has not, or has otherwise.
pub(crate) fn changed(
    old: &[(&'static str, String)],
    new: Vec<(&'static str, String)>,
) -> Vec<(&'static str, String)> {
    new.into_iter().filter(|field| !old.contains(field)).collect()
}
