//! What became of a change that names what it was decided on.

/// What became of a change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Update {
    /// It was made.
    Done {
        /// The revision that it made.
        revision: u64,
    },
    /// Another change came first, and nothing happened.
    Stale {
        /// The revision by now.
        current: u64,
    },
    /// There is nothing to change.
    Absent,
}

impl Update {
    /// Whether it was made.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Done { .. })
    }
}
