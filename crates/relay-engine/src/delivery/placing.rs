//! Room for a request on the account that is to serve it: of the budgets of whoever pays, and on the account's
//! own limits.

use relay_domain::{Limits, ModelName, NanoUsd, Outcome, names_claude};
use relay_store::{Assignment, Estimate, Extension, HoldAnswer, StoreError};

use super::{Round, full};
use crate::EngineError;
use crate::admission::in_time;
use crate::flight::Flight;
use crate::journey::{Call, Relay};
use crate::roster::RosterEntry;

impl Relay {
    /// Sees to it that a payer whose budgets are hard holds all that the request may come to on this account.
    /// What was held at admission is, unless accounts, bindings or prices have changed since.
    pub(super) async fn hold_enough(
        &self,
        flight: &mut Flight,
        entry: &RosterEntry,
        call: &Call<'_>,
    ) -> Result<(), EngineError> {
        let Some(payer) = flight.payer().filter(|payer| payer.is_hard()).cloned() else {
            return Ok(());
        };
        let (held, worst) = (*flight.held(), self.worst_case(flight, entry, call));
        if worst.charged <= held.charged && worst.tokens <= held.tokens {
            return Ok(());
        }
        // The account's own share is asked for together with a place on it.
        let estimate = Estimate { cost: held.cost, ..held.raised_to(&worst) };
        // A soft limit has let in whoever found any room.
        let hard =
            |limits: Limits| if limits.hold_the_worst() { limits } else { Limits::default() };
        let asked = &flight.record.model;
        let sent = entry.account.models.upstream_name(asked.as_str());
        let sent = sent.filter(|sent| names_claude(sent)).and_then(|s| ModelName::try_from(s).ok());
        let extension = Extension {
            request: flight.record.id,
            key: (payer.id().clone(), hard(payer.key.limits)),
            group: payer.group.clone().map(|(group, limits)| (group, hard(limits))),
            account: None,
            model: sent.unwrap_or_else(|| asked.clone()),
            estimate,
            now: self.core.clock.now(),
        };
        match self.in_time(flight, self.core.directory.stores.ledger.extend(&extension)).await? {
            HoldAnswer::Held => {
                flight.holds(estimate);
                Ok(())
            }
            HoldAnswer::Denied(denial) => {
                flight.land(Outcome::Rejected, None, 0);
                let needed = payer.needs(&denial, &estimate);
                Err(EngineError::Denied { denial, needed })
            }
            HoldAnswer::Gone => Err(lost(flight)),
        }
    }

    /// Takes the request's place on an account that has limits, or gives back the one that it had on
    /// another. `false`: there is none; the next account is to be tried.
    pub(super) async fn take_place(
        &self,
        flight: &mut Flight,
        entry: &RosterEntry,
        call: &Call<'_>,
        round: &mut Round,
    ) -> Result<bool, EngineError> {
        let (account, limits) = (&entry.account.id, entry.account.limits);
        let is_limited = !limits.are_none();
        let needs_trip = flight.payer().is_some()
            && (is_limited || flight.placed().is_some_and(|placed| placed != account));
        if !needs_trip {
            return Ok(true);
        }
        // Its budgets may be hard where the payer's are not.
        let is_hard = limits.hold_the_worst();
        let cost = if is_hard { self.worst_case(flight, entry, call).cost } else { NanoUsd::ZERO };
        let assignment = Assignment {
            request: flight.record.id,
            account: account.clone(),
            limits,
            cost,
            now: self.core.clock.now(),
        };
        match self.in_time(flight, self.core.directory.stores.ledger.assign(&assignment)).await? {
            HoldAnswer::Held => {
                flight.place(is_limited.then(|| (account.clone(), limits)), cost);
                Ok(true)
            }
            HoldAnswer::Denied(denial) => {
                let asked = Estimate { cost: flight.held().cost.max(cost), ..*flight.held() };
                let (limit, policy) = (denial.limit, limits.budget_policy);
                let needed = asked.weight_to_enter(limit, &denial.scope, policy);
                tracing::debug!(
                    request.id = %flight.record.id, account.id = %account, limit = limit.code(), used = denial.used,
                    held = denial.held, allowed = denial.allowed, needed, "account has no room"
                );
                flight.place(None, NanoUsd::ZERO);
                round.full.push((account.clone(), full(&denial, needed)));
                Ok(false)
            }
            HoldAnswer::Gone => Err(lost(flight)),
        }
    }

    /// The most that the request may come to on this account.
    fn worst_case(&self, flight: &mut Flight, entry: &RosterEntry, call: &Call<'_>) -> Estimate {
        let asked = call.scan.model.as_str();
        let sent = entry.account.models.upstream_name(asked);
        let book = self.core.prices.book();
        let of_key = flight.payer().map(crate::payer::Payer::rate).unwrap_or_default();
        let rates = [of_key, self.core.service_rate(), entry.account.rate];
        let by = book.reckoning(sent.into_iter().chain([asked]));
        flight.allowance(call).worst_case(&by, &rates)
    }

    /// What the store answers, or the end of the flight.
    async fn in_time(
        &self,
        flight: &mut Flight,
        answer: impl Future<Output = Result<HoldAnswer, StoreError>>,
    ) -> Result<HoldAnswer, EngineError> {
        let answer = in_time(self.core.config.admission_timeout, answer).await;
        Ok(answer.inspect_err(|_| flight.land(Outcome::NoAccount, None, 503))?)
    }
}

/// The request is not held any more.
fn lost(flight: &mut Flight) -> EngineError {
    flight.land(Outcome::NoAccount, None, 503);
    EngineError::HoldLost
}
