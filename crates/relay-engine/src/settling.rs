//! How a settlement reaches the store, also if the store is away just now.
//!
//! It is tried at once. If the store cannot take it, or does not say so soon ([`keeping`]), it goes into the
//! process's journal, which is on the disk when it has been kept, and is delivered from there as soon as the
//! store is back: by this process, or by the next one that is started on the same folder. Meanwhile its lease
//! is renewed. Delivering twice does no harm, because the request's hold goes with the first.
//!
//! A store that comes back without the hold (it lost its last moments) gets the request anew, unless it has
//! the record: then the request was settled before.

mod form;
mod keeping;

use std::sync::Arc;
use std::time::Duration;

use relay_domain::{Event, EventKind, LimitScope, Limits, RequestId, RequestRecord};
use relay_journal::EntryId;
use relay_store::{AdmitRequest, Charge, Estimate, Settled, Settlement, StoreError};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use self::keeping::{Kept, is_lasting, keep};
use crate::core::Core;
use crate::wait_room::Hall;

/// How often a settlement is tried where there is no journal, or it cannot take it, and how long in between
/// at most. One that counts nothing is given up sooner: its hold ends with its lease.
const TRIES: u32 = 200;
const RELEASE_TRIES: u32 = 3;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often a store that was away is asked whether it takes what is in the journal.
const DELIVERY_PAUSE: Duration = Duration::from_millis(500);

/// A settlement on its way.
pub(crate) struct Outgoing {
    pub(crate) settlement: Settlement,
    /// Whether its request is known to have been let in.
    pub(crate) was_admitted: bool,
}

/// Settles, and lets go of the request only then: until then its lease is renewed, so that no reaper
/// settles it with less. `told` is closed as soon as it is kept, in the store or in the journal.
pub(crate) async fn settle(core: &Core, outgoing: &Outgoing, told: oneshot::Sender<()>) {
    let settlement = &outgoing.settlement;
    let id = settlement.record.id;
    // Until the end, if it is not kept before.
    let Kept { answer, entry, told: _told } = keep(core, outgoing, told).await;
    match answer {
        Ok(settled) => {
            if let (Some(journal), Some(entry)) = (&core.journal, entry) {
                journal.forget(entry);
            }
            if settlement.charge == Charge::Count && settled == Settled::Before {
                tracing::warn!(request.id = %id, "request was settled before, at its lease's end");
            }
            core.settled(settlement, settled);
            return;
        }
        Err(error) if entry.is_some() && !is_lasting(&error) => {
            tracing::warn!(request.id = %id, %error, "settlement waits in the journal");
            core.delivery.notify_one();
            return;
        }
        Err(error @ (StoreError::Unavailable(_) | StoreError::Refused(_))) => {
            tracing::warn!(request.id = %id, %error, "settlement waits for the store");
        }
        Err(error) => {
            // No later delivery would fare better.
            if let (Some(journal), Some(entry)) = (&core.journal, entry) {
                journal.forget(entry);
            }
            tracing::error!(request.id = %id, %error, "settlement not kept");
            core.airspace.leave(id);
            return;
        }
    }
    settle_with_patience(core, settlement).await;
    core.airspace.leave(id);
}

/// Settles, again and again while the store is away or refuses. If all tries fail, the hold's last
/// checkpoint is settled when its lease ends.
async fn settle_with_patience(core: &Core, settlement: &Settlement) {
    let id = settlement.record.id;
    let counts = settlement.charge == Charge::Count;
    let _unkept = counts.then(|| core.unkept.begin());
    let tries = if counts { TRIES } else { RELEASE_TRIES };
    let mut pause = Duration::from_millis(100);
    for attempt in 2..=tries {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        match core.directory.stores.ledger.settle(settlement).await {
            Ok(settled) => {
                core.settled(settlement, settled);
                return;
            }
            Err(StoreError::Unavailable(_) | StoreError::Refused(_)) if attempt < tries => {}
            Err(error) if !counts => {
                tracing::warn!(request.id = %id, %error, "hold not released; it ends with its lease");
            }
            Err(error) => tracing::error!(request.id = %id, %error, "settlement not kept"),
        }
    }
}

