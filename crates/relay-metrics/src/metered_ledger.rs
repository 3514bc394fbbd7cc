//! The ledger, watched: how its trips fare, and what the requests came to that it has settled. So what is
//! counted is what the store has counted, whoever asked it: a request, the journal or the reaper.

use std::sync::Arc;

use async_trait::async_trait;
use relay_domain::{LimitScope, LimitState, Limits, RequestId, RequestRecord, Timestamp};
use relay_store::{
    Admission, AdmitRequest, Assignment, Checkpoint, ConfigVersion, Extension, HoldAnswer, Ledger,
    Line, Settled, Settlement, StoreError, Waiting,
};

use crate::requests::RequestMetrics;
use crate::store_trips::{StoreTrips, Trip};

/// A ledger that is watched.
pub(crate) struct MeteredLedger {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) trips: StoreTrips,
    pub(crate) requests: Arc<RequestMetrics>,
}

#[async_trait]
impl Ledger for MeteredLedger {
    async fn admit(&self, request: &AdmitRequest) -> Result<Admission, StoreError> {
        self.trips.watch(Trip::Admit, self.ledger.admit(request)).await
    }

    async fn assign(&self, assignment: &Assignment) -> Result<HoldAnswer, StoreError> {
        self.trips.watch(Trip::Assign, self.ledger.assign(assignment)).await
    }

    async fn extend(&self, extension: &Extension) -> Result<HoldAnswer, StoreError> {
        self.trips.watch(Trip::Extend, self.ledger.extend(extension)).await
    }

    async fn checkpoint(&self, checkpoint: &Checkpoint) -> Result<bool, StoreError> {
        self.trips.watch(Trip::Checkpoint, self.ledger.checkpoint(checkpoint)).await
    }

    async fn settle(&self, settlement: &Settlement) -> Result<Settled, StoreError> {
        let settled = self.trips.watch(Trip::Settle, self.ledger.settle(settlement)).await?;
        if settled.is_first() {
            self.requests.count(&settlement.record);
        }
        Ok(settled)
    }

    async fn reap(&self, now: Timestamp, max: usize) -> Result<Vec<RequestRecord>, StoreError> {
        let orphans = self.trips.watch(Trip::Reap, self.ledger.reap(now, max)).await?;
        for orphan in &orphans {
            self.requests.count(orphan);
        }
        Ok(orphans)
    }

    async fn begin_waiting(&self, waiting: &Waiting) -> Result<bool, StoreError> {
        self.trips.watch(Trip::Wait, self.ledger.begin_waiting(waiting)).await
    }

    async fn end_waiting(&self, line: &Line, request: RequestId) -> Result<(), StoreError> {
        self.trips.watch(Trip::Wait, self.ledger.end_waiting(line, request)).await
    }

    async fn standings(
        &self,
        scopes: &[(LimitScope, Limits)],
        now: Timestamp,
    ) -> Result<Vec<Vec<LimitState>>, StoreError> {
        self.trips.watch(Trip::Standing, self.ledger.standings(scopes, now)).await
    }

    async fn restart(&self, scope: &LimitScope, now: Timestamp) -> Result<(), StoreError> {
        self.trips.watch(Trip::Restart, self.ledger.restart(scope, now)).await
    }

    async fn version(&self) -> Result<ConfigVersion, StoreError> {
        self.trips.watch(Trip::Version, self.ledger.version()).await
    }

    async fn is_ready(&self) -> Result<(), StoreError> {
        self.ledger.is_ready().await
    }
}
