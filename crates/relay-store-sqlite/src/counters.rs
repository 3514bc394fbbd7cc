//! Counters of usage: added up in memory over many requests, so that each counter is written once.

use std::collections::HashMap;

use relay_domain::{
    Calendar, NanoUsd, Period, PeriodKind, RequestRecord, Timestamp, TokenCount, TokenUsage,
};
use relay_store::{Correction, Counted, UsageScope, UsageTotals};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::stored::millis;

/// `SQLite` makes a floating-point number of a sum that does not fit; `min` and `max` take it back to the
/// nearest whole one.
const ADD: &str = "
    INSERT INTO usage (kind, period, scope, id, requests, input, output, cache_read, cache_write_5m,
        cache_write_1h, cost, unpriced_requests, last_at, charged, claude, presumed)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
    ON CONFLICT DO UPDATE SET
        requests = requests + excluded.requests,
        input = min(input + excluded.input, 9223372036854775807),
        output = min(output + excluded.output, 9223372036854775807),
        cache_read = min(cache_read + excluded.cache_read, 9223372036854775807),
        cache_write_5m = min(cache_write_5m + excluded.cache_write_5m, 9223372036854775807),
        cache_write_1h = min(cache_write_1h + excluded.cache_write_1h, 9223372036854775807),
        cost = max(min(cost + excluded.cost, 9223372036854775807), -9223372036854775807),
        unpriced_requests = unpriced_requests + excluded.unpriced_requests,
        last_at = max(last_at, excluded.last_at),
        charged = max(min(charged + excluded.charged, 9223372036854775807), -9223372036854775807),
        claude = max(min(claude + excluded.claude, 9223372036854775807), -9223372036854775807),
        presumed = max(min(presumed + excluded.presumed, 9223372036854775807), -9223372036854775807)";

const READ: &str = "
    SELECT requests, input, output, cache_read, cache_write_5m, cache_write_1h, cost,
        unpriced_requests, charged
    FROM usage WHERE kind = ?1 AND period = ?2 AND scope = ?3 AND id = ?4";

/// The usage of some requests.
pub(crate) struct Counters {
    calendar: Calendar,
    /// By scope and hour: from the hour follow the day, the month and the total.
    added: HashMap<(UsageScope, Period), Added>,
}

#[derive(Default)]
struct Added {
    totals: UsageTotals,
    /// What counts on a budget of Claude models.
    claude: NanoUsd,
    /// What the budgets of an account count beside the cost.
    presumed: NanoUsd,
    last_at: Timestamp,
}

impl Counters {
    /// Nothing yet.
    pub(crate) fn new(calendar: Calendar) -> Self {
        Self { calendar, added: HashMap::new() }
    }

    /// Counts a request that ended at `now` for its key, its account, its model and its group.
    pub(crate) fn count(&mut self, record: &RequestRecord, now: Timestamp) {
        let hour = self.calendar.period(PeriodKind::Hour, now);
        let cost = record.cost.unwrap_or(NanoUsd::ZERO);
        let charged = record.charged.unwrap_or(NanoUsd::ZERO);
        let presumed = record.presumed_cost.unwrap_or(NanoUsd::ZERO);
        let is_claude = record.is_claude();
        for scope in scopes(record) {
            let (on_budget, beside) = on_budget(&scope, (cost, charged), presumed);
            let Added { totals, claude, presumed, last_at } =
                self.added.entry((scope, hour)).or_default();
            totals.requests += 1;
            totals.tokens = totals.tokens + record.usage;
            totals.cost = totals.cost + cost;
            totals.charged = totals.charged + charged;
            totals.unpriced_requests += u64::from(record.cost.is_none());
            if is_claude {
                *claude = *claude + on_budget;
            }
            *presumed = *presumed + beside;
            *last_at = now.max(*last_at);
        }
    }

    /// Adds what other requests have used.
    pub(crate) fn merge(&mut self, other: Self) {
        for (name, Added { totals, claude, presumed, last_at }) in other.added {
            let added = self.added.entry(name).or_default();
            let sum = &mut added.totals;
            sum.requests += totals.requests;
            sum.tokens = sum.tokens + totals.tokens;
            sum.cost = sum.cost + totals.cost;
            sum.charged = sum.charged + totals.charged;
            sum.unpriced_requests += totals.unpriced_requests;
            added.claude = added.claude + claude;
            added.presumed = added.presumed + presumed;
            added.last_at = last_at.max(added.last_at);
        }
    }

