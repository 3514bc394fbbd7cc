//! The running meter: what a stream has come to so far, and whether there is room for more of it.
//!
//! Only requests on which a budget, or a hard limit on tokens, weighs have one. When what a stream has come to nears what is held for
//! it, the hold is raised, beside the stream and ahead of need. Where a hard budget has no room left, the
//! stream goes on until it has come to what is held, and is then cut off. A store that does not answer cuts
//! nothing off: what was let in is let through, and asked for again a little later.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use relay_domain::{AccountId, BudgetPolicy, LimitScope, Limits, ModelName, NanoUsd, RequestId};
use relay_store::{Denial, Estimate, Extension, HoldAnswer, StoreError};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::core::Core;
use crate::payer::Payer;

/// Beyond this part of what is held, in percent, more is asked for.
const ASK_AT_PERCENT: i128 = 80;
/// How much is asked for, in percent of what the stream has come to.
const ASK_FOR_PERCENT: i128 = 160;
/// How long the meter waits before it asks again, after a store that failed or a budget that only warns.
const PAUSE: Duration = Duration::from_secs(1);

type Answer = Result<HoldAnswer, StoreError>;

/// The meter of one request.
pub(crate) struct Meter {
    payer: Payer,
    /// The account that serves it, if that has limits.
    account: Option<(AccountId, Limits)>,
    held: Estimate,
    asked: Option<Asked>,
    /// Why there is no more.
    no_room: Option<Denial>,
    /// Not to be asked before.
    rests_until: Option<Instant>,
    /// The hold is gone, and with it what could be raised.
    gone: bool,
}

/// More was asked for.
struct Asked {
    estimate: Estimate,
    /// It is all that there was room for.
    is_last: bool,
    answer: oneshot::Receiver<Answer>,
}

/// What the meter needs to know of its request.
#[derive(Clone, Copy)]
pub(crate) struct Metered<'a> {
    pub(crate) core: &'a Arc<Core>,
    pub(crate) request: RequestId,
    pub(crate) model: &'a ModelName,
}

impl Meter {
    /// The meter of a request that was admitted with `held`.
    pub(crate) fn new(payer: Payer, held: Estimate) -> Self {
        let (account, asked, no_room, rests_until) = (None, None, None, None);
        Self { payer, account, held, asked, no_room, rests_until, gone: false }
    }

    /// So much is held from now on.
    pub(crate) fn holds(&mut self, held: Estimate) {
        self.held = held;
    }

    /// The account that serves the request from now on, if that has limits.
    pub(crate) fn served_by(&mut self, account: Option<(AccountId, Limits)>) {
        self.account = account;
        self.no_room = None;
    }

    /// Notes what the request has come to. `Some`: no hard budget has room for any more of it.
    pub(crate) fn advance(
        &mut self,
        so_far: &Estimate,
        metered: Metered<'_>,
        cx: &mut Context<'_>,
    ) -> Option<Denial> {
        self.listen(so_far, metered, cx);
        if self.asked.is_none() && self.no_room.is_none() && self.is_due(so_far) {
            let tokens = if self.payer.has_hard_tokens() {
                percent_of(so_far.tokens, ASK_FOR_PERCENT)
            } else {
                so_far.tokens
            };
            let wanted = Estimate {
                tokens: self.held.tokens.max(tokens),
                cost: self.held.cost.max(percent(so_far.cost, ASK_FOR_PERCENT)),
                charged: self.held.charged.max(percent(so_far.charged, ASK_FOR_PERCENT)),
            };
            self.ask(wanted, false, metered);
            // So that it is heard of the answer.
            self.listen(so_far, metered, cx);
        }
        self.no_room.clone().filter(|_| self.is_passed(so_far))
    }

