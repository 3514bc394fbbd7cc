//! What limits need of the file: what was spent in the periods of budgets, rate windows, and when limits
//! were last started anew.

use std::collections::HashMap;

use relay_domain::{
    AccountId, Calendar, GroupId, KeyId, LimitPeriod, LimitPeriodKind, LimitScope, NanoUsd, Period,
    PeriodKind, Timestamp,
};
use relay_store::StoreError;
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};

use crate::counters::{ACCOUNT_SCOPE, GROUP_SCOPE, KEY_SCOPE, kind_number, whole};
use crate::error::{SqliteError, corrupt};
use crate::own_days;
use crate::spent::{Amount, InPeriod, Spent, Unread};
use crate::stored::{millis, moment};
use crate::windows::Window;

const HOUR_MS: u64 = 3_600_000;
/// How long the days of an account are kept that do not begin on the hour.
const OWN_DAYS_KEPT: u64 = 3;
/// How long what keys were charged in weeks is kept that was not counted here.
const OWN_WEEKS_KEPT: u64 = 2;

/// What `unread` asks for. To be run by the writer, so that memory learns it before the next commit.
pub(crate) fn read_spent(
    connection: &Connection,
    calendar: Calendar,
    unread: &Unread,
) -> Result<Spent, SqliteError> {
    let Unread { scope, starts, with_week, now } = unread;
    let all_time = counted(connection, scope, &[Period::Total])?;
    let restart = read_restart(connection, scope)?;
    let (restarted_at, before) = restart.unwrap_or_default();
    let total = all_time.minus(before);
    let read = |kind| -> Result<InPeriod, SqliteError> {
        let period = calendar.limit_period(kind, *starts, *now);
        let amount = if restart.is_some() && period.starts_at <= restarted_at {
            // All that was counted since lies in the period.
            total
        } else {
            spent_in(connection, calendar, scope, &period)?
        };
        Ok(InPeriod { period, amount })
    };
    Ok(Spent {
        starts: *starts,
        total,
        month: read(LimitPeriodKind::Month)?,
        day: read(LimitPeriodKind::Day)?,
        week: with_week.then(|| read(LimitPeriodKind::Week)).transpose()?,
    })
}

/// What was counted in a period that has not ended. The counters must be up to date.
pub(crate) fn spent_in(
    connection: &Connection,
    calendar: Calendar,
    scope: &LimitScope,
    period: &LimitPeriod,
) -> Result<Amount, SqliteError> {
    if let LimitPeriodKind::Month = period.kind {
        return counted(connection, scope, &[calendar.period(PeriodKind::Month, period.starts_at)]);
    }
    if let LimitScope::Account(account) = scope
        && !period.begins_on_the_hour()
        && let Some(all) = own_days::kept(connection, account, period)?
    {
        return Ok(Amount { all, ..Amount::default() });
    }
    // What is yet to come counts nothing.
    let until = period.ends_at.unwrap_or(period.starts_at);
    let parts = calendar.hours_then_days(period.starts_at, until);
    let mut amount = counted(connection, scope, &parts)?;
    if let Some(&part) = parts.first().filter(|_| !period.begins_on_the_hour())
        && counted(connection, scope, &[part])? != Amount::default()
    {
        let before = own_days::spent_before(connection, calendar, scope, (part, period))?;
        amount.all = amount.all - before;
    }
    if let (LimitPeriodKind::Week, LimitScope::Key(key)) = (period.kind, scope) {
        amount.claude = amount.claude + claude_week(connection, key, period)?;
    }
    Ok(amount)
}

/// What a key was charged for Claude models in a week, beyond what was counted.
fn claude_week(
    connection: &Connection,
    key: &KeyId,
    week: &LimitPeriod,
) -> Result<NanoUsd, SqliteError> {
    let mut read = connection
        .prepare_cached("SELECT charged FROM claude_week WHERE key = ?1 AND week = ?2")?;
    let found = read.query_row(params![key.as_str(), week.to_string()], |row| row.get(0));
    Ok(NanoUsd::from_nanos(found.optional()?.unwrap_or(0)))
}

/// Keeps what a key was charged for Claude models in a week beyond what was counted, unless something is
/// kept already, which is `false`. Nothing is nothing to keep.
pub(crate) fn add_claude_week(
    connection: &Connection,
    key: &KeyId,
    week: &LimitPeriod,
    amount: NanoUsd,
) -> rusqlite::Result<bool> {
    if amount <= NanoUsd::ZERO {
        return Ok(true);
    }
    let mut add = connection.prepare_cached(
        "INSERT INTO claude_week (key, week, charged) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
    )?;
    Ok(0 < add.execute(params![key.as_str(), week.to_string(), amount.as_nanos()])?)
}

