//! What goes on beside the requests: renewing their leases, and settling those whose process died.

use std::sync::Arc;
use std::time::Duration;

use relay_store::Checkpoint;
use tokio_util::sync::CancellationToken;

use crate::Engine;
use crate::core::Core;
use crate::settling::{Delivery, deliver, deliver_until};

/// Orphans settled in one go.
const REAP_BATCH: usize = 500;

impl Engine {
    /// Renews leases, delivers what the journal keeps, and settles orphans until `stop` is cancelled. One
    /// task of the process runs this.
    pub async fn keep_house(&self, stop: CancellationToken) {
        tokio::join!(self.keep_leases(&stop), deliver_until(self.core(), &stop));
    }

    async fn keep_leases(&self, stop: &CancellationToken) {
        // Two renewals may fail before a lease ends.
        let pause = self.core().config.lease / 3;
        let mut reaped_for = Duration::MAX;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            // Whoever could not renew its own leases does not judge others by theirs.
            let renewed = renew_leases(self.core()).await;
            // After an outage others get the time to renew theirs and to deliver what they kept.
            reaped_for = if renewed { reaped_for.saturating_add(pause) } else { Duration::ZERO };
            if renewed && reaped_for >= self.core().config.lease / 2 {
                reaped_for = Duration::ZERO;
                self.reap().await;
            }
        }
    }

    /// Settles the requests of dead processes. Called once before the first request is served, too.
    pub async fn reap(&self) {
        let core = self.core();
        // What is known of a request is more than its last checkpoint: as long as it cannot be delivered, the
        // request is no orphan.
        if deliver(core).await == Delivery::StoreAway {
            return;
        }
        loop {
            match core.directory.stores.ledger.reap(core.clock.now(), REAP_BATCH).await {
                Ok(orphans) => {
                    for orphan in &orphans {
                        tracing::warn!(request.id = %orphan.id, "settled a request whose process died");
                    }
                    if orphans.len() < REAP_BATCH {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "orphans not settled");
                    return;
                }
            }
        }
    }
}

/// Renews the lease of every request in flight, or awaiting settlement. `false`: not of all.
async fn renew_leases(core: &Arc<Core>) -> bool {
    let mut all = true;
    for request in core.airspace.all() {
        let lease_until = core.clock.now().plus(core.config.lease);
        let checkpoint = Checkpoint { request, lease_until, progress: None };
        if let Err(error) = core.directory.stores.ledger.checkpoint(&checkpoint).await {
            tracing::warn!(request.id = %request, %error, "lease not renewed");
            all = false;
        }
    }
    all
}
