//! What Prometheus reads of a Relay.
//!
//! [`Metrics`] is made by whoever composes the process and handed to what is to be watched: it wraps the
//! ledger and the sink of events, and observes the edge. Nothing is global, and what runs with every request
//! adds to atomics that were laid out at the start: no lock, no look-up, no text. What is not counted but
//! looked up, such as requests in flight, is looked up when somebody reads ([`Exposition`]).
//!
//! No series carries a key, a name that an operator gave, or an unbounded set of texts that clients send.

mod counter_grid;
mod durations;
mod edge;
mod events;
mod exposition;
mod label_counts;
mod metered_ledger;
mod process;
mod reading;
mod requests;
mod store_trips;
mod text;

use std::sync::Arc;

use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use relay_engine::EventSink;
use relay_store::{Ledger, Stores};

pub use exposition::{Exposition, ExpositionParts};
pub use text::CONTENT_TYPE;

use crate::edge::EdgeMetrics;
use crate::events::{CountedEvents, EventCounts};
use crate::metered_ledger::MeteredLedger;
use crate::requests::RequestMetrics;
use crate::store_trips::StoreTrips;

/// What is counted in one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    edge: EdgeMetrics,
    events: EventCounts,
    requests: Arc<RequestMetrics>,
    trips: StoreTrips,
}

impl Metrics {
    /// Metrics of this `version` of Relay on a store of this kind.
    #[must_use]
    pub fn new(version: &'static str, store_kind: &'static str) -> Self {
        let mut registry = Registry::with_prefix("relay");
        let info = Info::new([("version", version), ("store", store_kind)]);
        registry.register("build", "Which Relay this is", info);
        let edge = EdgeMetrics::register(&mut registry);
        let requests = Arc::new(RequestMetrics::register(&mut registry));
        let trips = StoreTrips::register(&mut registry);
        let events = EventCounts::register(&mut registry);
        Self { registry, edge, events, requests, trips }
    }

    /// The same stores, watched.
    #[must_use]
    pub fn watch_stores(&self, stores: &Stores) -> Stores {
        let ledger = MeteredLedger {
            ledger: Arc::clone(&stores.ledger),
            trips: self.trips.clone(),
            requests: Arc::clone(&self.requests),
        };
        Stores { ledger: Arc::new(ledger) as Arc<dyn Ledger>, ..stores.clone() }
    }

    /// The same sink of events, watched.
    #[must_use]
    pub fn watch_events(&self, next: Arc<dyn EventSink>) -> Arc<dyn EventSink> {
        Arc::new(CountedEvents { counts: self.events.clone(), next })
    }
}

#[cfg(test)]
mod tests;
