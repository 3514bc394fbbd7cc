//! What is known of limits that no counter tells, given and taken in.

use redis::{Pipeline, Value};
use relay_domain::{
    KeyId, LimitPeriod, LimitPeriodKind, LimitScope, Limits, NanoUsd, Period, Timestamp,
};
use relay_store::{
    LimitFacts, LimitRestart, OpenWindow, SpentInPeriod, StoreError, UsageScope, budgets,
};

use super::RedisArchive;
use crate::connection;
use crate::fault;
use crate::guarded_write::GuardedWrite;
use crate::ledger;
use crate::money;

/// How many scopes are asked about in one trip.
const AT_ONCE: usize = 200;
/// How long v1 keeps what a key was charged in a week, in seconds.
const WEEK_FOR_S: &str = "1209600";

/// The fields of a meter that are read of every scope, and what stands in a group's or an account's.
const FIELDS: [&str; 7] = [
    "restartAt",
    "restartSpent",
    "restartClaude",
    "window",
    "windowRequests",
    "windowTokens",
    "windowCost",
];

/// The fields of a counter that count on budgets: what is for Claude models, then all.
const OF_ACCOUNTS: [&str; 3] = ["claudeNano", "costNano", "presumedNano"];
const OF_GROUPS: [&str; 2] = ["claudeNano", "chargedNano"];

impl RedisArchive {
    pub(super) async fn limit_facts(
        &self,
        limits: &[(LimitScope, Limits)],
        now: Timestamp,
    ) -> Result<Vec<LimitFacts>, StoreError> {
        let mut all = Vec::new();
        for limits in limits.chunks(AT_ONCE) {
            let mut pipeline = Pipeline::with_capacity(3 * limits.len());
            for (scope, limits) in limits {
                self.ask(scope, limits, now, &mut pipeline);
            }
            let mut answers = self.shared.pool.send(&pipeline).await?.into_iter();
            for (scope, limits) in limits {
                let facts = self.told(scope, limits, now, &mut answers)?;
                all.extend(Some(facts).filter(|facts| !facts.are_none()));
            }
        }
        Ok(all)
    }

    /// What [`told`](Self::told) reads: of every scope the meter and a sum, of a key its window, too.
    fn ask(&self, scope: &LimitScope, limits: &Limits, now: Timestamp, pipeline: &mut Pipeline) {
        let keyspace = &self.shared.keyspace;
        pipeline.cmd("HMGET").arg(keyspace.meter(scope)).arg(&FIELDS);
        pipeline.arg(
            self.own_day(scope, limits, now)
                .map_or_else(String::new, |day| ledger::day_field(limits.starts.day_minute, &day)),
        );
        match scope {
            LimitScope::Key(key) => {
                pipeline.cmd("GET").arg(self.week_name(key, limits, now).1);
                pipeline.cmd("MGET").arg(&keyspace.window(key));
            }
            LimitScope::Account(account) => {
                let counter =
                    keyspace.counter(&UsageScope::Account(account.clone()), Period::Total);
                pipeline.cmd("HMGET").arg(counter).arg(&OF_ACCOUNTS);
            }
            LimitScope::Group(_) => {}
        }
    }

    fn told(
        &self,
        scope: &LimitScope,
        limits: &Limits,
        now: Timestamp,
        answers: &mut impl Iterator<Item = Value>,
    ) -> Result<LimitFacts, StoreError> {
        let mut next =
            || answers.next().ok_or_else(|| fault::unexpected("what is known of limits"));
        let meter: Vec<Option<String>> = connection::read(next()?, "HMGET")?;
        let field = |position: usize| meter.get(position).and_then(Option::as_deref);
        let mut facts = LimitFacts::none_of(scope.clone());
        facts.restart = moment(field(0)).map(|at| LimitRestart {
            at,
            spent: nanos(field(1)),
            claude: nanos(field(2)),
        });
        let window = match scope {
            LimitScope::Key(key) => {
                let charged: Option<String> = connection::read(next()?, "GET")?;
                let amount = dollars(charged.as_deref());
                let (week, _) = self.week_name(key, limits, now);
                facts.claude_week = spent(limits, &week, amount);
                let window: Vec<Option<String>> = connection::read(next()?, "MGET")?;
                let part = |position: usize| window.get(position).and_then(Option::as_deref);
                moment(part(0)).map(|start| (start, part(1), part(2), dollars(part(3)))).map(
                    |(start, requests, tokens, cost)| (start, whole(requests), whole(tokens), cost),
                )
            }
            LimitScope::Account(_) | LimitScope::Group(_) => moment(field(3))
                .map(|start| (start, whole(field(4)), whole(field(5)), nanos(field(6)))),
        };
        if let LimitScope::Account(_) = scope {
            let (all, _) = counted(next()?)?;
            if let (Some(day), Some(before)) = (self.own_day(scope, limits, now), field(7)) {
                facts.own_day = spent(limits, &day, all - nanos(Some(before)));
            }
        }
        let length = budgets::window_millis(limits);
        facts.window =
            window.zip(length).and_then(|((opened_at, requests, tokens, cost), length)| {
                let ends_at = Timestamp::from_millis(opened_at.as_millis().saturating_add(length));
                let window = OpenWindow { opened_at, ends_at, requests, tokens, cost };
                (now < ends_at).then_some(window)
            });
        Ok(facts)
    }

