//! Who pays for a request: its key and the key's group, with the limits that both are held to.

use std::sync::Arc;

use relay_domain::{
    ApiKey, BudgetPolicy, GroupId, KeyId, LimitScope, Limits, Multiplier, Platform, UnpricedPolicy,
    UnpricedTreatment,
};
use relay_store::{Denial, Estimate};

use crate::wait_room::Hall;

/// Who pays for a request.
#[derive(Clone)]
pub(crate) struct Payer {
    pub(crate) key: Arc<ApiKey>,
    pub(crate) group: Option<(GroupId, Limits)>,
}

impl Payer {
    pub(crate) fn id(&self) -> &KeyId {
        &self.key.id
    }

    /// Whether anything limits it.
    pub(crate) fn is_limited(&self) -> bool {
        self.limits().any(|limits| !limits.are_none())
    }

    /// Where its requests wait that are one too many at once: with all of its group, if that is what has
    /// only so many.
    pub(crate) fn hall(&self) -> Hall {
        let group = self.group.as_ref().filter(|(_, limits)| limits.concurrency.is_some());
        Hall::Slots(match group {
            Some((group, _)) => LimitScope::Group(group.clone()),
            None => LimitScope::Key(self.id().clone()),
        })
    }

    /// Whether any of its limits is money.
    pub(crate) fn has_budget(&self) -> bool {
        self.limits().any(Limits::has_budget)
    }

    /// Whether any of its limits on what a request comes to, in money or in tokens, cannot be passed.
    pub(crate) fn is_hard(&self) -> bool {
        self.limits().any(Limits::hold_the_worst)
    }

    /// Whether one of them is in tokens.
    pub(crate) fn has_hard_tokens(&self) -> bool {
        self.limits().any(Limits::has_hard_tokens)
    }

    /// Whether the limits of `scope`, if it is one of the payer's, cannot be passed.
    pub(crate) fn holds_hard(&self, scope: &LimitScope) -> bool {
        self.policy(scope) == Some(BudgetPolicy::Hard)
    }

    /// What a request that was denied would have had to hold of the limit, in the limit's unit.
    pub(crate) fn needs(&self, denial: &Denial, estimate: &Estimate) -> u64 {
        let policy = self.policy(&denial.scope).unwrap_or_default();
        estimate.weight_to_enter(denial.limit, &denial.scope, policy)
    }

    /// The policy of `scope`'s limits, if it is one of the payer's.
    fn policy(&self, scope: &LimitScope) -> Option<BudgetPolicy> {
        let limits = match scope {
            LimitScope::Key(id) => (self.key.id == *id).then_some(&self.key.limits),
            LimitScope::Group(id) => {
                self.group.as_ref().filter(|(group, _)| group == id).map(|(_, limits)| limits)
            }
            LimitScope::Account(_) => None,
        };
        limits.map(|limits| limits.budget_policy)
    }

    /// Those of its budgets whose thresholds are watched.
    pub(crate) fn budgets(&self) -> impl Iterator<Item = (LimitScope, Limits)> {
        let key = (LimitScope::Key(self.key.id.clone()), self.key.limits);
        let group =
            self.group.as_ref().map(|(id, limits)| (LimitScope::Group(id.clone()), *limits));
        std::iter::once(key).chain(group).filter(|(_, limits)| limits.has_budget())
    }

    /// What becomes of the cost of a request whose model has no price: as the key says, and otherwise it is
    /// refused where a budget would have to be charged.
    pub(crate) fn unpriced(&self) -> UnpricedTreatment {
        match self.key.unpriced {
            Some(UnpricedPolicy::Refuse) => UnpricedTreatment::Refused,
            Some(UnpricedPolicy::Fallback) => UnpricedTreatment::Fallback,
            None if self.has_budget() => UnpricedTreatment::Refused,
            None => UnpricedTreatment::Unknown,
        }
    }

    /// Whether it is charged the fallback rate for what has been served without a price. One with a budget
    /// is, whatever its policy: by then it has been used, and no budget may take it for free.
    pub(crate) fn falls_back(&self) -> bool {
        self.has_budget() || self.unpriced() == UnpricedTreatment::Fallback
    }

    /// By how much the costs of its requests count.
    pub(crate) fn rate(&self) -> Multiplier {
        self.key.service_rates.of(Platform::ClaudeConsole)
    }

    fn limits(&self) -> impl Iterator<Item = &Limits> {
        std::iter::once(&self.key.limits).chain(self.group.as_ref().map(|(_, limits)| limits))
    }
}
