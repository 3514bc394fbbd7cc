//! Someone with limits, a key or a group or an account, and the requests that count on them: a behaviour
//! that holds for each is said once.

use std::time::Duration;

use relay_domain::{
    BudgetPolicy, KeyId, LimitKind, LimitScope, LimitState, Limits, ModelName, NanoUsd, RateWindow,
    RequestId, RequestRecord, Timestamp, TokenCount, TokenUsage,
};

use super::fixture::{
    account_id, admit_request, calendar, group_id, key_id, model, record, settlement,
};
use crate::{
    AdmitRequest, Assignment, Charge, Denial, Estimate, HoldAnswer, Settled, Settlement, Stores,
};

/// How long a spender's rate window is.
pub const WINDOW: Duration = Duration::from_hours(2);

/// Every kind of limit that is an amount of money.
pub const BUDGETS: [LimitKind; 6] = [
    LimitKind::WindowCost,
    LimitKind::DailyCost,
    LimitKind::WeeklyCost,
    LimitKind::MonthlyCost,
    LimitKind::TotalCost,
    LimitKind::WeeklyClaudeCost,
];

/// Who has limits.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Whose {
    /// A key.
    Key,
    /// The group of a key.
    Group,
    /// The account that serves.
    Account,
}

impl Whose {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Key, Self::Group, Self::Account];
}

/// Tenths of a dollar: the unit of amounts in this suite.
pub fn dimes(number: u64) -> NanoUsd {
    NanoUsd::from_nanos(i64::try_from(number).unwrap() * 100_000_000)
}

/// An amount of a limit of this kind in its own unit: money is given in [`dimes`].
pub fn amount(kind: LimitKind, number: u64) -> u64 {
    if kind.is_money() { number * 100_000_000 } else { number }
}

/// One limit. Amounts of money are [`dimes`].
pub fn limit(kind: LimitKind, allowed: u64) -> Limits {
    with_limit(Limits::default(), kind, Some(allowed))
}

/// `limits` with one of them set anew, as hard ones. Amounts of money are [`dimes`].
pub fn with_limit(limits: Limits, kind: LimitKind, allowed: Option<u64>) -> Limits {
    let mut limits = Limits { budget_policy: BudgetPolicy::Hard, ..limits };
    let money = allowed.map(dimes);
    let empty = RateWindow { length: WINDOW, requests: None, tokens: None, cost: None };
    let window = limits.window.unwrap_or(empty);
    match kind {
        LimitKind::Concurrency => {
            limits.concurrency = allowed.map(|allowed| u32::try_from(allowed).unwrap());
        }
        LimitKind::WindowRequests => {
            limits.window = Some(RateWindow { requests: allowed, ..window });
        }
        LimitKind::WindowTokens => limits.window = Some(RateWindow { tokens: allowed, ..window }),
        LimitKind::WindowCost => limits.window = Some(RateWindow { cost: money, ..window }),
        LimitKind::DailyCost => limits.daily_cost = money,
        LimitKind::WeeklyCost => limits.weekly_cost = money,
        LimitKind::MonthlyCost => limits.monthly_cost = money,
        LimitKind::TotalCost => limits.total_cost = money,
        LimitKind::WeeklyClaudeCost => limits.weekly_claude_cost = money,
    }
    limits
}

/// Someone with limits.
#[derive(Clone)]
pub struct Spender {
    stores: Stores,
    whose: Whose,
    name: String,
    /// The limits that its requests are weighed against.
    pub limits: Limits,
    /// The model that its requests name.
    pub model: ModelName,
    /// What answers them.
    pub served: ModelName,
}

impl Spender {
    /// Someone new, under a name that nobody else has.
    pub fn new(stores: &Stores, whose: Whose, name: &str, limits: Limits) -> Self {
        let name = format!("{name}-{whose:?}");
        let (model, stores) = (model("claude-sonnet-4-5"), stores.clone());
        Self { stores, whose, name, limits, served: model.clone(), model }
    }

    /// The same one with other limits.
    #[must_use]
    pub fn with(&self, limits: Limits) -> Self {
        Self { limits, ..self.clone() }
    }

    /// Whose the limits are.
    pub fn scope(&self) -> LimitScope {
        match self.whose {
            Whose::Key => LimitScope::Key(self.key()),
            Whose::Group => LimitScope::Group(group_id(&self.name)),
            Whose::Account => LimitScope::Account(account_id(&self.name)),
        }
    }

    /// The key of its requests. A group's requests come from two.
    fn key(&self) -> KeyId {
        key_id(&self.name)
    }

