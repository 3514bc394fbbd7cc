//! Who waits. In memory: only one process serves with a file, and when that ends nobody waits any more.

use std::collections::HashMap;

use relay_domain::{RequestId, Timestamp};
use relay_store::{Line, Waiting};

/// The requests that wait, by their line, and when they give their places up.
#[derive(Debug, Default)]
pub(crate) struct WaitingRequests(HashMap<Line, HashMap<RequestId, Timestamp>>);

impl WaitingRequests {
    /// Takes a place in a line, unless all are taken.
    pub(crate) fn begin(&mut self, waiting: &Waiting) -> bool {
        let places = self.0.entry(waiting.line.clone()).or_default();
        places.retain(|_, until| waiting.now < *until);
        let has_room = usize::try_from(waiting.most).is_ok_and(|most| places.len() < most);
        let is_in = has_room || places.contains_key(&waiting.request);
        if is_in {
            places.insert(waiting.request, waiting.until);
        }
        if places.is_empty() {
            self.0.remove(&waiting.line);
        }
        is_in
    }

    /// Leaves a place in a line.
    pub(crate) fn end(&mut self, line: &Line, request: RequestId) {
        if let Some(places) = self.0.get_mut(line) {
            places.remove(&request);
            if places.is_empty() {
                self.0.remove(line);
            }
        }
    }
}
