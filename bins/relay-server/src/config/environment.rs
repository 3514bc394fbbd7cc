//! The environment: this process's variables, and below them those of `.env`.

use std::collections::BTreeMap;

use super::settings::{SETTINGS, Setting};
use super::shape::Shape;
use super::{FILE_VARIABLE, dotenv, ignored};

/// What Relay's own variables begin with.
const OWN_PREFIX: &str = "RELAY_";
/// Variables of Relay's tests, which no configuration reads.
const TEST_PREFIX: &str = "RELAY_TEST_";

/// The environment variables of a process, or of a test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment(BTreeMap<String, Given>);

/// The value of a variable. May be secret.
#[derive(Clone)]
struct Given {
    value: String,
    from: Source,
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Given({:?}, ..)", self.from)
    }
}

/// Where a variable was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Source {
    Process,
    DotEnv,
}

/// What becomes of a 0.
pub(super) enum Zero {
    /// It is a 0; v1 took it for something else.
    Taken { v1: &'static str },
    /// It counts as not set.
    PassedOver(&'static Setting),
}

impl Environment {
    /// This process's. What is not Unicode cannot be a setting.
    pub(crate) fn of_process() -> Self {
        let unicode = std::env::vars_os().filter_map(|(name, value)| {
            let given = Given { value: value.into_string().ok()?, from: Source::Process };
            Some((name.into_string().ok()?, given))
        });
        Self(unicode.collect())
    }

    /// The same with the variables of a `.env` that this `text` is. A variable that the process has is the
    /// process's, also if it is empty there.
    #[must_use]
    pub(super) fn above_dotenv(mut self, text: &str) -> Self {
        let variables = dotenv::parse(text).into_iter();
        let mut all: BTreeMap<String, Given> =
            variables.map(|(name, value)| (name, Given { value, from: Source::DotEnv })).collect();
        all.append(&mut self.0);
        Self(all)
    }

    /// The value of `name`, unless it is blank: compose files write what is not set so.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(|given| given.value.as_str());
        value.filter(|value| !value.trim().is_empty())
    }

    /// How to call the variable `name`: with the file that it stands in, if it does.
    pub(super) fn label(&self, name: &str) -> String {
        match self.0.get(name).map(|given| given.from) {
            Some(Source::DotEnv) => format!("{name} in .env"),
            Some(Source::Process) | None => name.to_owned(),
        }
    }

    /// Gives `name` a value.
    #[cfg(test)]
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let given = Given { value: value.to_owned(), from: Source::Process };
        self.0.insert(name.to_owned(), given);
    }

    /// Variables that begin like Relay's but are none of its settings.
    pub(super) fn strays(&self) -> Vec<String> {
        let known = |name: &str| {
            name == FILE_VARIABLE || SETTINGS.iter().any(|setting| setting.reads(name))
        };
        let ours = |name: &str| name.starts_with(OWN_PREFIX) && !name.starts_with(TEST_PREFIX);
        self.0.keys().filter(|name| ours(name) && !known(name)).cloned().collect()
    }

    /// Variables of v1 and v2 that are set and mean nothing here.
    pub(super) fn ignored(&self) -> Vec<String> {
        let set = self.0.keys().filter(|name| self.get(name).is_some());
        set.filter(|name| ignored::why_ignored(name).is_some()).cloned().collect()
    }

    /// Variables of the predecessors that are 0 where that is taken in another way than v1 took it.
    pub(super) fn zeros(&self) -> impl Iterator<Item = (&'static str, Zero)> {
        SETTINGS.iter().filter_map(|setting| {
            let (variable, shape) =
                setting.variables().find(|(name, _)| self.get(name).is_some())?;
            let is_zero = self.get(variable)?.trim().parse().is_ok_and(|number: f64| number == 0.0);
            if !is_zero || variable.starts_with(OWN_PREFIX) {
                return None;
            }
            let zero = if shape.passes_over_zero() {
                Zero::PassedOver(setting)
            } else {
                Zero::Taken { v1: setting.zero_was? }
            };
            Some((variable, zero))
        })
    }

    /// Settings that two variables name, with different values; the first of each pair holds.
    pub(super) fn rivals(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        SETTINGS.iter().flat_map(|setting| {
            let mut given = setting
                .variables()
                .filter_map(|(name, shape)| Some((name, shape.read(self.get(name)?)?)));
            let first = given.next();
            given.filter_map(move |(name, value)| {
                let (winner, held) = first.as_ref()?;
                (held != &value).then_some((*winner, name))
            })
        })
    }

    /// The value of the variable `name` as what it stands for; `None`: it says nothing.
    pub(super) fn read(&self, name: &str, shape: Shape) -> Option<figment::value::Value> {
        shape.read(self.get(name)?)
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        let given = |value: &str| Given { value: value.to_owned(), from: Source::Process };
        Self(variables.map(|(name, value)| (name.to_owned(), given(value))).into())
    }
}
