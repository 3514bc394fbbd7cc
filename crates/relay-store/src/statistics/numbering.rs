//! Numbers for names, so that cells are told apart by numbers.

use foldhash::{HashMap, HashMapExt as _};

use super::name::Name;

/// Numbers for names, in the order in which the names came up.
#[derive(Debug)]
pub(super) struct Numbering {
    numbers: HashMap<Name, u32>,
    names: Vec<Name>,
}

impl Default for Numbering {
    fn default() -> Self {
        Self { numbers: HashMap::new(), names: Vec::new() }
    }
}

impl Numbering {
    /// The number of a name, which it gets if it has none yet.
    pub(super) fn number(&mut self, name: Name) -> u32 {
        if let Some(number) = self.numbers.get(&name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.numbers.insert(name.clone(), number);
        self.names.push(name);
        number
    }

    /// The names, in the order of their numbers.
    pub(super) fn names(&self) -> &[Name] {
        &self.names
    }
}
