//! The requests that this process has in flight, so that their leases can be renewed.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use relay_domain::RequestId;

/// The requests that this process has in flight.
#[derive(Debug, Default)]
pub(crate) struct Airspace(Mutex<HashSet<RequestId>>);

impl Airspace {
    pub(crate) fn enter(&self, id: RequestId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    pub(crate) fn leave(&self, id: RequestId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Every request in flight at this moment.
    pub(crate) fn all(&self) -> Vec<RequestId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}
