//! Random histories: whatever happens in whatever order, every limit stands as a plain model says, no hard
//! budget is passed, and the records add up to the counters.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use relay_domain::{
    BudgetPolicy, LimitKind, LimitScope, LimitState, Limits, NanoUsd, Outcome, Period, RateWindow,
    RequestId, RequestRecord, Timestamp, TokenCount, UsageSource,
};

use super::fixture::{
    LEASE, account_id, admit_request, at, at_once, group_id, key_id, model, record, settlement,
};
use super::limit_model::{Flight, Model, tokens};
use super::random::{Random, nanos};
use super::spender::WINDOW;
use crate::{
    AdmitRequest, Assignment, Charge, Checkpoint, Crossing, Denial, Estimate, Extension,
    HoldAnswer, Progress, Settled, Settlement, Stores, UsageScope,
};

const HISTORIES: u64 = 24;
const STEPS: u64 = 60;

/// Where the keys, the groups and the accounts stand among those with limits.
const KEYS: [usize; 4] = [0, 1, 2, 3];
const GROUPS: [usize; 2] = [4, 5];
const ACCOUNTS: [usize; 2] = [6, 7];
/// The groups of the keys, in their order; the last key has none.
const GROUP_OF: [usize; 3] = [4, 4, 5];

/// Closes a store and opens it again, as when the process that serves it ends.
pub type Reopen<'a> = &'a mut dyn FnMut(Stores) -> Stores;

/// One history: a store, what it should say, and what it has said.
struct History {
    stores: Stores,
    seed: u64,
    random: Random,
    model: Model,
    now: Timestamp,
    /// Nobody changes a limit, and nothing costs more than is held for it: then nothing is passed.
    is_strict: bool,
    next: u64,
    ended: Vec<Settlement>,
    counted: BTreeMap<UsageScope, (u64, TokenCount, NanoUsd, NanoUsd)>,
}

/// The store says what the model says, after every step of many histories.
pub async fn every_history_is_as_the_model_says(stores: &Stores) {
    histories(stores.clone(), None).await;
}

/// The same; with `reopen`, of a store that is closed and opened again now and then.
pub async fn histories(mut stores: Stores, mut reopen: Option<Reopen<'_>>) {
    let mut now = at(0);
    for seed in 0..HISTORIES {
        let mut history = History::new(stores, seed, now);
        for step in 0..STEPS {
            history.step(step).await;
            if let Some(reopen) = &mut reopen
                && history.random.is(8)
            {
                history.stores = reopen(history.stores);
                history.model.nobody_runs();
            }
            history.check(step).await;
        }
        history.end().await;
        (stores, now) = (history.stores, history.now);
    }
}

impl History {
    fn new(stores: Stores, seed: u64, now: Timestamp) -> Self {
        let mut history = Self {
            stores,
            seed,
            random: Random(seed),
            model: Model::default(),
            now,
            is_strict: seed.is_multiple_of(2),
            next: 0,
            ended: Vec::new(),
            counted: BTreeMap::new(),
        };
        let policy = history.policy();
        let named = |what: &str, number: usize| format!("{what}-{seed}-{number}");
        for number in KEYS {
            let limits = history.random.limits(false, policy);
            history.model.add(LimitScope::Key(key_id(&named("key", number))), limits);
        }
        for number in GROUPS {
            let limits = history.random.limits(false, policy);
            history.model.add(LimitScope::Group(group_id(&named("group", number))), limits);
        }
        for number in ACCOUNTS {
            let limits = history.random.limits(true, policy);
            history.model.add(LimitScope::Account(account_id(&named("account", number))), limits);
        }
        history
    }

    fn policy(&self) -> BudgetPolicy {
        if self.is_strict { BudgetPolicy::Hard } else { BudgetPolicy::Soft }
    }

