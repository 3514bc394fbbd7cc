//! How a flight ends: its settlement, exactly once, and who waits for that.
//!
//! Settlement runs on the process's task tracker ([`crate::settling`]); only the end of a finished answer
//! waits for it, for a bounded time ([`Flight::kept`]).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use relay_domain::{
    AccountId, AffinityKey, AttemptOutcome, LimitScope, Limits, Outcome, Timestamp,
    UnpricedTreatment, UsageSource,
};
use relay_store::{Binding, Charge, Rebind, Settlement};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Flight;
use crate::payer::Payer;
use crate::settling::{Outgoing, settle};

/// How long the end of an answer waits at most until its settlement is kept. This is for a disk that hangs
/// while the store is away, and for a journal that cannot be written then.
const KEPT_WITHIN: Duration = Duration::from_secs(5);

/// Waits until a settlement is kept, for a bounded time.
pub(crate) type Kept = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The conversation that a request belongs to.
pub(super) struct Conversation {
    pub(super) affinity: AffinityKey,
    /// The account that it is bound to for long enough.
    pub(super) bound_to: Option<AccountId>,
    /// The end of a binding made now; `None`: none is made.
    pub(super) until: Option<Timestamp>,
}

impl Conversation {
    /// The binding to write after `account` has answered, if it is new or due to be renewed.
    fn rebind(self, account: &AccountId) -> Option<Rebind> {
        let Self { affinity, bound_to, until } = self;
        let binding = Binding { account: account.clone(), until: until? };
        (bound_to.as_ref() != Some(account)).then_some(Rebind { affinity, binding })
    }
}

impl Flight {
    /// Ends the flight: the last attempt came to `attempt`, the request to `outcome`.
    pub(crate) fn land(&mut self, outcome: Outcome, attempt: Option<AttemptOutcome>, status: u16) {
        if std::mem::replace(&mut self.landed, true) {
            return;
        }
        let end_us = self.elapsed_us();
        if let Some(departure) = &self.departure {
            departure.may_drain(false);
        }
        if let Some(attempt) = attempt {
            let upstream_status = self.record.times.head_us.map(|_| status);
            self.end_attempt(attempt, upstream_status);
        }
        // Whatever the upstream did for a client that had left: its attempt tells that.
        self.record.outcome = if self.client_has_left() { Outcome::ClientGone } else { outcome };
        if self.record.outcome == Outcome::ClientGone {
            self.count_sent();
        }
        self.record.status = status;
        self.record.times.end_us = Some(end_us);
        if self.payer.is_some() {
            self.settle();
        }
    }

    /// Waits until what it came to survives the death of the process: in the store, or in the journal if
    /// the store is away or slow. The end of an answer waits for this, so that nobody who saw it finished
    /// finds it gone; but not for ever. `None`: there is nothing to wait for.
    pub(crate) fn kept(&mut self) -> Option<Kept> {
        let settling = self.settling.take()?;
        let id = self.record.id;
        Some(Box::pin(async move {
            // Whether it is kept or not, the answer goes out.
            if timeout(KEPT_WITHIN, settling).await.is_err() {
                tracing::error!(request.id = %id, "an answer ends before its settlement is kept");
            }
        }))
    }

    fn settle(&mut self) {
        let core = Arc::clone(&self.core);
        let used = self.record.usage_source != UsageSource::None;
        let account = self.record.account.as_ref().filter(|_| self.has_answer());
        let conversation = self.conversation.take();
        self.note_usage(conversation.as_ref().map(|conversation| &conversation.affinity));
        let now = core.clock.now();
        self.record.settled_at = Some(now);
        let settlement = Settlement {
            charge: if used { Charge::Count } else { Charge::Release },
            bind: account.and_then(|account| conversation?.rebind(account)),
            budgets: if used { self.budgets() } else { Vec::new() },
            now,
            record: self.record.clone(),
        };
        let outgoing = Outgoing { settlement, was_admitted: self.was_admitted };
        let shared = Arc::clone(&core);
        let (settled, settling) = oneshot::channel::<()>();
        self.settling = Some(settling);
        core.spawn(async move { settle(&shared, &outgoing, settled).await });
    }

    /// Whether an account has given it a whole answer, also if its client did not wait for that.
    fn has_answer(&self) -> bool {
        match self.record.outcome {
            Outcome::Completed => true,
            Outcome::ClientGone => self.record.usage_source == UsageSource::Final,
            Outcome::Rejected
            | Outcome::UpstreamFailed
            | Outcome::BudgetExhausted
            | Outcome::NoAccount
            | Outcome::Orphaned => false,
        }
    }

    /// Learns from what the request has come to, and says if it has no price.
    fn note_usage(&self, affinity: Option<&AffinityKey>) {
        let (record, Some(payer)) = (&self.record, &self.payer) else { return };
        if record.usage_source == UsageSource::Final && payer.is_limited() {
            self.core.experience.learn(record, affinity, self.body_bytes);
        }
        if record.usage_source != UsageSource::None && record.cost.is_none() {
            let treatment = match record.charged {
                Some(_) => UnpricedTreatment::Fallback,
                None => UnpricedTreatment::Unknown,
            };
            let model = record.served_model.as_ref().unwrap_or(&record.model);
            self.core.note_unpriced(model, payer.id(), record.account.as_ref(), treatment);
        }
    }

    /// The budgets whose thresholds its settlement may pass.
    fn budgets(&self) -> Vec<(LimitScope, Limits)> {
        let of_payer = self.payer.iter().flat_map(Payer::budgets);
        let of_account = self.placed.iter().filter(|(_, limits)| limits.has_budget());
        let of_account =
            of_account.map(|(account, limits)| (LimitScope::Account(account.clone()), *limits));
        of_payer.chain(of_account).collect()
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.landed {
            let attempt = self.attempt_began_us.map(|_| AttemptOutcome::ClientGone);
            let status = if self.record.times.first_content_us.is_some() { 200 } else { 0 };
            self.land(Outcome::ClientGone, attempt, status);
        }
    }
}