/// Delivers what is in the journal until `stop` is cancelled: at once when something comes in, and again
/// and again while the store is away.
pub(crate) async fn deliver_until(core: &Arc<Core>, stop: &CancellationToken) {
    let Some(journal) = &core.journal else { return };
    loop {
        let pause = async {
            if journal.is_empty() {
                core.delivery.notified().await;
            }
            // Whoever has just failed need not be asked again at once.
            tokio::time::sleep(DELIVERY_PAUSE).await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = pause => {}
        }
        deliver(core).await;
    }
}

/// What has become of what was in the journal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Delivery {
    /// All of it is delivered.
    Done,
    /// The store does not take some of it, or it cannot be read.
    Incomplete,
    /// The store is away.
    StoreAway,
}

/// Delivers what is in the journal, the oldest first.
pub(crate) async fn deliver(core: &Core) -> Delivery {
    let Some(journal) = &core.journal else { return Delivery::Done };
    let mut unreadable = core.delivering.lock().await;
    let mut delivery = Delivery::Done;
    for (entry, bytes) in journal.oldest(usize::MAX) {
        let settlement = match form::read(&bytes) {
            Ok(settlement) => settlement,
            Err(error) => {
                // It is left where it is: a later version may read it.
                if unreadable.insert(entry) {
                    tracing::error!(%error, "an entry of the journal cannot be read, and stays there");
                }
                delivery = Delivery::Incomplete;
                continue;
            }
        };
        let id = settlement.record.id;
        core.airspace.enter(id);
        match deliver_one(core, settlement, entry).await {
            Ok(()) => {}
            Err(StoreError::Unavailable(_)) => return Delivery::StoreAway,
            Err(error) => {
                tracing::error!(request.id = %id, %error, "settlement in the journal not taken");
                delivery = Delivery::Incomplete;
            }
        }
    }
    delivery
}

async fn deliver_one(
    core: &Core,
    settlement: Settlement,
    entry: EntryId,
) -> Result<(), StoreError> {
    let Some(journal) = &core.journal else { return Ok(()) };
    let (ledger, id) = (&core.directory.stores.ledger, settlement.record.id);
    let mut settled = ledger.settle(&settlement).await?;
    if settled == Settled::Before && core.directory.stores.usage.record(id).await?.is_none() {
        tracing::warn!(request.id = %id, "the store lost the request's hold; it is made again");
        ledger.admit(&again(core, &settlement)).await?;
        settled = ledger.settle(&settlement).await?;
    }
    tracing::info!(request.id = %id, first = settled.is_first(), "settlement delivered from the journal");
    journal.forget(entry);
    core.settled(&settlement, settled);
    Ok(())
}

/// Takes a hold for a request that has been served, whatever its limits say now.
fn again(core: &Core, settlement: &Settlement) -> AdmitRequest {
    let record = &settlement.record;
    let now = core.clock.now();
    AdmitRequest {
        request: record.id,
        key: record.key.clone(),
        limits: Limits::default(),
        group: record.group.clone().map(|group| (group, Limits::default())),
        platform: record.platform,
        model: record.model.clone(),
        may_be_claude: record.is_claude(),
        stream: record.stream,
        estimate: Estimate::default(),
        affinity: None,
        now,
        lease_until: now.plus(core.config.lease),
    }
}

impl Core {
    /// A request is settled: lets go of it, wakes who waits for its place, tells what it has passed.
    fn settled(&self, settlement: &Settlement, settled: Settled) {
        let id: RequestId = settlement.record.id;
        self.airspace.leave(id);
        self.wake_who_waits(&settlement.record);
        if let Settled::Now { crossed } = settled {
            for crossing in crossed {
                let kind = EventKind::BudgetThreshold {
                    scope: crossing.scope,
                    percent: crossing.percent,
                    state: crossing.state,
                };
                self.events.tell(Event { at: settlement.now, kind });
            }
        }
    }

    /// Rings whoever may take the place of a request that has ended.
    fn wake_who_waits(&self, ended: &RequestRecord) {
        let key = &ended.key;
        self.wait_room.wake(&Hall::Slots(LimitScope::Key(key.clone())), key);
        if let Some(group) = &ended.group {
            self.wait_room.wake(&Hall::Slots(LimitScope::Group(group.clone())), key);
        }
        self.wait_room.wake_all(&Hall::Accounts);
    }
}

#[cfg(test)]
mod tests;