    async fn step(&mut self, step: u64) {
        let moves = if self.is_strict { 96 } else { 100 };
        match self.random.below(moves) {
            0..20 => self.admit(step).await,
            20..28 => self.admit_at_once(step).await,
            28..33 => self.ask_again(step).await,
            33..45 => self.assign(step).await,
            45..53 => self.extend(step).await,
            53..60 => self.checkpoint(step).await,
            60..74 => self.settle(step).await,
            74..79 => self.settle_at_once(step).await,
            79..82 => self.settle_late(step).await,
            82..90 => self.pass_time(),
            90..94 => self.reap(step).await,
            94..96 => self.restart().await,
            _ => {
                let place = usize::try_from(self.random.below(8)).unwrap();
                let before = self.model.limited[place].limits;
                let policy = self.policy();
                let after = self.random.limits(ACCOUNTS.contains(&place), policy);
                // What a window counts is as old as the window.
                let window = before.window.map(|window| RateWindow {
                    requests: window.requests.map(|_| 2 + self.random.below(8)),
                    tokens: window.tokens.map(|_| 30 + self.random.below(100)),
                    ..window
                });
                self.model.limited[place].limits =
                    Limits { starts: before.starts, window, ..after };
            }
        }
        self.now = Timestamp::from_millis(self.now.as_millis() + 1);
    }

    fn id(&self, number: u64) -> RequestId {
        RequestId::new(at(self.seed), u128::from(self.seed) << 32 | u128::from(number))
    }

    /// A request of one of the keys.
    fn wanted(&mut self) -> Flight {
        let key = self.random.of(&KEYS).unwrap();
        let of = GROUP_OF.get(key).map_or(vec![key], |group| vec![key, *group]);
        let name = if self.random.is(60) { "claude-opus-4-1" } else { "gpt-5" };
        let estimate = self.random.estimate(25);
        Flight::new(of, model(name), estimate, self.now.plus(LEASE))
    }

    fn ask(&self, number: u64, flight: &Flight) -> AdmitRequest {
        let mut asked = AdmitRequest {
            request: self.id(number),
            model: flight.model.clone(),
            may_be_claude: flight.model.is_claude(),
            estimate: flight.estimate,
            lease_until: flight.lease_until,
            ..admit_request(0, "k", self.now)
        };
        for &place in &flight.of {
            let limited = &self.model.limited[place];
            match &limited.scope {
                LimitScope::Key(key) => (asked.key, asked.limits) = (key.clone(), limited.limits),
                LimitScope::Group(id) => asked.group = Some((id.clone(), limited.limits)),
                LimitScope::Account(_) => {}
            }
        }
        asked
    }

    async fn ask_for(&mut self, number: u64, flight: Flight, step: u64) {
        let asked = self.ask(number, &flight);
        let decision = self.stores.ledger.admit(&asked).await.unwrap().decision;
        let key = flight.of[0];
        let expected = self.model.admit(number, flight, self.now);
        let expected = expected.map(|()| self.model.standing(key, self.now));
        let decision = decision.map(|grant| grant.limits);
        assert_eq!(decision, expected, "{}: admit {number}", self.at(step));
    }

    async fn admit(&mut self, step: u64) {
        let flight = self.wanted();
        self.next += 1;
        self.ask_for(self.next, flight, step).await;
    }

    /// Several that are alike: which of them are in is the store's choice, how many is not.
    async fn admit_at_once(&mut self, step: u64) {
        let flight = self.wanted();
        let first = self.next + 1;
        self.next += 2 + self.random.below(5);
        let asking = (first..=self.next).map(|number| {
            let (ledger, asked) = (self.stores.ledger.clone(), self.ask(number, &flight));
            async move { (number, ledger.admit(&asked).await.unwrap().decision.is_ok()) }
        });
        let asking: Vec<_> = asking.collect();
        let (granted, denied): (Vec<_>, Vec<_>) =
            at_once(asking).await.into_iter().partition(|(_, is_in)| *is_in);
        for (number, _) in granted {
            let expected = self.model.admit(number, flight.clone(), self.now);
            assert_eq!(expected, Ok(()), "{}: too many are in", self.at(step));
        }
        if let Some((number, _)) = denied.first() {
            let expected = self.model.admit(*number, flight, self.now);
            assert!(expected.is_err(), "{}: one more had room", self.at(step));
        }
    }

    /// A request that is in, if any is like this.
    fn some(&mut self, is_like: impl Fn(&Flight) -> bool) -> Option<u64> {
        let flights = self.model.flights.iter().filter(|(_, flight)| is_like(flight));
        let numbers: Vec<_> = flights.map(|(number, _)| *number).collect();
        self.random.of(&numbers)
    }

    async fn ask_again(&mut self, step: u64) {
        let may_ask = |flight: &Flight| flight.runs && own(flight) == flight.of.len();
        let Some(number) = self.some(may_ask) else { return };
        let before = self.model.flights[&number].clone();
        let (estimate, until) = (self.random.estimate(25), self.now.plus(LEASE));
        let flight = Flight::new(before.of, before.model, estimate, until);
        self.ask_for(number, flight, step).await;
    }

