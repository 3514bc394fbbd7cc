//! A request in flight: its record as it grows, and its settlement, exactly once, however it ends.
//!
//! A [`Flight`] is made when a request is admitted. Whoever knows how it ended says so with
//! [`Flight::land`]; if nobody does, because the client left and everything was dropped, the drop itself
//! settles. Settlement runs on the process's task tracker, off the client's path.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use relay_domain::{
    AccountId, AffinityKey, AttemptOutcome, AttemptRecord, ModelName, NanoUsd, Outcome, RequestId,
    RequestRecord, Timestamp, TokenUsage, UsageSource,
};
use relay_protocol::anthropic::{Served, StreamTap};
use relay_store::{Binding, Charge, Checkpoint, Progress, Rebind, Settlement, StoreError};

use crate::core::Core;
use crate::prices::charged::charged;

/// How often a settlement that counts is tried while the store is away, one that does not, and how long
/// in between at most.
const SETTLE_TRIES: u32 = 20;
const RELEASE_TRIES: u32 = 3;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The requests that this process has in flight, so that their leases can be renewed.
#[derive(Debug, Default)]
pub(crate) struct Airspace(Mutex<HashSet<RequestId>>);

impl Airspace {
    fn enter(&self, id: RequestId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    fn leave(&self, id: RequestId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Every request in flight at this moment.
    pub(crate) fn all(&self) -> Vec<RequestId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

/// The conversation that a request belongs to.
struct Conversation {
    affinity: AffinityKey,
    /// The account that it is bound to for long enough.
    bound_to: Option<AccountId>,
    /// The end of a binding made now.
    until: Timestamp,
}

impl Conversation {
    /// The binding to write after `account` has answered, if it is new or due to be renewed.
    fn rebind(self, account: &AccountId) -> Option<Rebind> {
        let Self { affinity, bound_to, until } = self;
        let binding = Binding { account: account.clone(), until };
        (bound_to.as_ref() != Some(account)).then_some(Rebind { affinity, binding })
    }
}

/// One admitted request.
pub(crate) struct Flight {
    core: Arc<Core>,
    arrived: Instant,
    pub(crate) record: RequestRecord,
    conversation: Option<Conversation>,
    /// Whether it was admitted, and so has to be settled.
    metered: bool,
    /// Time that went by while an upstream was at work.
    upstream_us: u64,
    /// When the attempt that is under way began, after the request's arrival.
    attempt_began_us: Option<u64>,
    /// What is known of its usage is kept in the store.
    checkpointed: bool,
    landed: bool,
}

impl Flight {
    /// Begins with the record of a request that is about to be admitted.
    pub(crate) fn begin(core: Arc<Core>, arrived: Instant, record: RequestRecord) -> Self {
        core.airspace.enter(record.id);
        Self::new(core, arrived, record, true)
    }

    /// It was admitted.
    pub(crate) fn admitted(&mut self) {
        self.record.times.admitted_us = Some(self.elapsed_us());
    }

    /// It was not admitted: there is nothing to settle.
    pub(crate) fn dismiss(&mut self) {
        self.landed = true;
        self.core.airspace.leave(self.record.id);
    }

    /// Begins with a request that is free: nothing of it is kept.
    pub(crate) fn unmetered(core: Arc<Core>, arrived: Instant, record: RequestRecord) -> Self {
        Self::new(core, arrived, record, false)
    }

    fn new(core: Arc<Core>, arrived: Instant, record: RequestRecord, metered: bool) -> Self {
        Self {
            core,
            arrived,
            record,
            conversation: None,
            metered,
            upstream_us: 0,
            attempt_began_us: None,
            checkpointed: false,
            landed: false,
        }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    fn elapsed_us(&self) -> u64 {
        micros(self.arrived.elapsed())
    }

    /// Notes the conversation and its present binding: the account that answers will be bound to it.
    pub(crate) fn belongs_to(&mut self, affinity: AffinityKey, binding: Option<&Binding>) {
        let (now, config) = (self.core.clock.now(), &self.core.config);
        let renewal_due = now.plus(config.binding_renewal);
        let lasting = binding.filter(|binding| renewal_due < binding.until);
        self.conversation = Some(Conversation {
            affinity,
            bound_to: lasting.map(|binding| binding.account.clone()),
            until: now.plus(config.binding_lifetime),
        });
    }

    /// An attempt on `account` begins.
    pub(crate) fn attempt_begins(&mut self, account: AccountId) {
        let now_us = self.elapsed_us();
        self.attempt_began_us = Some(now_us);
        self.record.times.sent_us = Some(now_us);
        self.record.account = Some(account);
    }

    /// The head of the present attempt's answer came.
    pub(crate) fn head_came(&mut self) {
        self.record.times.head_us = Some(self.elapsed_us());
    }

    /// The present attempt came to nothing.
    pub(crate) fn attempt_failed(&mut self, outcome: AttemptOutcome, status: Option<u16>) {
        self.upstream_us += self.end_attempt(outcome, status);
        self.record.times.head_us = None;
        // What a failed attempt counted is not what the client is charged for.
        self.record.usage = TokenUsage::ZERO;
        self.record.usage_source = UsageSource::None;
        self.record.served_model = None;
        self.record.cost = Some(NanoUsd::ZERO);
    }

    /// The first content of the answer is about to go to the client.
    pub(crate) fn committed(&mut self) {
        let now_us = self.elapsed_us();
        self.record.times.first_content_us = Some(now_us);
        let waited_us = self.upstream_us + self.attempt_us();
        self.record.times.added_us = Some(now_us.saturating_sub(waited_us));
    }

    /// How long the attempt that is under way has taken.
    fn attempt_us(&self) -> u64 {
        self.attempt_began_us.map_or(0, |began_us| self.elapsed_us().saturating_sub(began_us))
    }

    /// Notes the attempt that is under way, and returns how long it took.
    fn end_attempt(&mut self, outcome: AttemptOutcome, status: Option<u16>) -> u64 {
        let took_us = self.attempt_us();
        let (Some(account), Some(started_us)) =
            (self.record.account.clone(), self.attempt_began_us.take())
        else {
            return 0;
        };
        self.record.attempts.push(AttemptRecord { account, outcome, status, started_us, took_us });
        took_us
    }

    /// What the upstream has told of its usage so far.
    pub(crate) fn count(
        &mut self,
        usage: TokenUsage,
        source: UsageSource,
        model: Option<&ModelName>,
        served: &Served,
    ) {
        self.record.usage = usage;
        self.record.usage_source = source;
        self.record.served_model = model.cloned();
        if source != UsageSource::None {
            let model = model.unwrap_or(&self.record.model);
            let book = self.core.prices.book();
            let quote = book.quote(model.as_str(), &charged(usage, served));
            self.record.cost = quote.map(|quote| quote.cost);
            self.record.charged = self.record.cost;
        }
    }

    /// Takes over what the tap of a stream has read, when it is news, and keeps it in the store when it is
    /// the first.
    pub(crate) fn watch(&mut self, tap: &StreamTap) {
        let source = tap.usage_source();
        if source == UsageSource::None || source == self.record.usage_source {
            return;
        }
        self.count_tap(tap);
        if source == UsageSource::Partial && !std::mem::replace(&mut self.checkpointed, true) {
            self.checkpoint();
        }
    }

    /// Takes over what the tap of a stream has read.
    pub(crate) fn count_tap(&mut self, tap: &StreamTap) {
        self.count(tap.usage(), tap.usage_source(), tap.served_model(), tap.served());
    }

    /// Keeps what is known in the store, off the path, in case the process dies.
    fn checkpoint(&self) {
        let Some(account) = self.record.account.clone() else { return };
        let record = &self.record;
        let progress = Progress {
            account,
            served_model: record.served_model.clone(),
            usage: record.usage,
            cost: record.cost,
            charged: record.charged,
        };
        let lease_until = self.core.clock.now().plus(self.core.config.lease);
        let checkpoint = Checkpoint { request: record.id, lease_until, progress: Some(progress) };
        let ledger = Arc::clone(&self.core.directory.stores.ledger);
        self.core.spawn(async move {
            if let Err(error) = ledger.checkpoint(&checkpoint).await {
                tracing::warn!(request.id = %checkpoint.request, %error, "checkpoint not kept");
            }
        });
    }

    /// Notes how long the upstream was silent within its answer.
    pub(crate) fn stalled(&mut self, silence: Duration) {
        let longest = &mut self.record.times.longest_stall_us;
        *longest = micros(silence).max(*longest);
    }

    /// Whether it has ended.
    pub(crate) fn has_landed(&self) -> bool {
        self.landed
    }

    /// Ends the flight: the last attempt came to `attempt`, the request to `outcome`.
    pub(crate) fn land(&mut self, outcome: Outcome, attempt: Option<AttemptOutcome>, status: u16) {
        if std::mem::replace(&mut self.landed, true) {
            return;
        }
        let end_us = self.elapsed_us();
        if let Some(attempt) = attempt {
            let upstream_status = self.record.times.head_us.map(|_| status);
            self.end_attempt(attempt, upstream_status);
        }
        self.record.outcome = outcome;
        self.record.status = status;
        self.record.times.end_us = Some(end_us);
        if self.metered {
            self.settle();
        }
    }

    fn settle(&mut self) {
        let core = Arc::clone(&self.core);
        let used = self.record.usage_source != UsageSource::None;
        let completed = self.record.outcome == Outcome::Completed;
        let account = self.record.account.as_ref().filter(|_| completed);
        let conversation = self.conversation.take();
        let settlement = Settlement {
            charge: if used { Charge::Count } else { Charge::Release },
            bind: account.and_then(|account| conversation?.rebind(account)),
            budgets: Vec::new(),
            now: core.clock.now(),
            record: self.record.clone(),
        };
        if used && settlement.record.cost.is_none() {
            core.unpriced
                .note(settlement.record.served_model.as_ref().unwrap_or(&settlement.record.model));
        }
        let shared = Arc::clone(&core);
        core.spawn(async move {
            settle_with_patience(&shared, &settlement).await;
            // Not before: until then its lease is renewed, so that no reaper settles it with less.
            shared.airspace.leave(settlement.record.id);
        });
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

/// Settles, again and again while the store is away or refuses. A repetition counts nothing twice, because
/// the request's hold goes with the first that succeeds. If all fail, the hold's last checkpoint is settled
/// when its lease ends.
async fn settle_with_patience(core: &Core, settlement: &Settlement) {
    let id = settlement.record.id;
    let counts = settlement.charge == Charge::Count;
    let tries = if counts { SETTLE_TRIES } else { RELEASE_TRIES };
    let mut pause = Duration::from_millis(100);
    for attempt in 1..=tries {
        match core.directory.stores.ledger.settle(settlement).await {
            Ok(settled) => {
                if counts && !settled.is_first() && attempt == 1 {
                    tracing::warn!(request.id = %id, "request was settled before, at its lease's end");
                }
                return;
            }
            Err(error @ (StoreError::Unavailable(_) | StoreError::Refused(_)))
                if attempt < tries =>
            {
                tracing::warn!(request.id = %id, %error, "settlement waits for the store");
            }
            Err(error) if !counts => {
                tracing::warn!(request.id = %id, %error, "hold not released; it ends with its lease");
                return;
            }
            Err(error) => {
                tracing::error!(request.id = %id, %error, "settlement not kept");
                return;
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
