//! A request in flight: its record as it grows, and its settlement, exactly once, however it ends.
//!
//! A [`Flight`] is made when a request is admitted. Whoever knows how it ended says so with
//! [`Flight::land`]; if nobody does, because the client left and everything was dropped, the drop itself
//! settles. How it settles is told in [`landing`].

mod checkpoints;
mod holding;
mod landing;
mod reckoning;

use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};

use relay_domain::{
    Account, AccountId, AffinityKey, AttemptOutcome, AttemptRecord, LimitState, Limits, ModelName,
    Multiplier, NanoUsd, OnDisconnect, RequestRecord, ServedTerms, TokenUsage, UsageSource,
};
use relay_pricing::Charge;
use relay_protocol::anthropic::{Served, StreamTap};
use relay_store::{Binding, Denial, Estimate};
use tokio::sync::oneshot;

use crate::charging::{Bill, priced_names, terms};
use crate::core::Core;
use crate::disconnect::Departure;
use crate::estimate::Allowance;
use crate::meter::{Meter, Metered};
use crate::payer::Payer;
use crate::upload::Sent;

use checkpoints::Trail;
use landing::Conversation;
pub(crate) use landing::Kept;

/// One admitted request.
pub(crate) struct Flight {
    core: Arc<Core>,
    arrived: Instant,
    pub(crate) record: RequestRecord,
    conversation: Option<Conversation>,
    /// Who pays. `None`: it is free, and nothing of it is settled.
    payer: Option<Payer>,
    /// Whether the store is known to have let it in.
    was_admitted: bool,
    /// What is held for it, until its answer begins.
    estimate: Estimate,
    /// All that its body allows, if that has been asked for.
    allowance: Option<Allowance>,
    /// How far the limits of its key are used.
    own_limits: Vec<LimitState>,
    /// The account that holds a place for it, if that has limits.
    placed: Option<(AccountId, Limits)>,
    /// By how much what the present account costs counts.
    account_rate: Multiplier,
    /// Watches what it comes to, if a budget weighs on it.
    meter: Option<Box<Meter>>,
    body_bytes: u64,
    /// Whether the present attempt's upstream has it. `None`: that owes it nothing.
    upload: Option<Sent>,
    /// Time that went by while an upstream was at work.
    upstream_us: u64,
    /// When the attempt that is under way began, after the request's arrival.
    attempt_began_us: Option<u64>,
    /// What the store was told of it, in case the process dies.
    trail: Trail,
    /// For an answer that may outlast its client.
    departure: Option<Departure>,
    landed: bool,
    /// Closed when its settlement, which is under way, is kept.
    settling: Option<oneshot::Receiver<()>>,
}

impl Flight {
    /// Begins with the record of a request that is about to be admitted.
    pub(crate) fn begin(
        core: Arc<Core>,
        arrived: Instant,
        record: RequestRecord,
        payer: Payer,
        body_bytes: u64,
    ) -> Self {
        core.airspace.enter(record.id);
        Self::new(core, arrived, record, Some(payer), body_bytes)
    }

    /// Its answer may outlast its client, as `departure` tells.
    pub(crate) fn may_outlast(&mut self, departure: Option<&Departure>) {
        self.departure = departure.cloned();
    }

    /// Tells of its client, if its answer may outlast that.
    pub(crate) fn departure(&self) -> Option<&Departure> {
        self.departure.as_ref()
    }

    /// Whether its client has left, and its answer is read on.
    pub(crate) fn client_has_left(&self) -> bool {
        self.departure.as_ref().is_some_and(Departure::has_left)
    }

    /// It is about to be asked for again, by a payer whose limits may have changed.
    pub(crate) fn begin_again(&mut self, payer: Payer) {
        self.record.group = payer.group.as_ref().map(|(group, _)| group.clone());
        self.payer = Some(payer);
        self.landed = false;
        self.core.airspace.enter(self.record.id);
    }

    /// It was admitted, with `estimate` held for it.
    pub(crate) fn admitted(&mut self, estimate: Estimate, own_limits: Vec<LimitState>) {
        self.record.times.admitted_us = Some(self.elapsed_us());
        self.was_admitted = true;
        self.estimate = estimate;
        self.own_limits = own_limits;
        let is_metered = |payer: &&Payer| payer.has_budget() || payer.has_hard_tokens();
        let budgeted = self.payer.as_ref().filter(is_metered);
        self.meter = budgeted.map(|payer| Box::new(Meter::new(payer.clone(), estimate)));
    }

    /// It was not admitted: there is nothing to settle, unless it is asked for again.
    pub(crate) fn dismiss(&mut self) {
        self.core.airspace.leave(self.record.id);
        self.landed = true;
    }

    /// It waited in a queue.
    pub(crate) fn queued(&mut self, waited: Duration) {
        *self.record.times.queued_us.get_or_insert(0) += micros(waited);
    }

    /// Begins with a request that is free: nothing of it is kept.
    pub(crate) fn unmetered(core: Arc<Core>, arrived: Instant, record: RequestRecord) -> Self {
        Self::new(core, arrived, record, None, 0)
    }