    async fn assign(&mut self, step: u64) {
        let may_go = |flight: &Flight| flight.runs && flight.progress.is_none();
        let Some(number) = self.some(may_go) else { return };
        let account = self.random.of(&ACCOUNTS).unwrap();
        let LimitScope::Account(id) = self.model.limited[account].scope.clone() else { return };
        // Now and then more than was thought.
        let cost = NanoUsd::from_nanos(i64::try_from(step % 30).unwrap());
        let assignment = Assignment {
            request: self.id(number),
            account: id,
            limits: self.model.limited[account].limits,
            cost,
            now: self.now,
        };
        let answer = self.stores.ledger.assign(&assignment).await.unwrap();
        let own = own(&self.model.flights[&number]);
        let expected = self.model.assign(number, (account, own), cost, self.now);
        assert_eq!(answer, told(expected), "{}: assign {number}", self.at(step));
    }

    async fn extend(&mut self, step: u64) {
        let Some(number) = self.some(|_| true) else { return };
        let flight = self.model.flights[&number].clone();
        let estimate = self.random.estimate(35);
        let asked = self.ask(number, &flight);
        let account = flight.of.get(own(&flight)).and_then(|&place| {
            let limited = &self.model.limited[place];
            let LimitScope::Account(id) = &limited.scope else { return None };
            Some((id.clone(), limited.limits))
        });
        let extension = Extension {
            request: asked.request,
            key: (asked.key, asked.limits),
            group: asked.group,
            account,
            model: asked.model,
            estimate,
            now: self.now,
        };
        let answer = self.stores.ledger.extend(&extension).await.unwrap();
        let expected = self.model.extend(number, &estimate, self.now);
        assert_eq!(answer, told(expected), "{}: extend {number}", self.at(step));
    }

    /// What a request comes to: no more than it holds where nothing may be passed.
    fn outcome(&mut self, number: u64) -> RequestRecord {
        let flight = self.model.flights[&number].clone();
        let Estimate { tokens: most, cost, charged } = flight.estimate;
        let mut up_to = |most: u64| {
            let most = if self.is_strict { most } else { most * 2 };
            self.random.below(most + 1)
        };
        let usage = tokens(up_to(most));
        let (cost, charged) =
            (up_to(crate::budgets::amount_of(cost)), up_to(crate::budgets::amount_of(charged)));
        let is_known = self.random.is(75);
        let mut ended = RequestRecord {
            id: self.id(number),
            model: flight.model.clone(),
            served_model: None,
            account: None,
            group: None,
            usage,
            cost: is_known.then(|| nanos(cost)),
            presumed_cost: (!is_known && self.random.is(80)).then(|| nanos(cost)),
            charged: self.random.is(95).then(|| nanos(charged)),
            ..record(0, "k")
        };
        for &place in &flight.of {
            match self.model.limited[place].scope.clone() {
                LimitScope::Key(key) => ended.key = key,
                LimitScope::Group(group) => ended.group = Some(group),
                LimitScope::Account(account) => ended.account = Some(account),
            }
        }
        ended
    }

    async fn checkpoint(&mut self, step: u64) {
        let is_strict = self.is_strict;
        let may_tell =
            |flight: &Flight| flight.runs && (!is_strict || own(flight) < flight.of.len());
        let Some(number) = self.some(may_tell) else { return };
        let lease_until = self.now.plus(LEASE);
        let told = self.random.is(70).then(|| self.outcome(number));
        let progress = told.as_ref().map(|told| Progress {
            account: told.account.clone().unwrap_or(account_id("nobody")),
            served_model: told.served_model.clone(),
            usage: told.usage,
            usage_source: UsageSource::Partial,
            terms: told.terms,
            cost: told.cost,
            presumed_cost: told.presumed_cost,
            cost_by_kind: told.cost_by_kind,
            charged: told.charged,
            edits: told.edits.clone(),
        });
        let checkpoint = Checkpoint { request: self.id(number), lease_until, progress };
        let is_held = self.stores.ledger.checkpoint(&checkpoint).await.unwrap();
        assert!(is_held, "{}: checkpoint {number}", self.at(step));
        let flight = self.model.flights.get_mut(&number).unwrap();
        flight.lease_until = lease_until;
        if let Some(mut told) = told {
            told.account = told.account.or(Some(account_id("nobody")));
            flight.progress = Some(told);
        }
    }