    /// Adds all of it to the stored counters.
    pub(crate) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        if self.added.is_empty() {
            return Ok(());
        }
        let mut add = connection.prepare_cached(ADD)?;
        for ((scope, _), Added { totals, claude, presumed, last_at }) in &self.added {
            let (scope, id) = columns(scope);
            let tokens = totals.tokens;
            for period in self.calendar.periods(*last_at) {
                add.execute(params![
                    kind_number(period.kind()),
                    period.to_string(),
                    scope,
                    id,
                    whole(totals.requests),
                    whole(tokens.input.get()),
                    whole(tokens.output.get()),
                    whole(tokens.cache_read.get()),
                    whole(tokens.cache_write_5m.get()),
                    whole(tokens.cache_write_1h.get()),
                    totals.cost.as_nanos(),
                    whole(totals.unpriced_requests),
                    millis(*last_at),
                    totals.charged.as_nanos(),
                    claude.as_nanos(),
                    presumed.as_nanos(),
                ])?;
            }
        }
        Ok(())
    }
}

/// What `scope` used in `period`.
pub(crate) fn totals(
    connection: &Connection,
    scope: &UsageScope,
    period: Period,
) -> rusqlite::Result<UsageTotals> {
    let (scope, id) = columns(scope);
    let mut read = connection.prepare_cached(READ)?;
    let key = params![kind_number(period.kind()), period.to_string(), scope, id];
    let found = read.query_row(key, |row| {
        let number = |column: usize| -> rusqlite::Result<u64> {
            Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
        };
        let tokens = |column: usize| number(column).map(TokenCount::new);
        Ok(UsageTotals {
            requests: number(0)?,
            tokens: TokenUsage {
                input: tokens(1)?,
                output: tokens(2)?,
                cache_read: tokens(3)?,
                cache_write_5m: tokens(4)?,
                cache_write_1h: tokens(5)?,
            },
            cost: NanoUsd::from_nanos(row.get(6)?),
            charged: NanoUsd::from_nanos(row.get(8)?),
            unpriced_requests: number(7)?,
        })
    });
    Ok(found.optional()?.unwrap_or_default())
}

/// All that is counted of `scope` in `period`.
pub(crate) fn counted(
    connection: &Connection,
    scope: UsageScope,
    period: Period,
) -> rusqlite::Result<Counted> {
    let totals = totals(connection, &scope, period)?;
    let (kind, id) = columns(&scope);
    let mut read = connection.prepare_cached(
        "SELECT claude, presumed FROM usage
         WHERE kind = ?1 AND period = ?2 AND scope = ?3 AND id = ?4",
    )?;
    let key = params![kind_number(period.kind()), period.to_string(), kind, id];
    let found = read.query_row(key, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (claude, presumed) = found.unwrap_or_default();
    let (claude, presumed) = (NanoUsd::from_nanos(claude), NanoUsd::from_nanos(presumed));
    Ok(Counted { scope, period, totals, claude, presumed })
}

/// Stores a counter that was counted elsewhere, unless there is one. It dates no use.
pub(crate) fn add_absent(connection: &Connection, counted: &Counted) -> rusqlite::Result<bool> {
    let Counted { scope, period, totals, claude, presumed } = counted;
    let (scope, id) = columns(scope);
    let tokens = totals.tokens;
    let mut add = connection.prepare_cached(
        "INSERT INTO usage (kind, period, scope, id, requests, input, output, cache_read,
            cache_write_5m, cache_write_1h, cost, unpriced_requests, last_at, charged, claude, presumed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0, ?13, ?14, ?15)
         ON CONFLICT DO NOTHING",
    )?;
    let added = add.execute(params![
        kind_number(period.kind()),
        period.to_string(),
        scope,
        id,
        whole(totals.requests),
        whole(tokens.input.get()),
        whole(tokens.output.get()),
        whole(tokens.cache_read.get()),
        whole(tokens.cache_write_5m.get()),
        whole(tokens.cache_write_1h.get()),
        totals.cost.as_nanos(),
        whole(totals.unpriced_requests),
        totals.charged.as_nanos(),
        claude.as_nanos(),
        presumed.as_nanos(),
    ])?;
    Ok(0 < added)
}

