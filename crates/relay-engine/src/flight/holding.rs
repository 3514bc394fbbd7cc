//! What is held for a flight until its answer begins: of its payer's budgets, and on the account that is to
//! serve it.

use relay_domain::{AccountId, Limits, NanoUsd};
use relay_store::Estimate;

use super::Flight;
use crate::estimate::Allowance;
use crate::journey::Call;
use crate::meter::Meter;

impl Flight {
    /// Keeps what its body allows, if that is known.
    pub(crate) fn allows(&mut self, allowance: Option<Allowance>) {
        self.allowance = allowance;
    }

    /// All that its body allows, which is that of `call`.
    pub(crate) fn allowance(&mut self, call: &Call<'_>) -> &Allowance {
        self.allowance.get_or_insert_with(|| Allowance::of(call.scan, call.body))
    }

    /// What is held for it.
    pub(crate) fn held(&self) -> &Estimate {
        &self.estimate
    }

    /// So much is held for it from now on.
    pub(crate) fn holds(&mut self, estimate: Estimate) {
        self.estimate = estimate;
        if let Some(meter) = &mut self.meter {
            meter.holds(estimate);
        }
    }

    /// The account that holds a place for it.
    pub(crate) fn placed(&self) -> Option<&AccountId> {
        self.placed.as_ref().map(|(account, _)| account)
    }

    /// An account holds a place for it from now on, and at least `cost` of its budgets; `None`: none does.
    pub(crate) fn place(&mut self, placed: Option<(AccountId, Limits)>, cost: NanoUsd) {
        self.holds(Estimate { cost: self.estimate.cost.max(cost), ..self.estimate });
        let budgeted = placed.as_ref().is_some_and(|(_, limits)| limits.has_budget());
        if let Some(payer) = self.payer.as_ref().filter(|_| budgeted && self.meter.is_none()) {
            self.meter = Some(Box::new(Meter::new(payer.clone(), self.estimate)));
        }
        if let Some(meter) = &mut self.meter {
            meter.served_by(placed.clone());
        }
        self.placed = placed;
    }
}