    /// Hears the answer, if it is there.
    fn listen(&mut self, so_far: &Estimate, metered: Metered<'_>, cx: &mut Context<'_>) {
        while let Some(asked) = &mut self.asked {
            let Poll::Ready(answer) = Pin::new(&mut asked.answer).poll(cx) else { return };
            let (estimate, is_last) = (asked.estimate, asked.is_last);
            self.asked = None;
            match answer {
                Ok(Ok(HoldAnswer::Held)) => self.held = estimate,
                Ok(Ok(HoldAnswer::Denied(denial))) => {
                    self.denied(denial, &estimate, is_last, so_far, metered);
                }
                Ok(Ok(HoldAnswer::Gone)) => self.gone = true,
                Ok(Err(error)) => {
                    tracing::warn!(request.id = %metered.request, %error, "hold not raised");
                    self.rest();
                }
                // The task was dropped: the process is shutting down.
                Err(_) => self.rest(),
            }
        }
    }

    fn denied(
        &mut self,
        denial: Denial,
        wanted: &Estimate,
        is_last: bool,
        so_far: &Estimate,
        metered: Metered<'_>,
    ) {
        if !self.is_hard(&denial.scope) {
            self.rest();
            return;
        }
        let room = denial.allowed.saturating_sub(denial.used);
        let rest = if denial.limit.is_money() {
            let room = NanoUsd::from_nanos(i64::try_from(room).unwrap_or(i64::MAX));
            let Estimate { tokens, cost, charged } = self.held;
            Estimate { tokens, cost: cost + room, charged: charged + room }
        } else {
            Estimate { tokens: self.held.tokens.saturating_add(room), ..*wanted }
        };
        if is_last || room == 0 || self.exceeds(so_far, &rest) {
            self.no_room = Some(denial);
        } else {
            self.ask(rest, true, metered);
        }
    }

    fn ask(&mut self, estimate: Estimate, is_last: bool, metered: Metered<'_>) {
        let Metered { core, request, model } = metered;
        let extension = Extension {
            request,
            key: (self.payer.key.id.clone(), self.payer.key.limits),
            group: self.payer.group.clone(),
            account: self.account.clone(),
            model: model.clone(),
            estimate,
            now: core.clock.now(),
        };
        let (told, answer) = oneshot::channel();
        let ledger = Arc::clone(&core.directory.stores.ledger);
        core.spawn(async move {
            // Whoever asked may have ended meanwhile.
            told.send(ledger.extend(&extension).await).ok();
        });
        self.asked = Some(Asked { estimate, is_last, answer });
    }

    fn rest(&mut self) {
        self.rests_until = Some(Instant::now() + PAUSE);
    }

    fn is_due(&self, so_far: &Estimate) -> bool {
        let nears = |so_far: NanoUsd, held: NanoUsd| percent(held, ASK_AT_PERCENT) <= so_far;
        !self.gone
            && self.rests_until.is_none_or(|until| until <= Instant::now())
            && ((self.payer.has_budget() && nears(so_far.charged, self.held.charged))
                || (self.account_has_budget() && nears(so_far.cost, self.held.cost))
                || (self.payer.has_hard_tokens()
                    && percent_of(self.held.tokens, ASK_AT_PERCENT) <= so_far.tokens))
    }

    fn is_passed(&self, so_far: &Estimate) -> bool {
        self.exceeds(so_far, &self.held)
    }

    /// Whether what the request has come to is all of `held`.
    fn exceeds(&self, so_far: &Estimate, held: &Estimate) -> bool {
        (self.payer.has_budget() && held.charged < so_far.charged)
            || (self.account_has_budget() && held.cost < so_far.cost)
            || (self.payer.has_hard_tokens() && held.tokens < so_far.tokens)
    }

    fn account_has_budget(&self) -> bool {
        self.account.as_ref().is_some_and(|(_, limits)| limits.has_budget())
    }

    fn is_hard(&self, scope: &LimitScope) -> bool {
        let account = self.account.as_ref();
        let by_account = account.is_some_and(|(id, limits)| {
            limits.budget_policy == BudgetPolicy::Hard
                && matches!(scope, LimitScope::Account(of) if of == id)
        });
        by_account || self.payer.holds_hard(scope)
    }
}

fn percent_of(tokens: u64, percent: i128) -> u64 {
    u64::try_from(i128::from(tokens) * percent / 100).unwrap_or(u64::MAX)
}

fn percent(amount: NanoUsd, percent: i128) -> NanoUsd {
    let nanos = i128::from(amount.as_nanos()) * percent / 100;
    NanoUsd::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
