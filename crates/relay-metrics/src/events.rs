//! Events, counted on their way to those who are told of them.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use relay_domain::{Event, EventKind};
use relay_engine::EventSink;

use crate::counter_grid::{CounterGrid, Counts};

/// Events that were told, by their kind.
#[derive(Clone, Debug)]
pub(crate) struct EventCounts(CounterGrid<1>);

impl EventCounts {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let counts = CounterGrid::new([("kind", &EventKind::NAMES)], Counts::Whole);
        registry.register("events", "Events that this process saw", counts.clone());
        Self(counts)
    }
}

/// Counts events and hands them on.
pub(crate) struct CountedEvents {
    pub(crate) counts: EventCounts,
    pub(crate) next: Arc<dyn EventSink>,
}

impl EventSink for CountedEvents {
    fn tell(&self, event: Event) {
        let name = event.kind.name();
        if let Some(place) = EventKind::NAMES.iter().position(|known| *known == name) {
            self.counts.0.add([place], 1);
        }
        self.next.tell(event);
    }
}
