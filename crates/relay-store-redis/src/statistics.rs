//! Statistics: bytes under names, in the form of `relay_store::statistics`.
//!
//! A segment is a hash of its parts. What settlements have counted waits in a list; each element is an hour
//! in four bytes and cells.

use redis::{Pipeline, Value};
use relay_domain::Timestamp;
use relay_store::statistics::{
    Change, Fold, Fresh, Hour, Malformed, Plan, Roll, SegmentName, State, Statistics,
    StatisticsQuery, Tallying,
};
use relay_store::{StatisticsProgress, StoreError};

use crate::connection;
use crate::fault;
use crate::shared::Shared;

/// How many waiting elements are folded in one go.
const FOLDED_AT_ONCE: isize = 5_000;
/// How many segments are read in one trip: a few megabytes at most.
const READ_AT_ONCE: usize = 16;
/// How often a query is begun anew when segments change while it is read.
const ATTEMPTS: usize = 5;

/// An element of the list of what waits to be folded.
pub(crate) fn element(fresh: &Fresh) -> Vec<u8> {
    [&fresh.hour.number().to_le_bytes()[..], &fresh.written].concat()
}

/// Adds up what `query` asks for.
pub(crate) async fn answer(
    shared: &Shared,
    query: &StatisticsQuery,
) -> Result<Statistics, StoreError> {
    for _ in 0..ATTEMPTS {
        let (state, fresh) = read_state(shared, -1).await?;
        let sum = read_all(shared, query, &state, fresh).await?;
        if read_state(shared, 0).await?.0.text == state.text {
            return sum.finish(shared.calendar).map_err(malformed);
        }
    }
    Err(fault::contended(shared.keyspace.statistics_state()))
}

async fn read_all(
    shared: &Shared,
    query: &StatisticsQuery,
    state: &KnownState,
    fresh: Vec<Fresh>,
) -> Result<Tallying, StoreError> {
    let mut sum = Tallying::new(query.clone());
    for fresh in &fresh {
        sum.add_fresh(fresh).map_err(malformed)?;
    }
    let pieces = Plan::new(query, state.state.as_ref()).pieces;
    for pieces in pieces.chunks(READ_AT_ONCE) {
        let names: Vec<_> = pieces.iter().map(|piece| (piece.segment, 0)).collect();
        let parts = read_parts(shared, &names).await?;
        let some: Vec<_> = pieces.iter().copied().zip(parts).collect();
        // Adding up takes a while: not on a thread that serves requests.
        let added = tokio::task::spawn_blocking(move || {
            let mut more = Vec::new();
            for (piece, part) in some {
                let Some(part) = part else { continue };
                let parts = sum.add(piece, &part)?;
                more.extend((1..parts).map(|part| (piece, part)));
            }
            Ok::<_, Malformed>((sum, more))
        });
        let (so_far, more) = added.await.map_err(interrupted)?.map_err(malformed)?;
        sum = so_far;
        for some in more.chunks(READ_AT_ONCE) {
            let names: Vec<_> = some.iter().map(|(piece, part)| (piece.segment, *part)).collect();
            let parts = read_parts(shared, &names).await?;
            for ((piece, _), part) in some.iter().zip(parts) {
                // One that is not there any more has just been changed, which the state tells.
                if let Some(part) = part {
                    sum.add(*piece, &part).map_err(malformed)?;
                }
            }
        }
    }
    Ok(sum)
}

/// Folds what settlements have counted, and makes segments of days and months that are over.
pub(crate) async fn roll(shared: &Shared, now: Timestamp) -> Result<(), StoreError> {
    let now = Hour::of(shared.calendar, now);
    loop {
        let (before, fresh) = read_state(shared, FOLDED_AT_ONCE - 1).await?;
        let folded = fresh.len();
        let change = if let Some(fold) = Fold::new(before.state, &fresh, now).map_err(malformed)? {
            fill(shared, fold).await?
        } else if let Some(due) = before.state.and_then(|state| Roll::due(&state, now)) {
            gather(shared, due).await?
        } else {
            return Ok(());
        };
        // Where somebody else is at it, they do it all.
        if !write(shared, &before, &change, folded).await? {
            return Ok(());
        }
    }
}

/// Adds what the targets of `fold` have.
async fn fill(shared: &Shared, mut fold: Fold) -> Result<Change, StoreError> {
    let targets: Vec<_> = fold.targets().collect();
    for targets in targets.chunks(READ_AT_ONCE) {
        for (segment, parts) in read_whole(shared, targets).await? {
            for part in parts {
                fold.add_stored(segment, &part).map_err(malformed)?;
            }
        }
    }
    tokio::task::spawn_blocking(move || fold.finish()).await.map_err(interrupted)
}