/// What `scope` has counted in all of these periods together.
fn counted(
    connection: &Connection,
    scope: &LimitScope,
    periods: &[Period],
) -> Result<Amount, SqliteError> {
    let (number, id) = columns(scope);
    let mut read = connection.prepare_cached(
        "SELECT iif(?3 = 1, cost + presumed, charged), claude FROM usage
         WHERE kind = ?1 AND period = ?2 AND scope = ?3 AND id = ?4",
    )?;
    let mut sum = Amount::default();
    for period in periods {
        let key = params![kind_number(period.kind()), period.to_string(), number, id];
        let found = read.query_row(key, |row| {
            Ok(Amount {
                all: NanoUsd::from_nanos(row.get(0)?),
                claude: NanoUsd::from_nanos(row.get(1)?),
            })
        });
        sum = sum.plus(found.optional()?.unwrap_or_default());
    }
    Ok(sum)
}

/// When the limits of `scope` were last started anew, and what had been counted until then.
pub(crate) fn read_restart(
    connection: &Connection,
    scope: &LimitScope,
) -> Result<Option<(Timestamp, Amount)>, SqliteError> {
    let (number, id) = columns(scope);
    let mut read = connection.prepare_cached(
        "SELECT restarted_at, spent, claude FROM limit_restart WHERE scope = ?1 AND id = ?2",
    )?;
    let found = read.query_row(params![number, id], |row| {
        let amount = Amount {
            all: NanoUsd::from_nanos(row.get(1)?),
            claude: NanoUsd::from_nanos(row.get(2)?),
        };
        Ok((moment(row.get(0)?), amount))
    });
    Ok(found.optional()?)
}

/// Starts the limits of `scope` anew. To be run by the writer; then memory has to forget what it knows.
pub(crate) fn restart(
    connection: &mut Connection,
    scope: &LimitScope,
    now: Timestamp,
) -> Result<(), SqliteError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (number, id) = columns(scope);
    let until_now = counted(&transaction, scope, &[Period::Total])?;
    transaction.execute(
        "INSERT OR REPLACE INTO limit_restart (scope, id, restarted_at, spent, claude)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![number, id, millis(now), until_now.all.as_nanos(), until_now.claude.as_nanos()],
    )?;
    transaction
        .execute("DELETE FROM rate_window WHERE scope = ?1 AND id = ?2", params![number, id])?;
    transaction.commit()?;
    Ok(())
}

/// Keeps that the limits of `scope` were started anew elsewhere. `false`, with nothing done: they were here,
/// too, or more had been spent then than was counted here at all.
pub(crate) fn add_restart(
    connection: &Connection,
    scope: &LimitScope,
    at: Timestamp,
    before: Amount,
) -> Result<bool, SqliteError> {
    if counted(connection, scope, &[Period::Total])?.all < before.all {
        return Ok(false);
    }
    let (number, id) = columns(scope);
    let mut add = connection.prepare_cached(
        "INSERT INTO limit_restart (scope, id, restarted_at, spent, claude)
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
    )?;
    let (all, claude) = (before.all.as_nanos(), before.claude.as_nanos());
    Ok(0 < add.execute(params![number, id, millis(at), all, claude])?)
}

/// Moves what had been counted when the limits of `scope` were last started anew, if a request that is
/// corrected had been counted by then: it weighs on none of them afterwards either.
pub(crate) fn correct_restart(
    connection: &Connection,
    scope: &LimitScope,
    difference: Amount,
    counted_at: Timestamp,
) -> rusqlite::Result<()> {
    let mut correct = connection.prepare_cached(
        "UPDATE limit_restart SET
             spent = max(min(spent + ?3, 9223372036854775807), -9223372036854775807),
             claude = max(min(claude + ?4, 9223372036854775807), -9223372036854775807)
         WHERE scope = ?1 AND id = ?2 AND ?5 <= restarted_at",
    )?;
    let (number, id) = columns(scope);
    let (all, claude) = (difference.all.as_nanos(), difference.claude.as_nanos());
    correct.execute(params![number, id, all, claude, millis(counted_at)]).map(drop)
}

/// Every window in the file.
pub(crate) fn read_windows(
    connection: &Connection,
) -> Result<HashMap<LimitScope, Window>, StoreError> {
    let mut read = connection
        .prepare("SELECT opened_at, ends_at, requests, tokens, cost, scope, id FROM rate_window")
        .map_err(SqliteError::from)?;
    let rows = read
        .query_map([], |row| Ok((row.get(5)?, row.get(6)?, window(row)?)))
        .map_err(SqliteError::from)?;
    let scoped = |row: rusqlite::Result<(i64, String, Window)>| {
        let (number, id, window) = row.map_err(SqliteError::from)?;
        Ok((scope_of(number, &id)?, window))
    };
    rows.map(scoped).collect()
}

