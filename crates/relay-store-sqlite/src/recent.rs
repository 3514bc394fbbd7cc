//! A bounded memory of what is in use.

use std::collections::HashMap;
use std::hash::Hash;

/// Keeps what is asked for. An entry that is not asked for while as many others as make a generation are is
/// forgotten; at most two generations are kept.
pub(crate) struct Recent<K, V> {
    generation: usize,
    newer: HashMap<K, V>,
    older: HashMap<K, V>,
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    /// Nothing yet, in generations of so many.
    pub(crate) fn new(generation: usize) -> Self {
        Self { generation, newer: HashMap::new(), older: HashMap::new() }
    }

    /// What is known under a name.
    pub(crate) fn get(&mut self, key: &K) -> Option<&mut V> {
        if !self.newer.contains_key(key)
            && let Some(value) = self.older.remove(key)
        {
            self.insert(key.clone(), value);
        }
        self.newer.get_mut(key)
    }

    /// Keeps something.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.generation <= self.newer.len() {
            self.older = std::mem::take(&mut self.newer);
        }
        self.older.remove(&key);
        self.newer.insert(key, value);
    }

    /// Forgets something.
    pub(crate) fn forget(&mut self, key: &K) {
        self.newer.remove(key);
        self.older.remove(key);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.newer.len() + self.older.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_stays_and_the_rest_is_bounded() {
        let mut recent = Recent::new(100);
        for number in 0..1_000 {
            recent.insert(number, number);
            assert_eq!(recent.get(&0), Some(&mut 0), "after {number}");
            assert!(recent.len() <= 200);
        }
        assert_eq!(recent.get(&1), None);
        assert_eq!(recent.get(&999), Some(&mut 999));
        recent.forget(&0);
        assert_eq!(recent.get(&0), None);
    }

    #[test]
    fn what_is_kept_anew_replaces_what_was() {
        let mut recent = Recent::new(1);
        recent.insert("a", 1);
        recent.insert("b", 1);
        recent.insert("a", 2);
        recent.insert("c", 1);
        assert_eq!(recent.get(&"a"), Some(&mut 2));
    }
}
