//! How the process is at this moment: what is under way, what waits, and how the accounts fare.

use relay_domain::{AccountId, Platform};
use relay_journal::Journal;

use crate::Engine;
use crate::admission::in_time;

/// How the process is at one moment.
#[derive(Clone, Debug, Default)]
pub struct Vitals {
    /// Requests that were let in and are not settled, those that the journal keeps included.
    pub in_flight: usize,
    /// Requests that wait in a queue.
    pub queued: usize,
    /// Settlements in the journal.
    pub journaled: usize,
    /// Places in the journal that were damaged when it was opened.
    pub journal_damages: usize,
    /// Settlements that are nowhere but in memory.
    pub unkept: usize,
    /// Whether the store answers, and takes writes.
    pub store_is_up: bool,
    /// Every account that this process knows, by priority and id.
    pub accounts: Vec<AccountVitals>,
}

/// How an account fares.
#[derive(Clone, Debug)]
pub struct AccountVitals {
    /// Which.
    pub id: AccountId,
    /// Its platform.
    pub platform: Platform,
    /// `active`, `disabled` if an operator took it out, or the status of what keeps it out.
    pub state: &'static str,
}

impl Engine {
    /// How the process is. Asks the store whether it is there and takes writes, for as long as a request would.
    pub async fn vitals(&self) -> Vitals {
        let core = self.core();
        let directory = &core.directory;
        let look = async {
            let version = directory.stores.ledger.version().await?;
            // Nobody may have asked for a while: what other instances changed is seen by this.
            directory.refresh_roster(version).await?;
            directory.stores.ledger.is_ready().await
        };
        let store_is_up = in_time(core.config.admission_timeout, look).await.is_ok();
        let (roster, now) = (core.directory.roster(), core.clock.now());
        let accounts = roster.entries.iter().map(|entry| {
            let account = &entry.account;
            let health = entry.live.health();
            let penalty = health.penalty.filter(|penalty| penalty.holds(now));
            let is_in_use = account.is_active && account.schedulable;
            let state = match penalty {
                _ if !is_in_use => "disabled",
                Some(penalty) => penalty.reason.status(),
                None => "active",
            };
            AccountVitals { id: account.id.clone(), platform: account.platform, state }
        });
        Vitals {
            in_flight: core.airspace.all().len(),
            queued: core.wait_room.waiting(),
            journaled: core.journal.as_ref().map_or(0, Journal::len),
            journal_damages: core.journal.as_ref().map_or(0, |journal| journal.damage().places),
            unkept: core.unkept.count(),
            store_is_up,
            accounts: accounts.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use crate::fixture::Bench;

    #[tokio::test]
    async fn a_store_is_up_that_answers_and_takes_writes() {
        let bench = Bench::new();
        let engine = bench.engine(None).await;
        assert!(engine.vitals().await.store_is_up);
        bench.ledger.go_away(true);
        assert!(!engine.vitals().await.store_is_up);
        bench.ledger.go_away(false);
        bench.ledger.is_read_only.store(true, Ordering::SeqCst);
        assert!(!engine.vitals().await.store_is_up, "nothing can be settled");
        bench.ledger.is_read_only.store(false, Ordering::SeqCst);
        assert!(engine.vitals().await.store_is_up);
    }
}