/// Moves every counter that is still kept, of those in which a request counts that is corrected.
pub(crate) fn correct(
    connection: &Connection,
    correction: &Correction,
    calendar: Calendar,
) -> rusqlite::Result<()> {
    let (before, after) = (correction.before(), &correction.after());
    let difference = |after: Option<NanoUsd>, before: Option<NanoUsd>| {
        after.unwrap_or_default() - before.unwrap_or_default()
    };
    let cost = difference(after.cost, before.cost);
    let charged = difference(after.charged, before.charged);
    let presumed = difference(after.presumed_cost, before.presumed_cost);
    let unpriced = i64::from(after.cost.is_none()) - i64::from(before.cost.is_none());
    let mut add = connection.prepare_cached(
        "UPDATE usage SET
             cost = max(min(cost + ?5, 9223372036854775807), -9223372036854775807),
             charged = max(min(charged + ?6, 9223372036854775807), -9223372036854775807),
             claude = max(min(claude + ?7, 9223372036854775807), -9223372036854775807),
             unpriced_requests = max(unpriced_requests + ?8, 0),
             presumed = max(min(presumed + ?9, 9223372036854775807), -9223372036854775807)
         WHERE kind = ?1 AND period = ?2 AND scope = ?3 AND id = ?4",
    )?;
    for scope in scopes(before) {
        let (on_budget, beside) = on_budget(&scope, (cost, charged), presumed);
        let claude = if before.is_claude() { on_budget } else { NanoUsd::ZERO };
        let (scope, id) = columns(&scope);
        for period in calendar.periods(correction.counted_at()) {
            add.execute(params![
                kind_number(period.kind()),
                period.to_string(),
                scope,
                id,
                cost.as_nanos(),
                charged.as_nanos(),
                claude.as_nanos(),
                unpriced,
                beside.as_nanos(),
            ])?;
        }
    }
    Ok(())
}

/// What counts on the budgets of `scope`, and what of it is in none of the other sums.
fn on_budget(
    scope: &UsageScope,
    (cost, charged): (NanoUsd, NanoUsd),
    presumed: NanoUsd,
) -> (NanoUsd, NanoUsd) {
    match scope {
        UsageScope::Account(_) => (cost + presumed, presumed),
        UsageScope::Key(_) | UsageScope::Group(_) | UsageScope::Model(_) => {
            (charged, NanoUsd::ZERO)
        }
    }
}

/// Whose usage a request counts as.
fn scopes(record: &RequestRecord) -> impl Iterator<Item = UsageScope> + use<> {
    let model = record.served_model.as_ref().unwrap_or(&record.model);
    let scopes = [
        Some(UsageScope::Key(record.key.clone())),
        record.account.clone().map(UsageScope::Account),
        Some(UsageScope::Model(model.clone())),
        record.group.clone().map(UsageScope::Group),
    ];
    scopes.into_iter().flatten()
}

/// Drops counters of hours and days that ended long before `now`; months and totals are kept.
pub(crate) fn prune(
    connection: &Connection,
    calendar: Calendar,
    now: Timestamp,
) -> rusqlite::Result<()> {
    const KEPT: [(PeriodKind, u64); 2] = [(PeriodKind::Hour, 35), (PeriodKind::Day, 400)];
    let mut drop_before =
        connection.prepare_cached("DELETE FROM usage WHERE kind = ?1 AND period < ?2")?;
    for (kind, days) in KEPT {
        let oldest = now.as_millis().saturating_sub(days * 24 * 3_600_000);
        let oldest = calendar.period(kind, Timestamp::from_millis(oldest));
        drop_before.execute(params![kind_number(kind), oldest.to_string()])?;
    }
    Ok(())
}

fn columns(scope: &UsageScope) -> (i64, &str) {
    match scope {
        UsageScope::Key(id) => (KEY_SCOPE, id.as_str()),
        UsageScope::Account(id) => (ACCOUNT_SCOPE, id.as_str()),
        UsageScope::Model(name) => (2, name.as_str()),
        UsageScope::Group(id) => (GROUP_SCOPE, id.as_str()),
    }
}

/// `usage.scope` of API keys.
pub(crate) const KEY_SCOPE: i64 = 0;
/// `usage.scope` of accounts.
pub(crate) const ACCOUNT_SCOPE: i64 = 1;
/// `usage.scope` of groups.
pub(crate) const GROUP_SCOPE: i64 = 3;

/// `usage.kind` of a period.
pub(crate) fn kind_number(kind: PeriodKind) -> i64 {
    match kind {
        PeriodKind::Total => 0,
        PeriodKind::Month => 1,
        PeriodKind::Day => 2,
        PeriodKind::Hour => 3,
    }
}

/// A number as a column has it.
pub(crate) fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
