//! Several settlements as one call: each atomic with the removal of its hold, their counters added up.

use std::collections::HashMap;
use std::sync::Arc;

use redis::Value;
use relay_domain::{
    Calendar, LimitPeriod, LimitPeriodKind, LimitScope, Limits, NanoUsd, PeriodStarts, RequestId,
    RequestRecord, Timestamp,
};
use relay_store::statistics::CommitCells;
use relay_store::{Charge, Settled, Settlement, StoreError, StoredRecord, budgets};

use super::crossings::{self, Watched};
use super::hold::{self, Part};
use super::meter::Weight;
use super::uses::Uses;
use super::{ATTEMPTS, Sender, answers};
use crate::call::Call;
use crate::connection;
use crate::counters::{CountedRequest, Counters};
use crate::fault;
use crate::shared::Shared;
use crate::statistics;

/// A settlement with what can be computed of it before it meets others in a batch.
pub(super) struct Prepared {
    pub(super) settlement: Settlement,
    record_json: String,
    /// `None`: it counts nothing.
    counted: Option<CountedRequest>,
}

impl Prepared {
    /// Prepares a settlement.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if its record cannot be written as JSON.
    pub(super) fn new(settlement: Settlement, shared: &Shared) -> Result<Self, StoreError> {
        let Settlement { record, charge, bind, budgets, now } = settlement;
        let stored = StoredRecord::from(record);
        let record_json =
            serde_json::to_string(&stored).map_err(|error| StoreError::Refused(Box::new(error)))?;
        let record = RequestRecord::from(stored);
        let periods = shared.calendar.periods(now);
        let counted = (charge == Charge::Count)
            .then(|| CountedRequest::new(&record, now, periods, shared.billing_events));
        let settlement = Settlement { record, charge, bind, budgets, now };
        Ok(Self { settlement, record_json, counted })
    }

    /// Which request it ends.
    pub(super) fn request(&self) -> RequestId {
        self.record().id
    }

    /// The record that it keeps.
    pub(super) fn into_record(self) -> RequestRecord {
        self.settlement.record
    }

    pub(super) fn record(&self) -> &RequestRecord {
        &self.settlement.record
    }

    /// What it counts, if anything.
    pub(super) fn counted(&self) -> Option<&RequestRecord> {
        self.counted.is_some().then(|| self.record())
    }

    /// What it spends of the budgets of `scope`.
    pub(super) fn spent(&self, scope: &LimitScope) -> NanoUsd {
        match self.settlement.charge {
            Charge::Count => budgets::spent_by(self.record(), scope),
            Charge::Release => NanoUsd::ZERO,
        }
    }

    /// Who has limits that it may weigh on.
    fn scopes(&self) -> impl Iterator<Item = LimitScope> + use<> {
        let RequestRecord { key, group, account, .. } = self.record();
        let key = LimitScope::Key(key.clone());
        let group = group.clone().map(LimitScope::Group);
        let account = account.clone().map(LimitScope::Account);
        std::iter::once(key).chain(group).chain(account)
    }

    /// When the days and weeks of `scope` begin, if it knows.
    fn starts(&self, scope: &LimitScope) -> Option<PeriodStarts> {
        let limits = self.settlement.budgets.iter().find(|(known, _)| known == scope);
        limits.map(|(_, limits)| limits.starts)
    }

    /// The week of its key in which it counts as well: that of whoever has not heard yet that the key's weeks begin
    /// at another moment, as `starts` says.
    fn other_week(&self, starts: PeriodStarts, calendar: Calendar) -> Option<LimitPeriod> {
        let known = self.starts(&LimitScope::Key(self.record().key.clone()))?;
        let is_other = (known.week_day, known.week_hour) != (starts.week_day, starts.week_hour);
        is_other.then(|| calendar.limit_period(LimitPeriodKind::Week, known, self.settlement.now))
    }
}