    fn settlement(&mut self, number: u64) -> Settlement {
        let record = self.outcome(number);
        let charge = if self.random.is(20) { Charge::Release } else { Charge::Count };
        let watched = self.model.flights[&number].of.iter();
        let budgets = watched
            .map(|&place| &self.model.limited[place])
            .map(|limited| (limited.scope.clone(), limited.limits))
            .collect();
        Settlement { charge, budgets, ..settlement(record, self.now) }
    }

    /// The model's and the records' part of a settlement that the store has made.
    async fn settled(&mut self, number: u64, end: Settlement) -> Vec<Crossing> {
        let stored = self.stores.usage.record(end.record.id).await.unwrap();
        assert_eq!(stored.as_ref(), Some(&end.record));
        let counts = end.charge == Charge::Count;
        let record = counts.then_some(&end.record);
        let crossed = self.model.settle(number, record, &end.budgets, end.now);
        if counts {
            self.add_up(&end.record);
        }
        self.ended.push(end);
        crossed
    }

    fn add_up(&mut self, record: &RequestRecord) {
        let scopes = [
            Some(UsageScope::Key(record.key.clone())),
            record.group.clone().map(UsageScope::Group),
            record.account.clone().map(UsageScope::Account),
        ];
        for scope in scopes.into_iter().flatten() {
            let (requests, tokens, cost, charged) = self.counted.entry(scope).or_default();
            *requests += 1;
            *tokens = *tokens + record.usage.total();
            *cost = *cost + record.cost.unwrap_or_default();
            *charged = *charged + record.charged.unwrap_or_default();
        }
    }

    async fn settle(&mut self, step: u64) {
        let Some(number) = self.some(|_| true) else { return };
        let end = self.settlement(number);
        let settled = self.stores.ledger.settle(&end).await.unwrap();
        let crossed = self.settled(number, end).await;
        assert_eq!(settled, Settled::Now { crossed }, "{}: settle {number}", self.at(step));
    }

    /// Several at once, each of them twice: each counts once, and each threshold is told once.
    async fn settle_at_once(&mut self, step: u64) {
        let numbers: BTreeSet<_> = (0..4).filter_map(|_| self.some(|_| true)).collect();
        let ends: Vec<_> =
            numbers.into_iter().map(|number| (number, self.settlement(number))).collect();
        let settling = ends.iter().chain(&ends).map(|(_, end)| {
            let (ledger, end) = (self.stores.ledger.clone(), end.clone());
            async move { ledger.settle(&end).await.unwrap() }
        });
        let settled = at_once(settling.collect::<Vec<_>>()).await;
        let first = settled.iter().filter(|settled| settled.is_first()).count();
        assert_eq!(first, ends.len(), "{}: once each", self.at(step));
        let told = settled.into_iter().flat_map(|settled| match settled {
            Settled::Now { crossed } => crossed,
            Settled::Before => Vec::new(),
        });
        let mut expected = Vec::new();
        for (number, end) in ends {
            expected.extend(self.settled(number, end).await);
        }
        let (highest, expected) = (highest(told.collect()), highest(expected));
        assert_eq!(highest, expected, "{}: thresholds", self.at(step));
    }

    async fn settle_late(&mut self, step: u64) {
        let Some(place) = self.random.of(&(0..self.ended.len()).collect::<Vec<_>>()) else {
            return;
        };
        let mut late = self.ended[place].clone();
        late.now = self.now;
        late.record.charged = Some(nanos(1_000));
        let settled = self.stores.ledger.settle(&late).await.unwrap();
        assert_eq!(settled, Settled::Before, "{}: a late settlement", self.at(step));
        let checkpoint = Checkpoint {
            request: late.record.id,
            lease_until: self.now.plus(LEASE),
            progress: None,
        };
        assert!(!self.stores.ledger.checkpoint(&checkpoint).await.unwrap());
    }

    fn pass_time(&mut self) {
        let passed = match self.random.below(100) {
            0..60 => Duration::from_millis(self.random.below(20_000)),
            60..75 => LEASE,
            75..88 => WINDOW,
            88..97 => Duration::from_hours(self.random.below(30)),
            _ => Duration::from_hours(24 * 8),
        };
        self.now = self.now.plus(passed);
    }