/// Adds up what `roll` is to be made of.
async fn gather(shared: &Shared, mut roll: Roll) -> Result<Change, StoreError> {
    let sources = roll.sources().to_vec();
    for sources in sources.chunks(READ_AT_ONCE) {
        let stored = read_whole(shared, sources).await?;
        let added = tokio::task::spawn_blocking(move || {
            for part in stored.iter().flat_map(|(_, parts)| parts) {
                roll.add_stored(part)?;
            }
            Ok::<_, Malformed>(roll)
        });
        roll = added.await.map_err(interrupted)?.map_err(malformed)?;
    }
    tokio::task::spawn_blocking(move || roll.finish()).await.map_err(interrupted)
}

/// `false`: the state is not the one that the change was made from, and nothing is written.
async fn write(
    shared: &Shared,
    before: &KnownState,
    change: &Change,
    folded: usize,
) -> Result<bool, StoreError> {
    let keyspace = &shared.keyspace;
    let script = &shared.scripts.roll_statistics;
    let state = serde_json::to_string(&change.state)
        .map_err(|error| StoreError::Refused(Box::new(error)))?;
    let mut command = script.call(2 + change.writes.len() + change.removals.len());
    command.arg(keyspace.statistics_state()).arg(keyspace.statistics_fresh());
    for segment in change.writes.iter().map(|(segment, _)| segment).chain(&change.removals) {
        command.arg(keyspace.statistics_segment(*segment));
    }
    command.arg(&before.text).arg(state).arg(folded).arg(change.writes.len());
    for (_, parts) in &change.writes {
        command.arg(parts.len());
        for part in parts {
            command.arg(&part[..]);
        }
    }
    let mut pipeline = Pipeline::with_capacity(1);
    pipeline.add_command(command);
    let answer = script.send_on_pool(&shared.pool, &pipeline).await?.pop();
    let done: i64 = connection::read(answer.unwrap_or_default(), "roll_statistics.lua")?;
    Ok(done == 1)
}

/// How far they have been made, and all that waits to be folded.
pub(crate) async fn progress(shared: &Shared) -> Result<StatisticsProgress, StoreError> {
    let (KnownState { state, .. }, fresh) = read_state(shared, -1).await?;
    Ok(StatisticsProgress { state, fresh })
}

/// The state, and its text, by which a change of it is told.
struct KnownState {
    text: String,
    state: Option<State>,
}

/// The state, and the first of what waits to be folded.
async fn read_state(shared: &Shared, last: isize) -> Result<(KnownState, Vec<Fresh>), StoreError> {
    let (state, fresh) = (shared.keyspace.statistics_state(), shared.keyspace.statistics_fresh());
    let mut pipeline = Pipeline::with_capacity(2);
    pipeline.cmd("GET").arg(&state);
    pipeline.cmd("LRANGE").arg(&fresh).arg(0).arg(last);
    let [text, elements] = shared
        .pool
        .send(&pipeline)
        .await?
        .try_into()
        .map_err(|_| fault::unexpected("the statistics"))?;
    let text: Option<String> = connection::read(text, "the state of the statistics")?;
    let elements: Vec<Vec<u8>> = connection::read(elements, "LRANGE")?;
    let corrupt = |what: &str, why: String| StoreError::Corrupt { what: what.to_owned(), why };
    let known = text.as_deref().map(serde_json::from_str).transpose();
    let known = known.map_err(|why| corrupt(&state, why.to_string()))?;
    let read = |element: Vec<u8>| {
        let (hour, written) = element.split_first_chunk::<4>()?;
        let hour = Hour::from_number(u32::from_le_bytes(*hour));
        Some(Fresh { hour, written: written.to_vec() })
    };
    let elements: Option<Vec<_>> = elements.into_iter().map(read).collect();
    let elements = elements.ok_or_else(|| corrupt(&fresh, Malformed.to_string()))?;
    Ok((KnownState { text: text.unwrap_or_default(), state: known }, elements))
}

/// The named parts of segments, of those that are there.
async fn read_parts(
    shared: &Shared,
    names: &[(SegmentName, usize)],
) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
    let mut pipeline = Pipeline::with_capacity(names.len());
    for (segment, part) in names {
        pipeline.cmd("HGET").arg(shared.keyspace.statistics_segment(*segment)).arg(*part);
    }
    let answers = shared.pool.send(&pipeline).await?;
    answers.into_iter().map(|answer| connection::read(answer, "HGET")).collect()
}

/// Whole segments, of those that are there.
async fn read_whole(
    shared: &Shared,
    names: &[SegmentName],
) -> Result<Vec<(SegmentName, Vec<Vec<u8>>)>, StoreError> {
    let mut pipeline = Pipeline::with_capacity(names.len());
    for segment in names {
        pipeline.cmd("HVALS").arg(shared.keyspace.statistics_segment(*segment));
    }
    let answers = shared.pool.send(&pipeline).await?;
    let read = |(segment, answer): (&SegmentName, Value)| {
        Ok((*segment, connection::read(answer, "HVALS")?))
    };
    names.iter().zip(answers).map(read).collect()
}

fn malformed(why: Malformed) -> StoreError {
    StoreError::Corrupt { what: "a statistic".to_owned(), why: why.to_string() }
}

fn interrupted(why: tokio::task::JoinError) -> StoreError {
    StoreError::Unavailable(Box::new(why))
}
