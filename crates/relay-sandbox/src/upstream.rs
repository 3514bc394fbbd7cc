//! What all connections of one sandbox share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use crate::recorder::Recorder;
use crate::scenario::Scenarios;

/// One sandbox, as its connections see it.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) scenarios: Scenarios,
    pub(crate) recorder: Recorder,
    pub(crate) open_connections: Gauge,
    pub(crate) requests_in_flight: Gauge,
    pub(crate) streams_in_flight: Gauge,
    bound_at: Instant,
    requests: AtomicU64,
}

impl Upstream {
    pub(crate) fn new() -> Self {
        Self {
            scenarios: Scenarios::new(),
            recorder: Recorder::new(),
            open_connections: Gauge::default(),
            requests_in_flight: Gauge::default(),
            streams_in_flight: Gauge::default(),
            bound_at: Instant::now(),
            requests: AtomicU64::new(0),
        }
    }

    /// Milliseconds since the sandbox was bound.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.bound_at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The number of the next request, from 1.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// How many of something there are at the moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge(Arc<AtomicU64>);

impl Gauge {
    /// Counts one more until the result is dropped.
    pub(crate) fn enter(&self) -> Entered {
        self.0.fetch_add(1, Ordering::Relaxed);
        Entered(self.clone())
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One that a [`Gauge`] counts.
#[derive(Debug)]
pub(crate) struct Entered(Gauge);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