impl Sender {
    /// Settles a batch of different requests. Those that are not held are left out and the others tried
    /// again: each is done whole or not at all.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when Redis fails: then whether any was done is unknown, but all of one call are or
    /// none.
    pub(super) async fn settle_batch(
        &self,
        batch: &[&Prepared],
        ended_by: Option<Timestamp>,
    ) -> Result<Vec<Settled>, StoreError> {
        let script = &self.shared.scripts.settle;
        let mut settled: Vec<Settled> = batch.iter().map(|_| Settled::Before).collect();
        let mut held: Vec<usize> = (0..batch.len()).collect();
        let mut learned: Vec<Part> = Vec::new();
        let mut calls = 0;
        while !held.is_empty() {
            let trying: Vec<_> = held.iter().filter_map(|at| batch.get(*at).copied()).collect();
            let composed = compose(&trying, &self.shared, ended_by, &learned)?;
            let pipeline = composed.call.alone(script);
            let [answer] = answers(script.send(&self.connection, &pipeline).await?, "settle.lua")?;
            match Outcome::read(answer)? {
                Outcome::Done { refusal, told } => {
                    if !refusal.is_empty() {
                        tracing::error!(refusal, "a counter could not be written");
                    }
                    let told = crossings::read(&trying, &composed.watched, told, &self.shared)?;
                    for (at, crossed) in held.into_iter().zip(told) {
                        if let Some(settled) = settled.get_mut(at) {
                            *settled = Settled::Now { crossed };
                        }
                    }
                    break;
                }
                Outcome::Missing(missing) => {
                    for at in missing.into_iter().rev().filter_map(|at| usize::try_from(at).ok()) {
                        if at < held.len() {
                            held.remove(at);
                        }
                    }
                }
                Outcome::Elsewhere(parts) => learned.extend(parts),
                Outcome::UnknownDay { scope } => {
                    let at = usize::try_from(scope).ok().and_then(|at| at.checked_sub(1));
                    let entry = at.and_then(|at| composed.scopes.get(at));
                    let entry = entry.ok_or_else(|| fault::unexpected("settle.lua"))?;
                    let (starts, day) = entry.day(&trying, &learned);
                    let day = day.ok_or_else(|| fault::unexpected("settle.lua"))?;
                    let daily_cost = Some(NanoUsd::ZERO);
                    let limits = Limits { daily_cost, starts, ..Limits::default() };
                    self.begin_period(&self.meter(&entry.scope, &limits, day), 1).await?;
                }
                Outcome::Unknown { watched, budget } => {
                    let at = usize::try_from(watched).ok().and_then(|at| at.checked_sub(1));
                    let watched = at.and_then(|at| composed.watched.get(at));
                    let watched = watched.ok_or_else(|| fault::unexpected("settle.lua"))?;
                    let meter = self.meter(watched.scope, watched.limits, watched.now);
                    self.begin_period(&meter, budget).await?;
                }
            }
            calls += 1;
            if calls > ATTEMPTS + 9 * batch.len() {
                return Err(fault::contended(self.shared.keyspace.holds()));
            }
        }
        Ok(settled)
    }
}

enum Outcome {
    Done { refusal: String, told: Vec<i64> },
    Missing(Vec<i64>),
    Elsewhere(Vec<Part>),
    Unknown { watched: i64, budget: i64 },
    UnknownDay { scope: i64 },
}

impl Outcome {
    fn read(answer: Value) -> Result<Self, StoreError> {
        const WHAT: &str = "settle.lua";
        let unexpected = || fault::unexpected(WHAT);
        let Value::Array(items) = connection::accepted(answer)? else { return Err(unexpected()) };
        let mut items = items.into_iter();
        let mut next = || items.next().ok_or_else(unexpected);
        let kind: i64 = connection::read(next()?, WHAT)?;
        match kind {
            0 => {
                let refusal = connection::read(next()?, WHAT)?;
                let told = items.map(|item| connection::read(item, WHAT));
                Ok(Self::Done { refusal, told: told.collect::<Result<_, _>>()? })
            }
            1 => {
                let missing = items.map(|item| connection::read(item, WHAT));
                Ok(Self::Missing(missing.collect::<Result<_, _>>()?))
            }
            2 => {
                let parts = items
                    .map(|item| Part::parse(connection::read(item, WHAT)?).ok_or_else(unexpected));
                Ok(Self::Elsewhere(parts.collect::<Result<_, _>>()?))
            }
            4 => {
                let (watched, budget) = (next()?, next()?);
                let read = |item| connection::read(item, WHAT);
                Ok(Self::Unknown { watched: read(watched)?, budget: read(budget)? })
            }
            5 => Ok(Self::UnknownDay { scope: connection::read(next()?, WHAT)? }),
            _ => Err(unexpected()),
        }
    }
}

