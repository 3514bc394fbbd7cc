//! A request that waits for its turn, on the terms of its key.

use relay_domain::{AccountId, WaitQueue};
use tokio::time::Instant;

use crate::EngineError;
use crate::core::Core;
use crate::flight::Flight;
use crate::journey::Incoming;
use crate::wait_room::{Hall, Obstacle, Place};

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

impl Core {
    /// Waits at `place`, which it takes if it has none in that hall, until it is worth asking again.
    pub(crate) async fn wait(
        &self,
        flight: &mut Flight,
        incoming: &Incoming<'_>,
        wish: Wish,
        place: &mut Option<Place>,
    ) -> Result<(), EngineError> {
        let Wish { terms: WaitQueue { max_waiting, deadline }, hall, obstacle, busy } = wish;
        // Limits that have changed since may have moved what it waits for.
        let taken = match place.take().filter(|place| place.is_in(&hall)) {
            Some(place) => Some(place),
            None => self.wait_room.enter(hall, &flight.record.key, max_waiting),
        };
        let place = place.insert(taken.ok_or(EngineError::QueueFull { max_waiting })?);
        if !busy.is_empty() {
            place.wants(busy);
        }
        let since = Instant::now();
        let ends = since + deadline.saturating_sub(incoming.arrived.elapsed());
        let sign = incoming.waits.filter(|_| flight.record.stream).map(crate::WaitSign::put_up);
        let is_its_turn = place.turn(ends, obstacle).await;
        drop(sign);
        flight.queued(since.elapsed());
        if is_its_turn { Ok(()) } else { Err(EngineError::QueueTimeout { waited: deadline }) }
    }
}