    async fn reap(&mut self, step: u64) {
        let reaped = self.stores.ledger.reap(self.now, 1_000).await.unwrap();
        let ended = self.model.flights.iter().filter(|(_, flight)| flight.lease_until <= self.now);
        let ended: Vec<_> =
            ended.map(|(number, flight)| (*number, flight.progress.clone())).collect();
        let ids = |ids: &mut dyn Iterator<Item = RequestId>| ids.collect::<BTreeSet<_>>();
        assert_eq!(
            ids(&mut reaped.iter().map(|orphan| orphan.id)),
            ids(&mut ended.iter().map(|(number, _)| self.id(*number))),
            "{}: reap",
            self.at(step)
        );
        for (number, progress) in ended {
            let id = self.id(number);
            let orphan = reaped.iter().find(|orphan| orphan.id == id).unwrap();
            assert_eq!(orphan.outcome, Outcome::Orphaned);
            let amounts = |record: &RequestRecord| {
                (record.usage, record.cost, record.presumed_cost, record.charged)
            };
            let known = progress.as_ref().map(amounts);
            let counted = (orphan.usage_source == UsageSource::Partial).then(|| amounts(orphan));
            assert_eq!(counted, known, "{}: the orphan {number}", self.at(step));
            self.model.settle(number, progress.as_ref(), &[], self.now);
            if progress.is_some() {
                self.add_up(orphan);
            }
            self.ended.push(settlement(orphan.clone(), self.now));
        }
    }

    async fn restart(&mut self) {
        let place = usize::try_from(self.random.below(8)).unwrap();
        let scope = &self.model.limited[place].scope;
        self.stores.ledger.restart(scope, self.now).await.unwrap();
        self.model.restart(place);
    }

    /// Every limit stands as the model says. Where nothing may be passed, nothing is.
    async fn check(&self, step: u64) {
        for (place, limited) in self.model.limited.iter().enumerate() {
            let ledger = &self.stores.ledger;
            let standing =
                ledger.standing(&limited.scope, &limited.limits, self.now).await.unwrap();
            let expected = self.model.standing(place, self.now);
            assert_eq!(standing, expected, "{}: {:?}", self.at(step), limited.scope);
            // A lease that is renewed after its end takes a slot, even if that is another's by now.
            let is_exact = |state: &&LimitState| state.limit != LimitKind::Concurrency;
            for state in standing.iter().filter(is_exact).filter(|_| self.is_strict) {
                let is_kept = state.used + state.held <= state.allowed;
                assert!(is_kept, "{}: {:?} of {:?}", self.at(step), state, limited.scope);
            }
        }
    }

    /// Everything ends, and the records add up to the counters.
    async fn end(&mut self) {
        self.now = self.now.plus(LEASE);
        self.reap(STEPS).await;
        self.check(STEPS).await;
        assert!(self.model.flights.is_empty());
        for (scope, (requests, tokens, cost, charged)) in &self.counted {
            let totals = self.stores.usage.totals(scope, Period::Total).await.unwrap();
            let counted = (totals.requests, totals.tokens.total(), totals.cost, totals.charged);
            if *scope != UsageScope::Account(account_id("nobody")) {
                assert_eq!(counted, (*requests, *tokens, *cost, *charged), "{scope:?}");
            }
        }
        let kinds = |limits: &Limits| crate::budgets::limits_in_order(limits).count();
        let limits: usize = self.model.limited.iter().map(|limited| kinds(&limited.limits)).sum();
        assert!(0 < limits, "a history without limits says nothing");
    }

    fn at(&self, step: u64) -> String {
        format!("history {}, step {step}, {}", self.seed, self.now)
    }
}

/// How many of those that a request weighs on are its key and its group.
fn own(flight: &Flight) -> usize {
    flight.of.iter().filter(|place| !ACCOUNTS.contains(place)).count()
}

fn told(answer: Result<(), Denial>) -> HoldAnswer {
    match answer {
        Ok(()) => HoldAnswer::Held,
        Err(denial) => HoldAnswer::Denied(denial),
    }
}

/// The highest threshold of each budget. Each is told at most once.
fn highest(crossed: Vec<Crossing>) -> BTreeMap<(LimitScope, LimitKind), u8> {
    let mut told = BTreeSet::new();
    let mut highest = BTreeMap::new();
    for Crossing { scope, percent, state } in crossed {
        assert!(told.insert((scope.clone(), state.limit, percent)), "told twice: {scope:?}");
        let known = highest.entry((scope, state.limit)).or_insert(percent);
        *known = percent.max(*known);
    }
    highest
}