    pub(super) async fn take_limit_facts(
        &self,
        facts: &LimitFacts,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let LimitFacts { scope, window, restart, own_day, claude_week } = facts;
        let mut is_free = true;
        if let Some(window) = window {
            is_free &= self.take_window(scope, window, now).await?;
        }
        if let Some(restart) = restart {
            is_free &= self.take_restart(scope, restart).await?;
        }
        if let (LimitScope::Account(_), Some(spent)) = (scope, own_day) {
            is_free &= self.take_own_day(scope, spent, now).await?;
        }
        if let (LimitScope::Key(key), Some(SpentInPeriod { starts, starts_at, amount })) =
            (scope, claude_week)
        {
            let limits = Limits { starts: *starts, ..Limits::default() };
            let (week, name) = self.week_name(key, &limits, *starts_at);
            if week.contains(now) {
                let mut write = GuardedWrite::default();
                write.if_absent(&name);
                write.write("SET", &name, [amount.to_string().as_str(), "EX", WEEK_FOR_S]);
                is_free &= write.run(&self.shared).await?.is_none();
            }
        }
        Ok(is_free)
    }

    async fn take_window(
        &self,
        scope: &LimitScope,
        window: &OpenWindow,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let OpenWindow { opened_at, ends_at, requests, tokens, cost } = window;
        if *ends_at <= now {
            return Ok(true);
        }
        let keyspace = &self.shared.keyspace;
        let start = opened_at.as_millis().to_string();
        let (requests, tokens) = (requests.to_string(), tokens.to_string());
        let mut write = GuardedWrite::default();
        if let LimitScope::Key(key) = scope {
            let left = ends_at.since(now).as_millis().to_string();
            let names = keyspace.window(key);
            if let Some(first) = names.first() {
                write.if_absent(first);
            }
            for (name, value) in names.iter().zip([start, requests, tokens, cost.to_string()]) {
                write.write("SET", name, [value.as_str(), "PX", &left]);
            }
        } else {
            let meter = keyspace.meter(scope);
            write.if_still(&meter, "window", None);
            write.set_fields(
                &meter,
                &[
                    ("window", start),
                    ("windowRequests", requests),
                    ("windowTokens", tokens),
                    ("windowCost", cost.as_nanos().to_string()),
                ],
            );
        }
        Ok(write.run(&self.shared).await?.is_none())
    }

    async fn take_restart(
        &self,
        scope: &LimitScope,
        restart: &LimitRestart,
    ) -> Result<bool, StoreError> {
        let (all, _) = self.spent_in_all(scope).await?;
        if all < restart.spent {
            return Ok(false);
        }
        let meter = self.shared.keyspace.meter(scope);
        let mut write = GuardedWrite::default();
        write.if_still(&meter, "restartAt", None);
        write.set_fields(
            &meter,
            &[
                ("restartAt", restart.at.as_millis().to_string()),
                ("restartSpent", restart.spent.as_nanos().to_string()),
                ("restartClaude", restart.claude.as_nanos().to_string()),
            ],
        );
        Ok(write.run(&self.shared).await?.is_none())
    }