/// The window of `scope`, as the file has it.
pub(crate) fn read_window(
    connection: &Connection,
    scope: &LimitScope,
) -> Result<Option<Window>, SqliteError> {
    let mut read = connection.prepare_cached(
        "SELECT opened_at, ends_at, requests, tokens, cost FROM rate_window
         WHERE scope = ?1 AND id = ?2",
    )?;
    let (number, id) = columns(scope);
    Ok(read.query_row(params![number, id], window).optional()?)
}

/// Writes windows as memory has them.
pub(crate) fn write_windows(
    connection: &Connection,
    windows: &[(LimitScope, Window)],
) -> rusqlite::Result<()> {
    if windows.is_empty() {
        return Ok(());
    }
    let mut write = connection.prepare_cached(
        "INSERT OR REPLACE INTO rate_window (scope, id, opened_at, ends_at, requests, tokens, cost)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for (scope, window) in windows {
        let (number, id) = columns(scope);
        write.execute(params![
            number,
            id,
            millis(window.opened_at),
            millis(window.ends_at),
            whole(window.requests),
            whole(window.tokens),
            window.cost.as_nanos(),
        ])?;
    }
    Ok(())
}

/// Keeps a window that was opened elsewhere, unless there is one, which is `false`.
pub(crate) fn add_window(
    connection: &Connection,
    scope: &LimitScope,
    window: &Window,
) -> Result<bool, SqliteError> {
    if read_window(connection, scope)?.is_some() {
        return Ok(false);
    }
    write_windows(connection, &[(scope.clone(), *window)])?;
    Ok(true)
}

/// Counts what a request that ended at `now` came to in the window of `scope`, if that is still open.
pub(crate) fn count_in_window(
    connection: &Connection,
    scope: &LimitScope,
    (tokens, cost): (u64, NanoUsd),
    now: Timestamp,
) -> rusqlite::Result<()> {
    let mut add = connection.prepare_cached(
        "UPDATE rate_window SET
             tokens = min(tokens + ?3, 9223372036854775807),
             cost = max(min(cost + ?4, 9223372036854775807), -9223372036854775807)
         WHERE scope = ?1 AND id = ?2 AND ?5 < ends_at",
    )?;
    let (number, id) = columns(scope);
    add.execute(params![number, id, whole(tokens), cost.as_nanos(), millis(now)]).map(drop)
}

/// Drops windows that have ended by `now`, and days of accounts and weeks of keys that did so long before.
pub(crate) fn prune(
    connection: &Connection,
    calendar: Calendar,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM rate_window WHERE ends_at <= ?1")?
        .execute([millis(now)])?;
    let before = now.as_millis().saturating_sub(OWN_DAYS_KEPT * 24 * HOUR_MS);
    let day = calendar.period(PeriodKind::Day, Timestamp::from_millis(before));
    connection
        .prepare_cached("DELETE FROM account_day WHERE day < ?1")?
        .execute([day.to_string()])?;
    let before = now.as_millis().saturating_sub(OWN_WEEKS_KEPT * 7 * 24 * HOUR_MS);
    let day = calendar.period(PeriodKind::Day, Timestamp::from_millis(before));
    connection
        .prepare_cached("DELETE FROM claude_week WHERE week < ?1")?
        .execute([day.to_string()])?;
    Ok(())
}

fn window(row: &Row<'_>) -> rusqlite::Result<Window> {
    let number = |column: usize| -> rusqlite::Result<u64> {
        Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
    };
    Ok(Window {
        opened_at: moment(row.get(0)?),
        ends_at: moment(row.get(1)?),
        requests: number(2)?,
        tokens: number(3)?,
        cost: NanoUsd::from_nanos(row.get(4)?),
    })
}

fn columns(scope: &LimitScope) -> (i64, &str) {
    match scope {
        LimitScope::Key(id) => (KEY_SCOPE, id.as_str()),
        LimitScope::Account(id) => (ACCOUNT_SCOPE, id.as_str()),
        LimitScope::Group(id) => (GROUP_SCOPE, id.as_str()),
    }
}

fn scope_of(number: i64, id: &str) -> Result<LimitScope, StoreError> {
    let scope = match number {
        KEY_SCOPE => KeyId::try_from(id).map(LimitScope::Key),
        ACCOUNT_SCOPE => AccountId::try_from(id).map(LimitScope::Account),
        GROUP_SCOPE => GroupId::try_from(id).map(LimitScope::Group),
        _ => return Err(corrupt(format!("the rate window of {id}"), "nobody has such")),
    };
    scope.map_err(|why| corrupt(format!("the rate window of {id}"), why))
}
