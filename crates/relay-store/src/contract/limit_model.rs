//! A plain model of the ledger's limits: lists, and sums over all of them. It is what a store is compared
//! with.

use std::collections::BTreeMap;

use relay_domain::{
    LimitKind, LimitScope, LimitState, Limits, ModelName, NanoUsd, RequestRecord, Timestamp,
    TokenCount, TokenUsage,
};

use super::fixture::calendar;
use crate::budgets::{amount_of, counts, limits_in_order, spent_by, window_millis};
use crate::{Crossing, Denial, Estimate};

/// Someone with limits, and everything that ever counted on them.
pub struct Limited {
    /// Who.
    pub scope: LimitScope,
    /// The limits in force.
    pub limits: Limits,
    /// What was spent since the limits were last started anew: when, how much, and whether for a Claude
    /// model.
    spent: Vec<(Timestamp, u64, bool)>,
    window: Option<Window>,
}

#[derive(Clone, Copy)]
struct Window {
    opened_at: Timestamp,
    requests: u64,
    tokens: u64,
    cost: u64,
}

/// A request that is in.
#[derive(Clone)]
pub struct Flight {
    /// The places of its key, its group and its account among those with limits.
    pub of: Vec<usize>,
    /// The model that it names.
    pub model: ModelName,
    /// What it holds.
    pub estimate: Estimate,
    /// When its lease ends.
    pub lease_until: Timestamp,
    /// Whether the process that let it in still runs: otherwise it takes no slot.
    pub runs: bool,
    /// What its last checkpoint told.
    pub progress: Option<RequestRecord>,
    /// Where and in which window it is counted.
    counted: Vec<(usize, Timestamp)>,
}

/// Everybody with limits, and every request that is in.
#[derive(Default)]
pub struct Model {
    /// Who has limits.
    pub limited: Vec<Limited>,
    /// The requests that are in, by their number.
    pub flights: BTreeMap<u64, Flight>,
}

impl Model {
    /// Adds someone who has spent nothing.
    pub fn add(&mut self, scope: LimitScope, limits: Limits) -> usize {
        self.limited.push(Limited { scope, limits, spent: Vec::new(), window: None });
        self.limited.len() - 1
    }

    /// How the limits of one stand.
    pub fn standing(&self, place: usize, now: Timestamp) -> Vec<LimitState> {
        let Limited { scope, limits, spent, .. } = &self.limited[place];
        let flights = || self.flights.values().filter(|flight| flight.of.contains(&place));
        let held = |kind: LimitKind| -> u64 {
            let weighs = |flight: &&Flight| counts(kind, flight.model.is_claude());
            flights().filter(weighs).map(|flight| flight.estimate.weight(kind, scope)).sum()
        };
        let window = self.window(place, now);
        let closes_at = window.map(|window| later(window.opened_at, window_millis(limits)));
        let state = |(limit, allowed): (LimitKind, u64)| {
            let (used, held, resets_at) = match limit.period() {
                Some(kind) => {
                    let period = calendar().limit_period(kind, limits.starts, now);
                    let counts = |(at, _, is_claude): &&(Timestamp, u64, bool)| {
                        period.contains(*at) && (*is_claude || limit != LimitKind::WeeklyClaudeCost)
                    };
                    let used = spent.iter().filter(counts).map(|(_, amount, _)| amount).sum();
                    (used, held(limit), period.ends_at)
                }
                None if limit == LimitKind::Concurrency => {
                    let runs = |flight: &&Flight| flight.runs && now < flight.lease_until;
                    let running = flights().filter(runs).count();
                    (u64::try_from(running).unwrap(), 0, None)
                }
                None if limit == LimitKind::WindowRequests => {
                    (window.map_or(0, |window| window.requests), 0, closes_at)
                }
                None if limit == LimitKind::WindowTokens => {
                    (window.map_or(0, |window| window.tokens), held(limit), closes_at)
                }
                None => (window.map_or(0, |window| window.cost), held(limit), closes_at),
            };
            LimitState { limit, used, held, allowed, resets_at }
        };
        limits_in_order(limits).map(state).collect()
    }

    /// Lets a request in; one that is in already asks again.
    ///
    /// # Errors
    ///
    /// The denial; then it is not in.
    pub fn admit(&mut self, number: u64, flight: Flight, now: Timestamp) -> Result<(), Denial> {
        if let Some(before) = self.flights.remove(&number) {
            // An account that it was given to before has served it.
            for (place, opened_at) in before.counted {
                if flight.of.contains(&place) {
                    self.uncount(place, opened_at);
                }
            }
        }
        for &place in &flight.of {
            self.has_room(place, &flight, now)?;
        }
        let mut flight = flight;
        for place in flight.of.clone() {
            self.count_request(place, &mut flight, now);
        }
        self.flights.insert(number, flight);
        Ok(())
    }

    /// Gives a request to an account, where its key and group take the first `own` places.
    ///
    /// # Errors
    ///
    /// The denial; then no account has it.
    pub fn assign(
        &mut self,
        number: u64,
        (account, own): (usize, usize),
        cost: NanoUsd,
        now: Timestamp,
    ) -> Result<(), Denial> {
        let mut flight = self.flights.remove(&number).unwrap();
        flight.of.truncate(own);
        let counted = flight.counted.iter().position(|(place, _)| *place == account);
        let counted = counted.map(|at| flight.counted.remove(at));
        if let Some((place, opened_at)) = counted {
            self.uncount(place, opened_at);
        }
        let before = flight.estimate;
        flight.estimate.cost = before.cost.max(cost);
        let answer = self.has_room(account, &flight, now);
        if answer.is_ok() {
            self.count_request(account, &mut flight, now);
            flight.of.push(account);
        } else {
            flight.estimate = before;
            if let Some((place, opened_at)) = counted {
                self.count_again(place, opened_at);
                flight.counted.push((place, opened_at));
            }
        }
        self.flights.insert(number, flight);
        answer
    }

