//! What became of the removal of a group that others may need.

/// What became of the removal of a group, of API keys or of accounts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GroupRemoval {
    /// It was removed.
    Done,
    /// It was changed since it was looked at, and stays.
    Stale {
        /// Its revision by now.
        current: u64,
    },
    /// There is no such group.
    Absent,
    /// Keys belong to it or are bound to it, and it stays.
    InUse {
        /// How many that are not deleted.
        keys: usize,
    },
}

impl GroupRemoval {
    /// Whether it was removed.
    pub fn is_done(self) -> bool {
        self == Self::Done
    }
}
