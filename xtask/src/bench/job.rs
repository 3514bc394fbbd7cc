//! What the benchmark asks of its load process, and what that answers, as lines of JSON.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// One slice of load on one candidate.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Job {
    /// Where the candidate listens.
    pub(crate) address: SocketAddr,
    /// The API key to present.
    pub(crate) key: String,
    /// What to do.
    pub(crate) work: Work,
}

/// The kinds of load. Times are in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) enum Work {
    /// Every connection sends its next request as soon as it has its answer.
    ClosedLoop { connections: u32, body_bytes: usize, warm_up_ms: u64, measure_ms: u64 },
    /// Requests start at a fixed rate, whether or not earlier ones have been answered.
    OpenLoop { per_second: u32, body_bytes: usize, warm_up_ms: u64, measure_ms: u64 },
    /// Streams are opened over `spread_ms`; while all are open, their events are counted.
    OpenStreams { streams: u32, spread_ms: u64, settle_ms: u64, measure_ms: u64 },
    /// Two waves of streams are opened over `spread_ms` each; the second one is timed.
    FirstToken { streams: u32, spread_ms: u64 },
}

/// What the load process says.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum Mark {
    /// What counts begins now.
    Started,
    /// It ended just now, with this result.
    Measured(Tally),
    /// Everything that was sent has been answered whole, and all of it was right.
    Finished,
}

/// What was counted between [`Mark::Started`] and [`Mark::Measured`].
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Tally {
    /// Answers that were read to their end.
    pub(crate) requests: u32,
    /// Stream events that arrived.
    pub(crate) events: u32,
    /// Median time to the end of the answer, or to the first token, in milliseconds.
    pub(crate) p50_ms: f64,
    /// The time that one in a hundred exceeds, in milliseconds.
    pub(crate) p99_ms: f64,
}
