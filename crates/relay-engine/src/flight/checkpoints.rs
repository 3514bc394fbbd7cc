//! What of a flight is kept in the store, off the path, in case the process dies: its orphan is charged that.

use std::sync::Arc;
use std::time::Duration;

use relay_domain::{NanoUsd, ServedTerms, TokenCount, TokenUsage, UsageSource};
use relay_protocol::anthropic::StreamTap;
use relay_store::{Checkpoint, Progress};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Flight;

/// How often what a stream has come to is kept.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);

/// What the store was told of a flight.
#[derive(Default)]
pub(super) struct Trail {
    /// When what is known of the present attempt's stream is told again; `None`: it was not yet.
    next: Option<Instant>,
    /// Whether what was told last is of the present attempt, and would be charged.
    is_owed: bool,
    /// Closed when what was told last has been kept: what is told next must not be passed by it.
    last: Option<oneshot::Receiver<()>>,
}

impl Flight {
    /// Takes over what the tap of a stream has read, when it is news, and keeps it: the first at once, and
    /// what has been added to it every few seconds.
    pub(crate) fn watch(&mut self, tap: &StreamTap, now: Instant) {
        let source = tap.usage_source();
        if source == UsageSource::None {
            return;
        }
        if source != self.record.usage_source {
            self.count_tap(tap);
        }
        if source == UsageSource::Partial && self.trail.next.is_none_or(|due| due <= now) {
            if self.trail.next.is_some() {
                self.count_tap(tap);
            }
            self.trail.next = Some(now + CHECKPOINT_EVERY);
            self.keep_counted();
        }
    }

    fn keep_counted(&mut self) {
        let Some(account) = self.record.account.clone() else { return };
        let record = &self.record;
        self.keep(Progress {
            account,
            served_model: record.served_model.clone(),
            usage: record.usage,
            usage_source: record.usage_source,
            terms: record.terms,
            cost: record.cost,
            presumed_cost: record.presumed_cost,
            cost_by_kind: record.cost_by_kind,
            charged: record.charged,
            edits: record.edits.clone(),
        });
    }

    /// Keeps the input, for an upstream that has the request and no answer yet. `false`: it does not have the
    /// request yet.
    pub(crate) fn keep_sent(&mut self) -> bool {
        if !self.is_sent() {
            return false;
        }
        if let (Some(account), true) = (self.record.account.clone(), self.payer.is_some()) {
            let usage = self.usage_by_length(TokenCount::ZERO);
            let bill = self.bill(&usage.into(), None);
            self.keep(Progress {
                account,
                served_model: None,
                usage,
                usage_source: UsageSource::Estimated,
                terms: self.record.terms,
                cost: bill.cost(),
                presumed_cost: bill.presumed,
                cost_by_kind: bill.by_kind,
                charged: bill.charged,
                edits: self.record.edits.clone(),
            });
        }
        true
    }

    /// The present attempt owes nothing: what was kept of it, if anything was, is not to be charged.
    pub(super) fn withdraw(&mut self) {
        self.trail.next = None;
        let Some(account) = self.record.account.clone().filter(|_| self.trail.is_owed) else {
            return;
        };
        self.keep(Progress {
            account,
            served_model: None,
            usage: TokenUsage::ZERO,
            usage_source: UsageSource::None,
            terms: ServedTerms::default(),
            cost: Some(NanoUsd::ZERO),
            presumed_cost: None,
            cost_by_kind: None,
            charged: Some(NanoUsd::ZERO),
            edits: Vec::new(),
        });
    }

    fn keep(&mut self, progress: Progress) {
        let lease_until = self.core.clock.now().plus(self.core.config.lease);
        let request = self.record.id;
        self.trail.is_owed = progress.usage_source != UsageSource::None;
        let (kept, told) = oneshot::channel::<()>();
        let before = self.trail.last.replace(told);
        let checkpoint = Checkpoint { request, lease_until, progress: Some(progress) };
        let ledger = Arc::clone(&self.core.directory.stores.ledger);
        self.core.spawn(async move {
            // Until the end, which is when the next may go.
            let _kept = kept;
            if let Some(before) = before {
                before.await.ok();
            }
            if let Err(error) = ledger.checkpoint(&checkpoint).await {
                tracing::warn!(request.id = %checkpoint.request, %error, "checkpoint not kept");
            }
        });
    }
}
