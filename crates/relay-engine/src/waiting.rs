//! A request that waits for its turn, on the terms of its key.

use std::sync::Arc;
use std::time::Duration;

use relay_domain::{AccountId, RequestId, WaitQueue};
use relay_store::{Line, Waiting, WaitsTo};
use tokio::time::Instant;

use crate::EngineError;
use crate::admission::in_time;
use crate::core::Core;
use crate::flight::Flight;
use crate::journey::Incoming;
use crate::wait_room::{Hall, Obstacle, Place};

/// How much longer than it waits a request's place is kept in the store, so that it does not end before.
const GRACE: Duration = Duration::from_secs(1);

/// Where a request waits, and how.
pub(crate) struct Wish {
    /// How many requests of its key may wait, and for how long.
    pub(crate) terms: WaitQueue,
    pub(crate) hall: Hall,
    /// What kept it out.
    pub(crate) obstacle: Obstacle,
    /// The accounts that were busy, if it waits for one.
    pub(crate) busy: Vec<AccountId>,
}

/// A place in this process's room, and one of those that all instances have for the key. Dropping it leaves.
pub(crate) struct Seat {
    place: Place,
    entry: Entry,
}

/// A place in the store.
struct Entry {
    core: Arc<Core>,
    line: Line,
    request: RequestId,
}

impl Seat {
    /// Leaves because it was served.
    pub(crate) fn served(self) {
        self.place.served();
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let (ledger, request) = (Arc::clone(&self.core.directory.stores.ledger), self.request);
        let line = self.line.clone();
        self.core.spawn(async move {
            if let Err(error) = ledger.end_waiting(&line, request).await {
                tracing::debug!(request.id = %request, %error, "a place in line ends by itself");
            }
        });
    }
}

impl Core {
    /// Waits at `seat`, which it takes if it has none in that hall, until it is worth asking again.
    pub(crate) async fn wait(
        &self,
        flight: &mut Flight,
        incoming: &Incoming<'_>,
        wish: Wish,
        seat: &mut Option<Seat>,
    ) -> Result<(), EngineError> {
        let Wish { terms, hall, obstacle, busy } = wish;
        let since = Instant::now();
        let ends = since + terms.deadline.saturating_sub(incoming.arrived.elapsed());
        // Limits that have changed since may have moved what it waits for.
        let taken = match seat.take() {
            Some(seat) if seat.place.is_in(&hall) => seat,
            moved => {
                let entry = moved.map(|seat| seat.entry);
                self.take_seat(flight, (hall, terms.max_waiting), ends, entry).await?
            }
        };
        let Seat { place, .. } = seat.insert(taken);
        if !busy.is_empty() {
            place.wants(busy);
        }
        let sign = incoming.waits.filter(|_| flight.record.stream).map(crate::WaitSign::put_up);
        let is_its_turn = place.turn(ends, obstacle).await;
        drop(sign);
        flight.queued(since.elapsed());
        let waited = terms.deadline;
        if is_its_turn { Ok(()) } else { Err(EngineError::QueueTimeout { waited }) }
    }

    /// Takes a place in the room, and then one in the store: that costs a trip, which only those make who wait.
    async fn take_seat(
        &self,
        flight: &Flight,
        (hall, most): (Hall, u32),
        ends: Instant,
        entry: Option<Entry>,
    ) -> Result<Seat, EngineError> {
        let full = EngineError::QueueFull { max_waiting: most };
        let (key, request) = (&flight.record.key, flight.record.id);
        let to = match hall {
            Hall::Slots(_) => WaitsTo::BeLetIn,
            Hall::Accounts => WaitsTo::BeServed,
        };
        let Some(place) = self.wait_room.enter(hall, key, most) else { return Err(full) };
        if let Some(entry) = entry {
            return Ok(Seat { place, entry });
        }
        let line = Line { key: key.clone(), to };
        let now = self.clock.now();
        let until = now.plus(ends.saturating_duration_since(Instant::now()) + GRACE);
        let waiting = Waiting { request, line: line.clone(), most, now, until };
        // Whether a store that did not answer has taken it is not known: it is left either way.
        let entry = Entry { core: Arc::clone(flight.core()), line, request };
        let asked = self.directory.stores.ledger.begin_waiting(&waiting);
        let has_place = in_time(self.config.admission_timeout, asked).await?;
        if has_place { Ok(Seat { place, entry }) } else { Err(full) }
    }
}