    fn new(
        core: Arc<Core>,
        arrived: Instant,
        record: RequestRecord,
        payer: Option<Payer>,
        body_bytes: u64,
    ) -> Self {
        Self {
            core,
            arrived,
            record,
            conversation: None,
            payer,
            was_admitted: false,
            estimate: Estimate::default(),
            allowance: None,
            own_limits: Vec::new(),
            placed: None,
            account_rate: Multiplier::ONE,
            meter: None,
            body_bytes,
            upload: None,
            upstream_us: 0,
            attempt_began_us: None,
            trail: Trail::default(),
            departure: None,
            landed: false,
            settling: None,
        }
    }

    /// Who pays, if somebody does.
    pub(crate) fn payer(&self) -> Option<&Payer> {
        self.payer.as_ref()
    }

    /// How far the limits of its key are used, this request included.
    pub(crate) fn own_limits(&self) -> &[LimitState] {
        &self.own_limits
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
            until: config.binds().then(|| now.plus(config.binding_lifetime)),
        });
    }

    /// An attempt on `account` begins.
    pub(crate) fn attempt_begins(&mut self, account: &Account) {
        let now_us = self.elapsed_us();
        self.attempt_began_us = Some(now_us);
        if let Some(departure) = &self.departure {
            let policies = [account.on_disconnect, self.core.config.on_disconnect];
            departure.may_drain(policies.contains(&OnDisconnect::Drain));
        }
        self.record.times.sent_us = Some(now_us);
        self.record.account = Some(account.id.clone());
        self.account_rate = account.rate;
    }

    /// There is a connection for the present attempt.
    pub(crate) fn connected(&mut self) {
        self.record.times.connected_us = Some(self.elapsed_us());
    }

    /// The head of the present attempt's answer came.
    pub(crate) fn head_came(&mut self) {
        self.record.times.head_us = Some(self.elapsed_us());
    }

    /// The present attempt came to nothing.
    pub(crate) fn attempt_failed(&mut self, outcome: AttemptOutcome, status: Option<u16>) {
        self.upstream_us += self.end_attempt(outcome, status);
        if let Some(departure) = &self.departure {
            departure.may_drain(false);
        }
        self.record.times.head_us = None;
        self.upload = None;
        // What a failed attempt counted is not what the client is charged for.
        self.record.usage = TokenUsage::ZERO;
        self.record.usage_source = UsageSource::None;
        self.record.served_model = None;
        self.record.times.connected_us = None;
        self.record.terms = ServedTerms::default();
        self.record.cost = Some(NanoUsd::ZERO);
        self.record.presumed_cost = None;
        self.record.cost_by_kind = None;
        self.record.charged = Some(NanoUsd::ZERO);
        self.withdraw();
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
            let terms = terms(served);
            let bill = self.bill(&(usage, terms).into(), model);
            self.record.terms = terms;
            self.record.cost = bill.cost();
            self.record.presumed_cost = bill.presumed;
            self.record.cost_by_kind = bill.by_kind;
            self.record.charged = bill.charged;
        }
    }

    /// What `charge` comes to, by the model that is said to have been served.
    fn bill(&self, charge: &Charge, served: Option<&ModelName>) -> Bill {
        let models = priced_names(&self.record, served);
        self.core.bill(models, charge, self.payer.as_ref(), self.account_rate)
    }

    /// Takes over what the tap of a stream has read. What the provider has not counted yet of the output is
    /// reckoned by its length.
    fn count_tap(&mut self, tap: &StreamTap) {
        self.count(so_far(tap), tap.usage_source(), tap.served_model(), tap.served());
    }

    /// Whether a budget weighs on it.
    pub(crate) fn is_metered(&self) -> bool {
        self.meter.is_some()
    }

    /// Notes what a stream has come to so far. `Some`: no hard budget has room for more.
    pub(crate) fn meter(&mut self, tap: &StreamTap, cx: &mut Context<'_>) -> Option<Denial> {
        self.meter.as_ref()?;
        let usage = so_far(tap);
        let bill = self.bill(&(usage, terms(tap.served())).into(), tap.served_model());
        let come_to = Estimate {
            tokens: usage.total().get(),
            cost: bill.cost().or(bill.presumed).unwrap_or_default(),
            charged: bill.charged.unwrap_or_default(),
        };
        let request = self.record.id;
        let asked = &self.record.model;
        let model = tap.served_model().filter(|_| !asked.is_claude()).unwrap_or(asked);
        let meter = self.meter.as_mut()?;
        meter.advance(&come_to, Metered { core: &self.core, request, model }, cx)
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
}

/// What a stream has come to: what the provider has counted, and by its length what it has not.
fn so_far(tap: &StreamTap) -> TokenUsage {
    let counted = tap.usage();
    match tap.usage_source() {
        UsageSource::Partial => {
            TokenUsage { output: counted.output.max(tap.output_by_length()), ..counted }
        }
        UsageSource::None | UsageSource::Estimated | UsageSource::Final => counted,
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(crate) mod tests;
