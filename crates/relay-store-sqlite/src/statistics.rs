//! Statistics: bytes under names, in the form of `relay_store::statistics`.

use relay_domain::{Calendar, Timestamp};
use relay_store::statistics::{
    Change, CommitCells, Fold, Fresh, Hour, Malformed, Plan, Roll, SegmentName, State, Statistics,
    StatisticsQuery, Tallying,
};
use relay_store::{StatisticsProgress, StoreError};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use crate::error::{SqliteError, corrupt};
use crate::store::Core;

/// How many commits' cells are folded in one go.
const FOLDED_AT_ONCE: i64 = 5_000;

/// Appends what a commit has counted to what is to be folded.
pub(crate) fn append(connection: &Connection, cells: &CommitCells) -> rusqlite::Result<()> {
    for Fresh { hour, written } in cells.written() {
        connection
            .prepare_cached("INSERT INTO statistics_fresh (hour, cells) VALUES (?1, ?2)")?
            .execute(params![hour.number(), written])?;
    }
    Ok(())
}

/// Adds up what `query` asks for. To be run in a transaction.
pub(crate) fn answer(
    connection: &Connection,
    query: &StatisticsQuery,
    calendar: Calendar,
) -> Result<Statistics, StoreError> {
    let state = read_state(connection)?;
    let mut sum = Tallying::new(query.clone());
    for piece in Plan::new(query, state.as_ref()).pieces {
        let add = |part: &[u8]| sum.add(piece, part).map(drop);
        each_part(connection, piece.segment, add)?;
    }
    for (_, fresh) in read_fresh(connection, i64::MAX)? {
        sum.add_fresh(&fresh).map_err(malformed_fresh)?;
    }
    sum.finish(calendar).map_err(malformed_fresh)
}

impl Core {
    /// Folds what commits have appended, and makes segments of days and months that are over.
    pub(crate) async fn roll_statistics(&self, now: Timestamp) -> Result<(), StoreError> {
        let now = Hour::of(self.options.calendar, now);
        loop {
            let step = self.long_reads.run(move |connection| next_step(connection, now)).await?;
            let Some(step) = step else { return Ok(()) };
            let write = move |connection: &mut Connection| Ok(step.write(connection)?);
            if !self.queue.run(write).await? {
                // Somebody else is at it.
                return Ok(());
            }
        }
    }
}

/// One change and what it was made from.
struct Step {
    before: Option<State>,
    change: Change,
    /// The last of the appended cells that are in it, and by then may go.
    folded: Option<i64>,
}

/// What is to be done next. To be run in a transaction.
fn next_step(connection: &Connection, now: Hour) -> Result<Option<Step>, StoreError> {
    let before = read_state(connection)?;
    let fresh = read_fresh(connection, FOLDED_AT_ONCE)?;
    let folded = fresh.last().map(|(seq, _)| *seq);
    let fresh: Vec<_> = fresh.into_iter().map(|(_, fresh)| fresh).collect();
    if let Some(mut fold) = Fold::new(before, &fresh, now).map_err(malformed_fresh)? {
        let targets: Vec<_> = fold.targets().collect();
        for segment in targets {
            each_part(connection, segment, |part| fold.add_stored(segment, part))?;
        }
        return Ok(Some(Step { before, change: fold.finish(), folded }));
    }
    let Some(mut roll) = before.as_ref().and_then(|state| Roll::due(state, now)) else {
        return Ok(None);
    };
    for segment in roll.sources().to_vec() {
        each_part(connection, segment, |part| roll.add_stored(part))?;
    }
    Ok(Some(Step { before, change: roll.finish(), folded: None }))
}

impl Step {
    /// `false`: the state is not the one that the change was made from, and nothing is written.
    fn write(&self, connection: &mut Connection) -> Result<bool, SqliteError> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let present = state_text(&transaction)?;
        let expected = self.before.map(|state| serde_json::to_string(&state)).transpose()?;
        if present != expected {
            return Ok(false);
        }
        let state = serde_json::to_string(&self.change.state)?;
        transaction
            .prepare_cached("INSERT OR REPLACE INTO statistics_state (one, state) VALUES (1, ?1)")?
            .execute([state])?;
        let written = self.change.writes.iter().map(|(segment, _)| segment);
        for SegmentName { table, start } in written.chain(&self.change.removals) {
            transaction
                .prepare_cached("DELETE FROM statistics_segment WHERE kind = ?1 AND start = ?2")?
                .execute(params![table.number(), start.number()])?;
        }
        for (SegmentName { table, start }, parts) in &self.change.writes {
            for (number, part) in (0_u32..).zip(parts) {
                transaction
                    .prepare_cached(
                        "INSERT INTO statistics_segment (kind, start, part, cells)
                         VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute(params![table.number(), start.number(), number, part])?;
            }
        }
        if let Some(folded) = self.folded {
            transaction
                .prepare_cached("DELETE FROM statistics_fresh WHERE seq <= ?1")?
                .execute([folded])?;
        }
        transaction.commit()?;
        Ok(true)
    }
}

/// How far they have been made, and all that waits to be folded.
pub(crate) fn progress(connection: &Connection) -> Result<StatisticsProgress, StoreError> {
    let fresh = read_fresh(connection, i64::MAX)?.into_iter().map(|(_, fresh)| fresh);
    Ok(StatisticsProgress { state: read_state(connection)?, fresh: fresh.collect() })
}

