//! How events have fared since the start.

use std::sync::atomic::{AtomicU64, Ordering};

/// How events have fared since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AlertCounts {
    /// How often one could not be handed on, to the store or to one webhook, because too many waited.
    pub missed: u64,
    /// How often one was told to a webhook.
    pub told: u64,
    /// How often it was given up to tell one to a webhook.
    pub not_told: u64,
}

/// The numbers as they grow.
#[derive(Debug, Default)]
pub(super) struct Counts {
    missed: AtomicU64,
    told: AtomicU64,
    not_told: AtomicU64,
}

impl Counts {
    /// One was missed. `true`: the first.
    pub(super) fn miss(&self) -> bool {
        self.missed.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// One was told to a webhook, or given up.
    pub(super) fn delivered(&self, is_told: bool) {
        let count = if is_told { &self.told } else { &self.not_told };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// All of them at this moment.
    pub(super) fn so_far(&self) -> AlertCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        AlertCounts {
            missed: read(&self.missed),
            told: read(&self.told),
            not_told: read(&self.not_told),
        }
    }
}