    /// Raises what a request holds.
    ///
    /// # Errors
    ///
    /// The denial; then it holds what it held.
    pub fn extend(&mut self, number: u64, to: &Estimate, now: Timestamp) -> Result<(), Denial> {
        let flight = self.flights[&number].clone();
        let raised = flight.estimate.raised_to(to);
        for &place in &flight.of {
            let scope = &self.limited[place].scope;
            for state in self.standing(place, now) {
                let weight = |estimate: &Estimate| estimate.weight(state.limit, scope);
                let raise = (weight(&flight.estimate), weight(&raised));
                if counts(state.limit, flight.model.is_claude())
                    && let Some(denial) = Denial::of_raise(scope, &state, raise)
                {
                    return Err(denial);
                }
            }
        }
        self.flights.get_mut(&number).unwrap().estimate = raised;
        Ok(())
    }

    /// Ends a request, with what it came to if that counts. Returns the thresholds that it passed, of those
    /// that are watched.
    pub fn settle(
        &mut self,
        number: u64,
        record: Option<&RequestRecord>,
        watched: &[(LimitScope, Limits)],
        now: Timestamp,
    ) -> Vec<Crossing> {
        self.flights.remove(&number);
        let Some(record) = record else { return Vec::new() };
        let watched: Vec<_> = watched.iter().filter_map(|(scope, _)| self.place(scope)).collect();
        let states = |model: &Self| -> Vec<_> {
            let standing =
                |&place| model.standing(place, now).into_iter().map(move |state| (place, state));
            watched.iter().flat_map(standing).collect()
        };
        let before = states(self);
        let scopes = [
            Some(LimitScope::Key(record.key.clone())),
            record.group.clone().map(LimitScope::Group),
            record.account.clone().map(LimitScope::Account),
        ];
        for scope in scopes.into_iter().flatten() {
            let Some(place) = self.place(&scope) else { continue };
            let (open, limited) = (self.window(place, now), &mut self.limited[place]);
            let amount = amount_of(spent_by(record, &scope));
            limited.spent.push((now, amount, record.is_claude()));
            if let (Some(window), Some(_)) = (&mut limited.window, open) {
                window.tokens += record.usage.total().get();
                window.cost += amount;
            }
        }
        let crossing =
            |((_, before), (place, after)): (&(usize, LimitState), (usize, LimitState))| {
                Crossing::between(&self.limited[place].scope, before.used, after)
            };
        before.iter().zip(states(self)).flat_map(crossing).collect()
    }

    /// The process that has let everybody in has ended.
    pub fn nobody_runs(&mut self) {
        for flight in self.flights.values_mut() {
            flight.runs = false;
        }
    }

    /// Starts the limits of one anew.
    pub fn restart(&mut self, place: usize) {
        self.limited[place].spent.clear();
        self.limited[place].window = None;
    }

    fn place(&self, scope: &LimitScope) -> Option<usize> {
        self.limited.iter().position(|limited| limited.scope == *scope)
    }

    fn window(&self, place: usize, now: Timestamp) -> Option<Window> {
        let Limited { limits, window, .. } = &self.limited[place];
        window.filter(|window| now < later(window.opened_at, window_millis(limits)))
    }

    fn has_room(&self, place: usize, flight: &Flight, now: Timestamp) -> Result<(), Denial> {
        let scope = &self.limited[place].scope;
        for state in self.standing(place, now) {
            let policy = self.limited[place].limits.budget_policy;
            let weight = flight.estimate.weight_to_enter(state.limit, scope, policy);
            if counts(state.limit, flight.model.is_claude())
                && let Some(denial) = Denial::of_new(scope, &state, weight)
            {
                return Err(denial);
            }
        }
        Ok(())
    }

    fn count_request(&mut self, place: usize, flight: &mut Flight, now: Timestamp) {
        if window_millis(&self.limited[place].limits).is_some() {
            let empty = Window { opened_at: now, requests: 0, tokens: 0, cost: 0 };
            let open = self.window(place, now).unwrap_or(empty);
            self.limited[place].window = Some(Window { requests: open.requests + 1, ..open });
            flight.counted.push((place, open.opened_at));
        }
    }

    fn uncount(&mut self, place: usize, opened_at: Timestamp) {
        if let Some(window) = self.opened(place, opened_at) {
            window.requests -= 1;
        }
    }

    fn count_again(&mut self, place: usize, opened_at: Timestamp) {
        if let Some(window) = self.opened(place, opened_at) {
            window.requests += 1;
        }
    }

    fn opened(&mut self, place: usize, at: Timestamp) -> Option<&mut Window> {
        self.limited[place].window.as_mut().filter(|window| window.opened_at == at)
    }
}

impl Flight {
    /// A request that wants in.
    pub fn new(
        of: Vec<usize>,
        model: ModelName,
        estimate: Estimate,
        lease_until: Timestamp,
    ) -> Self {
        Self { of, model, estimate, lease_until, runs: true, progress: None, counted: Vec::new() }
    }
}

/// So many tokens, of whatever kind.
pub fn tokens(count: u64) -> TokenUsage {
    TokenUsage { cache_read: TokenCount::new(count), ..TokenUsage::ZERO }
}

fn later(moment: Timestamp, millis: Option<u64>) -> Timestamp {
    Timestamp::from_millis(moment.as_millis() + millis.unwrap_or(0))
}
