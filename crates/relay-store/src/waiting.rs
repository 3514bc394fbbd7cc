//! Requests that wait to be let in or served, as far as all instances have to know.

use relay_domain::{KeyId, RequestId, Timestamp};

/// Where requests of a key wait.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Line {
    /// The key.
    pub key: KeyId,
    /// What they wait for.
    pub to: WaitsTo,
}

/// What a request waits for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum WaitsTo {
    /// To be one of the requests at once that its key or group may have.
    BeLetIn,
    /// An account that is not busy.
    BeServed,
}

/// A request that would wait.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Which request.
    pub request: RequestId,
    /// Where.
    pub line: Line,
    /// How many may wait there.
    pub most: u32,
    /// When.
    pub now: Timestamp,
    /// When it waits no longer, whatever becomes of its process.
    pub until: Timestamp,
}
