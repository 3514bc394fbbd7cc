//! Keeping a settlement where the death of the process does not reach it: in the store, or in the journal if
//! the store does not say soon that it has it.
//!
//! A store that answers costs nothing more. One that is slow is still waited for while the journal writes, for
//! what it says then is worth knowing; and whichever of both is first lets the client's answer end. So what a
//! client has seen finished is not lost with a process that is killed right afterwards, also if the store has
//! not answered by then, and may never have heard of it.

use std::pin::pin;
use std::time::Duration;

use relay_journal::EntryId;
use relay_store::{Settled, Settlement, StoreError};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Outgoing, form};
use crate::core::Core;

/// How long the store alone is waited for. Far more than it takes, and not long for a client.
const STORE_PATIENCE: Duration = Duration::from_millis(150);

/// What has become of a settlement.
pub(super) struct Kept {
    /// What the store says.
    pub(super) answer: Result<Settled, StoreError>,
    /// Where it is in the journal, if it was written there.
    pub(super) entry: Option<EntryId>,
    /// To be closed when it is kept. `None`: it is.
    pub(super) told: Option<oneshot::Sender<()>>,
}

/// Hands a settlement to the store, and to the journal if the store fails or is slow. `told` is closed when
/// one of both has it.
pub(super) async fn keep(core: &Core, outgoing: &Outgoing, told: oneshot::Sender<()>) -> Kept {
    let settlement = &outgoing.settlement;
    let mut told = Some(told);
    let mut settling = pin!(core.directory.stores.ledger.settle(settlement));
    let early = timeout(STORE_PATIENCE, &mut settling).await;
    let journal = async {
        // Whether the store knows the request is not known: it may have nothing to settle.
        if outgoing.was_admitted { journaled(core, settlement).await } else { None }
    };
    let mut journal = pin!(journal);
    let (answer, entry) = match early {
        Ok(answer @ Ok(_)) => (answer, None),
        Ok(Err(error)) if is_lasting(&error) => (Err(error), None),
        Ok(answer) => (answer, journal.await),
        Err(_elapsed) => tokio::select! {
            answer = &mut settling => {
                if answer.is_ok() {
                    told = None;
                }
                (answer, journal.await)
            }
            entry = &mut journal => {
                if entry.is_some() {
                    told = None;
                }
                (settling.await, entry)
            }
        },
    };
    Kept { answer, entry, told }
}

/// Whether trying again is in vain.
pub(super) fn is_lasting(error: &StoreError) -> bool {
    !matches!(error, StoreError::Unavailable(_) | StoreError::Refused(_))
}

/// Puts a settlement into the journal, if there is one and it takes it.
async fn journaled(core: &Core, settlement: &Settlement) -> Option<EntryId> {
    let journal = core.journal.as_ref()?;
    let kept = match form::write(settlement) {
        Ok(bytes) => journal.keep(&bytes).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let id = settlement.record.id;
    kept.inspect_err(|error| {
        tracing::error!(request.id = %id, error, "settlement not journaled; it stays in memory");
    })
    .ok()
}