    /// The id of its `number`th request.
    pub fn request(&self, number: u64) -> RequestId {
        let name = self.name.bytes().fold(u128::from(number), |hash, byte| {
            (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        RequestId::new(super::fixture::at(number), name << 20 | u128::from(number))
    }

    /// What a request is thought to come to: so many tokens, and as many dimes of what counts for this
    /// one; far more of what does not.
    pub fn estimate(&self, weight: u64) -> Estimate {
        let (cost, charged) = self.amounts(weight);
        Estimate { tokens: weight, cost, charged }
    }

    fn amounts(&self, weight: u64) -> (NanoUsd, NanoUsd) {
        match self.whose {
            Whose::Key | Whose::Group => (dimes(weight * 1_000), dimes(weight)),
            Whose::Account => (dimes(weight), dimes(weight * 1_000)),
        }
    }

    /// How its `number`th request asks to be let in.
    pub fn ask(&self, number: u64, weight: u64, now: Timestamp) -> AdmitRequest {
        let asked = admit_request(0, &self.name, now);
        let (limits, group) = match self.whose {
            Whose::Key => (self.limits, None),
            Whose::Group => (Limits::default(), Some((group_id(&self.name), self.limits))),
            Whose::Account => (Limits::default(), None),
        };
        AdmitRequest {
            request: self.request(number),
            model: self.model.clone(),
            may_be_claude: self.model.is_claude() || self.served.is_claude(),
            limits,
            group,
            estimate: self.estimate(weight),
            ..asked
        }
    }

    /// Lets its `number`th request in.
    ///
    /// # Errors
    ///
    /// The denial; then nothing is left of the request.
    pub async fn enter(&self, number: u64, weight: u64, now: Timestamp) -> Result<(), Denial> {
        let asked = self.ask(number, weight, now);
        self.stores.ledger.admit(&asked).await.unwrap().decision?;
        if self.whose != Whose::Account {
            return Ok(());
        }
        let assignment = Assignment {
            request: asked.request,
            account: account_id(&self.name),
            limits: self.limits,
            cost: NanoUsd::ZERO,
            now,
        };
        match self.stores.ledger.assign(&assignment).await.unwrap() {
            HoldAnswer::Held => Ok(()),
            HoldAnswer::Denied(denial) => {
                let end = Settlement {
                    charge: Charge::Release,
                    ..settlement(RequestRecord { account: None, ..self.record(number, 0) }, now)
                };
                assert!(self.stores.ledger.settle(&end).await.unwrap().is_first());
                Err(denial)
            }
            HoldAnswer::Gone => panic!("it was let in"),
        }
    }

    /// The record of its `number`th request, which came to so many tokens and dimes. What every second one
    /// on an account cost is presumed, not known.
    pub fn record(&self, number: u64, weight: u64) -> RequestRecord {
        let (cost, charged) = self.amounts(weight);
        let is_known = self.whose != Whose::Account || number.is_multiple_of(2);
        RequestRecord {
            id: self.request(number),
            model: self.model.clone(),
            served_model: Some(self.served.clone()),
            group: (self.whose == Whose::Group).then(|| group_id(&self.name)),
            account: (self.whose == Whose::Account).then(|| account_id(&self.name)),
            usage: TokenUsage { output: TokenCount::new(weight), ..TokenUsage::ZERO },
            cost: is_known.then_some(cost),
            presumed_cost: (!is_known).then_some(cost),
            charged: Some(charged),
            ..record(0, &self.name)
        }
    }

    /// The end of its `number`th request, which came to so many tokens and dimes.
    pub fn end(&self, number: u64, weight: u64, now: Timestamp) -> Settlement {
        Settlement {
            budgets: vec![(self.scope(), self.limits)],
            ..settlement(self.record(number, weight), now)
        }
    }

    /// Settles its `number`th request at so many tokens and dimes.
    pub async fn finish(&self, number: u64, weight: u64, now: Timestamp) {
        let settled = self.settle(number, weight, now).await;
        assert!(settled.is_first(), "request {number} of {:?} was settled before", self.scope());
    }

    /// The same; says what it did.
    pub async fn settle(&self, number: u64, weight: u64, now: Timestamp) -> Settled {
        self.stores.ledger.settle(&self.end(number, weight, now)).await.unwrap()
    }

    /// How its limits stand.
    pub async fn standing(&self, now: Timestamp) -> Vec<LimitState> {
        self.stores.ledger.standing(&self.scope(), &self.limits, now).await.unwrap()
    }

    /// What is used and what is held of its one limit. Money is given in [`dimes`].
    pub async fn used_and_held(&self, now: Timestamp) -> (u64, u64) {
        let standing = self.standing(now).await;
        let [state] = standing[..] else { panic!("one limit: {standing:?}") };
        let unit = amount(state.limit, 1);
        assert_eq!((state.used % unit, state.held % unit), (0, 0), "{state:?}");
        (state.used / unit, state.held / unit)
    }

    /// When a limit of the calendar that is reached at `now` gives way.
    pub fn resets_at(&self, kind: LimitKind, now: Timestamp) -> Option<Timestamp> {
        calendar().limit_period(kind.period()?, self.limits.starts, now).ends_at
    }
}