    async fn take_own_day(
        &self,
        scope: &LimitScope,
        spent: &SpentInPeriod,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let SpentInPeriod { starts, starts_at, amount } = spent;
        let limits = Limits { starts: *starts, ..Limits::default() };
        let Some(day) = self.own_day(scope, &limits, *starts_at).filter(|day| day.contains(now))
        else {
            return Ok(true);
        };
        let (all, _) = self.spent_in_all(scope).await?;
        let (meter, field) =
            (self.shared.keyspace.meter(scope), ledger::day_field(starts.day_minute, &day));
        let mut write = GuardedWrite::default();
        write.if_still(&meter, &field, None);
        let before = (all - *amount).as_nanos().to_string();
        write.write("HSET", &meter, [field, before]);
        write.set_fields(&meter, &[("dayMinute", starts.day_minute.to_string())]);
        Ok(write.run(&self.shared).await?.is_none())
    }

    /// What weighs on the budgets of a scope in all, and what of it was for Claude models.
    async fn spent_in_all(&self, scope: &LimitScope) -> Result<(NanoUsd, NanoUsd), StoreError> {
        let keyspace = &self.shared.keyspace;
        let mut pipeline = Pipeline::with_capacity(1);
        let of_hash = |pipeline: &mut Pipeline, scope: UsageScope, fields: &[&str]| {
            pipeline.cmd("HMGET").arg(keyspace.counter(&scope, Period::Total)).arg(fields);
        };
        match scope {
            LimitScope::Key(key) => {
                pipeline.cmd("MGET").arg(keyspace.charged(key, Period::Total));
                pipeline.arg(keyspace.claude_charged(key, None));
            }
            LimitScope::Group(id) => {
                of_hash(&mut pipeline, UsageScope::Group(id.clone()), &OF_GROUPS);
            }
            LimitScope::Account(id) => {
                of_hash(&mut pipeline, UsageScope::Account(id.clone()), &OF_ACCOUNTS);
            }
        }
        let answer = self.shared.pool.send(&pipeline).await?.pop().unwrap_or_default();
        if let LimitScope::Key(_) = scope {
            let (all, claude): (Option<String>, Option<String>) =
                connection::read(answer, "a total")?;
            return Ok((dollars(all.as_deref()), dollars(claude.as_deref())));
        }
        counted(answer)
    }

    /// The day of an account around `moment`, if it does not begin on the hour.
    fn own_day(
        &self,
        scope: &LimitScope,
        limits: &Limits,
        moment: Timestamp,
    ) -> Option<LimitPeriod> {
        let is_own =
            matches!(scope, LimitScope::Account(_)) && !limits.starts.day_minute.is_multiple_of(60);
        let calendar = self.shared.calendar;
        is_own.then(|| calendar.limit_period(LimitPeriodKind::Day, limits.starts, moment))
    }

    /// The week of a key around `moment`, and under which name v1 sums up what it was charged in it.
    fn week_name(&self, key: &KeyId, limits: &Limits, moment: Timestamp) -> (LimitPeriod, String) {
        let calendar = self.shared.calendar;
        let week = calendar.limit_period(LimitPeriodKind::Week, limits.starts, moment);
        let name = self.shared.keyspace.claude_charged(key, Some(&week.to_string()));
        (week, name)
    }
}

fn spent(limits: &Limits, period: &LimitPeriod, amount: NanoUsd) -> Option<SpentInPeriod> {
    let spent = SpentInPeriod { starts: limits.starts, starts_at: period.starts_at, amount };
    (NanoUsd::ZERO < amount).then_some(spent)
}

/// What counts on budgets of what a counter has: what is for Claude models first, then the parts of all.
fn counted(answer: Value) -> Result<(NanoUsd, NanoUsd), StoreError> {
    let fields: Vec<Option<String>> = connection::read(answer, "HMGET")?;
    let mut amounts = fields.iter().map(|field| nanos(field.as_deref()));
    let claude = amounts.next().unwrap_or_default();
    Ok((amounts.fold(NanoUsd::ZERO, |sum, amount| sum + amount), claude))
}

fn moment(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok().map(Timestamp::from_millis)
}

fn whole(text: Option<&str>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn nanos(text: Option<&str>) -> NanoUsd {
    NanoUsd::from_nanos(text.and_then(|text| text.parse().ok()).unwrap_or(0))
}

fn dollars(text: Option<&str>) -> NanoUsd {
    text.and_then(money::parse).unwrap_or(NanoUsd::ZERO)
}
