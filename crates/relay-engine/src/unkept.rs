//! Settlements that are nowhere but in memory: while there are any, nothing new is let in.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many settlements neither the store nor the journal has taken.
#[derive(Debug, Default)]
pub(crate) struct Unkept(AtomicUsize);

/// One of them; ends when dropped.
pub(crate) struct UnkeptOne<'a>(&'a Unkept);

impl Unkept {
    /// There is one more.
    pub(crate) fn begin(&self) -> UnkeptOne<'_> {
        self.0.fetch_add(1, Ordering::AcqRel);
        UnkeptOne(self)
    }

    /// Whether there are more than `most`.
    pub(crate) fn exceeds(&self, most: usize) -> bool {
        most < self.count()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for UnkeptOne<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}