/// The call of `settle.lua` for a batch.
struct Composed<'a> {
    call: Call<'a>,
    scopes: Vec<InScope>,
    watched: Vec<Watched<'a>>,
}

/// What a batch does to one who has limits.
struct InScope {
    scope: LimitScope,
    tokens: u64,
    money: NanoUsd,
    /// The positions of its settlements in the batch.
    members: Vec<usize>,
}

fn compose<'a>(
    batch: &[&'a Prepared],
    shared: &'a Shared,
    ended_by: Option<Timestamp>,
    learned: &[Part],
) -> Result<Composed<'a>, StoreError> {
    let Shared { keyspace, calendar, record_capacity, .. } = shared;
    let mut call = Call::default();
    call.name(keyspace.holds());
    call.name(keyspace.records());
    call.name(keyspace.record_index());
    call.name(keyspace.keys_by_use());
    call.name(keyspace.billing_events());
    call.name(keyspace.statistics_fresh());
    call.arg(batch.len());
    call.arg(*record_capacity);
    call.optional(ended_by.map(Timestamp::as_millis));
    for prepared in batch {
        let record = prepared.record();
        call.name(keyspace.hold(record.id));
        call.arg(record.id.to_string());
        call.arg(prepared.record_json.as_str());
        call.arg(record.id.arrived_at().as_millis());
    }
    let scopes = scopes(batch, learned);
    write_scopes(&scopes, batch, learned, shared, &mut call);

    let (mut uses, mut counters) = (Uses::default(), Counters::default());
    let mut week: Option<(PeriodStarts, LimitPeriod, Arc<str>)> = None;
    let mut cells = CommitCells::new(*calendar);
    for prepared in batch {
        uses.bind(&prepared.settlement, keyspace)?;
        let Some(counted) = &prepared.counted else { continue };
        let (record, now) = (prepared.record(), prepared.settlement.now);
        cells.count(record, now);
        let key_position = uses.count(record, now);
        let starts = starts_of(&LimitScope::Key(record.key.clone()), prepared, learned);
        let (_, _, name) = match week.take() {
            Some(known) if known.0 == starts && known.1.contains(now) => week.insert(known),
            _ => {
                let period = calendar.limit_period(LimitPeriodKind::Week, starts, now);
                week.insert((starts, period, period.to_string().into()))
            }
        };
        let name = Arc::clone(name);
        if let Some(other) = prepared.other_week(starts, *calendar) {
            let other = other.to_string();
            if *other != *name {
                counters.add_elsewhere(&record.key, counted, other);
            }
        }
        counters.add(record, counted, (key_position, name), keyspace);
    }
    uses.write(&mut call, keyspace);
    counters.write(&mut call, keyspace);
    let fresh: Vec<_> = cells.written().collect();
    call.arg(fresh.len());
    for fresh in &fresh {
        call.arg(statistics::element(fresh));
    }

    let watched = watched(batch, &scopes, *calendar);
    call.arg(watched.len());
    for watched in &watched {
        call.arg(watched.now.as_millis());
        watched.meter(shared).write(Weight::default(), &mut call);
    }
    Ok(Composed { call, scopes, watched })
}