/// Takes in how far they were made elsewhere. To be run in a transaction, where there are none.
pub(crate) fn begin(
    connection: &Connection,
    progress: &StatisticsProgress,
) -> Result<(), SqliteError> {
    if let Some(state) = progress.state {
        connection
            .prepare_cached("INSERT INTO statistics_state (one, state) VALUES (1, ?1)")?
            .execute([serde_json::to_string(&state)?])?;
    }
    for Fresh { hour, written } in &progress.fresh {
        connection
            .prepare_cached("INSERT INTO statistics_fresh (hour, cells) VALUES (?1, ?2)")?
            .execute(params![hour.number(), written])?;
    }
    Ok(())
}

/// The first hour that any statistic tells of; `None`: none does.
pub(crate) fn begins(connection: &Connection) -> Result<Option<Hour>, StoreError> {
    if let Some(state) = read_state(connection)? {
        return Ok(Some(state.since));
    }
    let first = connection
        .prepare_cached("SELECT min(hour) FROM statistics_fresh")
        .and_then(|mut read| read.query_row([], |row| row.get::<_, Option<u32>>(0)));
    Ok(first.map_err(SqliteError::from)?.map(Hour::from_number))
}

fn state_text(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let mut read = connection.prepare_cached("SELECT state FROM statistics_state")?;
    read.query_row([], |row| row.get(0)).optional()
}

fn read_state(connection: &Connection) -> Result<Option<State>, StoreError> {
    let text = state_text(connection).map_err(SqliteError::from)?;
    let state = text.map(|text| serde_json::from_str(&text)).transpose();
    state.map_err(|why| corrupt("the state of the statistics", why))
}

/// Appended cells, the oldest first.
fn read_fresh(connection: &Connection, limit: i64) -> Result<Vec<(i64, Fresh)>, StoreError> {
    let read = || -> rusqlite::Result<Vec<(i64, Fresh)>> {
        let mut read = connection.prepare_cached(
            "SELECT seq, hour, cells FROM statistics_fresh ORDER BY seq LIMIT ?1",
        )?;
        let rows = read.query_map([limit], |row| {
            let hour = Hour::from_number(row.get(1)?);
            Ok((row.get(0)?, Fresh { hour, written: row.get(2)? }))
        })?;
        rows.collect()
    };
    Ok(read().map_err(SqliteError::from)?)
}

/// Hands on every part of a segment, in place.
fn each_part(
    connection: &Connection,
    segment: SegmentName,
    mut add: impl FnMut(&[u8]) -> Result<(), Malformed>,
) -> Result<(), StoreError> {
    let mut read = connection
        .prepare_cached("SELECT cells FROM statistics_segment WHERE kind = ?1 AND start = ?2")
        .map_err(SqliteError::from)?;
    let name = params![segment.table.number(), segment.start.number()];
    let mut rows = read.query(name).map_err(SqliteError::from)?;
    while let Some(row) = rows.next().map_err(SqliteError::from)? {
        let part = row.get_ref(0).map_err(SqliteError::from)?;
        let added = part.as_blob().map_err(|_| Malformed).and_then(&mut add);
        added.map_err(|why| corrupt(format!("the statistics of {segment}"), why))?;
    }
    Ok(())
}

fn malformed_fresh(why: Malformed) -> StoreError {
    corrupt("a statistic", why)
}

#[cfg(test)]
mod tests {
    use relay_store::contract::fixture::{at, record};
    use relay_store::statistics::{Grain, StatisticsFilter};

    use super::*;
    use crate::store::{Access, SqliteOptions, SqliteStore};

    #[tokio::test]
    async fn a_change_made_from_an_old_state_is_not_written() {
        let calendar = Calendar::UTC;
        let options = SqliteOptions {
            calendar,
            record_capacity: 10,
            record_lifetime: std::time::Duration::from_hours(24),
            access: Access::Serve,
        };
        let store = SqliteStore::in_memory(options).unwrap();
        let mut cells = CommitCells::new(calendar);
        cells.count(&record(0, "k"), at(0));
        let append = move |connection: &mut Connection| {
            Ok(append(connection, &cells).map_err(SqliteError::from)?)
        };
        store.core().queue.run(append).await.unwrap();
        let now = Hour::of(calendar, at(0));
        let mut steps = Vec::new();
        for _ in 0..2 {
            let step = store.core().long_reads.run(move |connection| next_step(connection, now));
            steps.push(step.await.unwrap().unwrap());
        }
        let mut written = Vec::new();
        for step in steps {
            let write = move |connection: &mut Connection| Ok(step.write(connection)?);
            written.push(store.core().queue.run(write).await.unwrap());
        }
        assert_eq!(written, [true, false]);
        let range = (at(0), at(1));
        let grain = Grain::Whole;
        let query =
            StatisticsQuery::new((calendar, at(0)), range, grain, &[], StatisticsFilter::default())
                .unwrap();
        let read =
            move |connection: &rusqlite::Transaction<'_>| answer(connection, &query, calendar);
        assert_eq!(store.core().long_reads.run(read).await.unwrap().total.requests, 1);
    }
}
