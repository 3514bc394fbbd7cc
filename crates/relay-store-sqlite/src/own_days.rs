//! What accounts have spent in days that do not begin on the hour, which counters of hours alone cannot tell.
//! Nobody else has such days.
//!
//! Such a day is kept in a row from the first request on that counts in it and was given to its account while
//! its days began so. Before, and after a change of that beginning, it is added up from counters and records.

use std::time::Duration;

use relay_domain::{
    AccountId, Calendar, LimitPeriod, LimitPeriodKind, LimitScope, NanoUsd, Period, PeriodStarts,
    RequestRecord, Timestamp,
};
use relay_store::StoredRecord;
use relay_store::budgets::spent_by;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::error::SqliteError;
use crate::stored::moment;

/// By how much the records of requests may be out of the order in which these ended.
const OUT_OF_ORDER: Duration = Duration::from_mins(1);

/// What is kept of such a day, if anything is.
pub(crate) fn kept(
    connection: &Connection,
    account: &AccountId,
    day: &LimitPeriod,
) -> rusqlite::Result<Option<NanoUsd>> {
    let mut read = connection
        .prepare_cached("SELECT cost FROM account_day WHERE account = ?1 AND day = ?2")?;
    let found = read.query_row(params![account.as_str(), day.to_string()], |row| row.get(0));
    Ok(found.optional()?.map(NanoUsd::from_nanos))
}

/// Keeps what an account has spent in such a day, unless something is kept already, which is `false`.
pub(crate) fn keep(
    connection: &Connection,
    account: &AccountId,
    day: &LimitPeriod,
    cost: NanoUsd,
) -> rusqlite::Result<bool> {
    let mut add = connection.prepare_cached(
        "INSERT INTO account_day (account, day, cost) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
    )?;
    Ok(0 < add.execute(params![account.as_str(), day.to_string(), cost.as_nanos()])?)
}

/// Whether any such day is kept: hardly any account has one.
pub(crate) fn are_kept(connection: &Connection) -> rusqlite::Result<bool> {
    let mut read = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM account_day)")?;
    read.query_row([], |row| row.get(0))
}

/// Counts `cost` in all days of an account that are kept and in which `moment` lies: one for each beginning
/// that its days have had lately, for it may have that again.
pub(crate) fn count(
    connection: &Connection,
    account: &AccountId,
    cost: NanoUsd,
    (calendar, moment): (Calendar, Timestamp),
) -> rusqlite::Result<()> {
    let days: Vec<String> = connection
        .prepare_cached("SELECT day FROM account_day WHERE account = ?1")?
        .query_map([account.as_str()], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut add = connection.prepare_cached(
        "UPDATE account_day SET
             cost = max(min(cost + ?3, 9223372036854775807), -9223372036854775807)
         WHERE account = ?1 AND day = ?2",
    )?;
    for day in days {
        let Some(day_minute) = minute_of(&day) else { continue };
        let starts = PeriodStarts { day_minute, ..PeriodStarts::default() };
        if calendar.limit_period(LimitPeriodKind::Day, starts, moment).to_string() == day {
            add.execute(params![account.as_str(), day, cost.as_nanos()])?;
        }
    }
    Ok(())
}

/// What `scope` has spent in `part`, in which `day` begins, before it did, by the records that there are.
/// Without those this is too little, and the day has rather too much than too little.
pub(crate) fn spent_before(
    connection: &Connection,
    calendar: Calendar,
    scope: &LimitScope,
    (part, day): (Period, &LimitPeriod),
) -> Result<NanoUsd, SqliteError> {
    let LimitScope::Account(account) = scope else { return Ok(NanoUsd::ZERO) };
    let is_before = |moment: Timestamp| moment < day.starts_at;
    let is_in_part = |moment: Timestamp| calendar.period(part.kind(), moment) == part;
    let mut read = connection.prepare_cached(
        "SELECT counted_at, iif(account_id = ?1, record, NULL) FROM request
         WHERE counted_at IS NOT NULL ORDER BY seq DESC",
    )?;
    let mut rows = read.query([account.as_str()])?;
    let mut spent = NanoUsd::ZERO;
    while let Some(row) = rows.next()? {
        let counted_at = moment(row.get(0)?);
        let at_latest = counted_at.plus(OUT_OF_ORDER);
        if is_before(at_latest) && !is_in_part(at_latest) {
            break;
        }
        if !is_before(counted_at) || !is_in_part(counted_at) {
            continue;
        }
        let Some(record) = row.get::<_, Option<String>>(1)? else { continue };
        // One that cannot be read was not counted either.
        if let Ok(form) = serde_json::from_str::<StoredRecord>(&record) {
            spent = spent + spent_by(&RequestRecord::from(form), scope);
        }
    }
    Ok(spent)
}

/// The minute at which a day begins that does not begin at midnight: its name ends in it.
fn minute_of(day: &str) -> Option<u16> {
    let (_, clock) = day.split_once('T')?;
    let (hours, minutes) = clock.split_at_checked(2)?;
    Some(hours.parse::<u16>().ok()? * 60 + minutes.parse::<u16>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_tells_when_it_begins() {
        for (day, minute) in
            [("2025-07-30T0830", Some(510)), ("2025-07-30T2359", Some(1_439)), ("2025-07-30", None)]
        {
            assert_eq!(minute_of(day), minute, "{day}");
        }
    }
}