/// Everyone with limits whom a batch may touch, and those whom a hold was found to touch.
fn scopes(batch: &[&Prepared], learned: &[Part]) -> Vec<InScope> {
    let mut places: HashMap<LimitScope, usize> = HashMap::with_capacity(2 * batch.len());
    let mut scopes: Vec<InScope> = Vec::with_capacity(2 * batch.len());
    let mut place = |scope: LimitScope, scopes: &mut Vec<InScope>| {
        *places.entry(scope).or_insert_with_key(|scope| {
            let (scope, members) = (scope.clone(), Vec::new());
            scopes.push(InScope { scope, tokens: 0, money: NanoUsd::ZERO, members });
            scopes.len() - 1
        })
    };
    for (position, prepared) in batch.iter().enumerate() {
        for scope in prepared.scopes() {
            let at = place(scope, &mut scopes);
            let Some(entry) = scopes.get_mut(at) else { continue };
            entry.members.push(position);
            entry.money = entry.money + prepared.spent(&entry.scope);
            if prepared.counted.is_some() {
                entry.tokens = entry.tokens.saturating_add(prepared.record().usage.total().get());
            }
        }
    }
    for part in learned {
        place(part.scope.clone(), &mut scopes);
    }
    scopes
}

fn write_scopes(
    scopes: &[InScope],
    batch: &[&Prepared],
    learned: &[Part],
    shared: &Shared,
    call: &mut Call<'_>,
) {
    let keyspace = &shared.keyspace;
    call.arg(scopes.len());
    for entry in scopes {
        let InScope { scope, tokens, money, .. } = entry;
        call.name(keyspace.leases(scope));
        call.name(keyspace.meter(scope));
        call.arg(hold::scope_id(scope));
        let (starts, day) = entry.day(batch, learned);
        // Of those who have been learned about, any beginning will do.
        let is_learned = learned.iter().any(|part| part.scope == *scope);
        call.arg(if is_learned { "*".to_owned() } else { hold::starts_text(starts) });
        call.arg(u64::from(starts.day_minute));
        let limits = Limits { starts, ..Limits::default() };
        let day = day.map(|now| Watched { scope, limits: &limits, now, members: Vec::new() });
        call.optional(day.map(|day| day.meter(shared).day_field()));
        call.arg(*tokens);
        call.arg(money.as_nanos());
        call.arg(money.to_string());
        if let LimitScope::Key(key) = scope {
            let [start, _, tokens, cost] = keyspace.window(key);
            call.name(start);
            call.name(tokens);
            call.name(cost);
            call.name(keyspace.key(key.as_str()));
            call.arg(format!("{}/{}", starts.week_day, starts.week_hour));
        }
    }
}

impl InScope {
    /// When its days and weeks begin, and a moment of its present day if anything counts in it.
    fn day(&self, batch: &[&Prepared], learned: &[Part]) -> (PeriodStarts, Option<Timestamp>) {
        let members = || self.members.iter().filter_map(|at| batch.get(*at));
        let starts = members().next().map(|prepared| starts_of(&self.scope, prepared, learned));
        let counted = members().filter(|prepared| prepared.counted.is_some());
        (starts.unwrap_or_default(), counted.map(|prepared| prepared.settlement.now).max())
    }
}

/// When a scope's days and weeks begin: as its hold, its meter or the key itself says, if that was read, the last
/// of them before the others, or as the settlement knows itself.
fn starts_of(scope: &LimitScope, prepared: &Prepared, learned: &[Part]) -> PeriodStarts {
    let part = learned.iter().rfind(|part| part.scope == *scope);
    part.map_or_else(|| prepared.starts(scope).unwrap_or_default(), |part| part.starts)
}

/// The budgets of a batch whose thresholds are watched, each once for the same periods.
fn watched<'a>(batch: &[&'a Prepared], scopes: &[InScope], calendar: Calendar) -> Vec<Watched<'a>> {
    let mut all: Vec<Watched<'a>> = Vec::new();
    for prepared in batch {
        let Settlement { budgets, now, .. } = &prepared.settlement;
        for (scope, limits) in budgets.iter().filter(|(_, limits)| limits.has_budget()) {
            let watched = Watched { scope, limits, now: *now, members: Vec::new() };
            if all.iter().any(|known| known.is_same(&watched, calendar)) {
                continue;
            }
            let members = scopes.iter().find(|entry| entry.scope == *scope);
            let members = members.map(|entry| entry.members.clone()).unwrap_or_default();
            all.push(Watched { members, ..watched });
        }
    }
    all
}
