//! What the requests that are in weigh on each key, group and account together.

use std::collections::{BTreeSet, HashMap};

use relay_domain::{LimitScope, RequestId, Timestamp};
use relay_store::Estimate;
use relay_store::budgets::amount_of;

/// What one request may come to.
#[derive(Clone, Copy)]
pub(crate) struct Weight {
    pub(crate) estimate: Estimate,
    pub(crate) is_claude: bool,
}

/// What the requests of one scope hold together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Sums {
    pub(crate) slots: u64,
    pub(crate) tokens: u64,
    pub(crate) money: u64,
    pub(crate) claude: u64,
}

/// Wide enough for any number of requests: what is added can be taken away again.
#[derive(Default)]
struct Load {
    /// The requests that take a slot, by the end of their lease.
    leases: BTreeSet<(Timestamp, RequestId)>,
    requests: usize,
    tokens: u128,
    money: u128,
    claude: u128,
}

impl Load {
    /// What a request weighs: tokens, money, and money for Claude models.
    fn parts(scope: &LimitScope, weight: &Weight) -> [u128; 3] {
        let money = u128::from(amount_of(weight.estimate.money(scope)));
        let claude = if weight.is_claude { money } else { 0 };
        [u128::from(weight.estimate.tokens), money, claude]
    }
}

/// Everything that is held, by scope.
#[derive(Default)]
pub(crate) struct InFlight(HashMap<LimitScope, Load>);

impl InFlight {
    /// What the requests of `scope` hold at `now`. Leases that have ended take no slot any more.
    pub(crate) fn sums(&mut self, scope: &LimitScope, now: Timestamp) -> Sums {
        let Some(load) = self.0.get_mut(scope) else { return Sums::default() };
        while load.leases.first().is_some_and(|(until, _)| *until <= now) {
            load.leases.pop_first();
        }
        let narrow = |sum: u128| u64::try_from(sum).unwrap_or(u64::MAX);
        Sums {
            slots: u64::try_from(load.leases.len()).unwrap_or(u64::MAX),
            tokens: narrow(load.tokens),
            money: narrow(load.money),
            claude: narrow(load.claude),
        }
    }

    /// A request weighs on `scope`.
    pub(crate) fn add(&mut self, scope: &LimitScope, weight: &Weight) {
        let [tokens, money, claude] = Load::parts(scope, weight);
        let load = self.of(scope);
        load.requests += 1;
        load.tokens += tokens;
        load.money += money;
        load.claude += claude;
    }

    /// A request that weighed on `scope` weighs on it no more.
    pub(crate) fn remove(&mut self, scope: &LimitScope, weight: &Weight) {
        let [tokens, money, claude] = Load::parts(scope, weight);
        let Some(load) = self.0.get_mut(scope) else { return };
        load.requests = load.requests.saturating_sub(1);
        load.tokens = load.tokens.saturating_sub(tokens);
        load.money = load.money.saturating_sub(money);
        load.claude = load.claude.saturating_sub(claude);
        self.forget_if_empty(scope);
    }

    /// A request takes a slot until its lease ends.
    pub(crate) fn lease(&mut self, scope: &LimitScope, until: Timestamp, request: RequestId) {
        self.of(scope).leases.insert((until, request));
    }

    /// It gives its slot back.
    pub(crate) fn end_lease(&mut self, scope: &LimitScope, until: Timestamp, request: RequestId) {
        if let Some(load) = self.0.get_mut(scope) {
            load.leases.remove(&(until, request));
            self.forget_if_empty(scope);
        }
    }

    fn of(&mut self, scope: &LimitScope) -> &mut Load {
        self.0.entry(scope.clone()).or_default()
    }

    fn forget_if_empty(&mut self, scope: &LimitScope) {
        if self.0.get(scope).is_some_and(|load| load.requests == 0 && load.leases.is_empty()) {
            self.0.remove(scope);
        }
    }
}
