//! Statistics: bytes under names, in the form of `relay_store::statistics`.
//!
//! A segment is a hash of its parts. What settlements have counted waits in a list; each element is an hour
//! in four bytes and cells. No command reads or writes more than a part, or a thousand elements: nobody waits
//! long for a question or for housekeeping, however much there is.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};

use redis::Pipeline;
use relay_domain::Timestamp;
use relay_store::statistics::{
    Change, Fold, Fresh, Hour, Malformed, Piece, Plan, Roll, SegmentName, State, Statistics,
    StatisticsQuery, Tallying,
};
use relay_store::{StatisticsProgress, StoreError};

use crate::connection;
use crate::fault;
use crate::shared::Shared;

/// How many waiting elements are folded in one go.
const FOLDED_AT_ONCE: usize = 5_000;
/// How many waiting elements are read by one command.
const ELEMENTS_AT_ONCE: usize = 1_000;
/// How many parts are read or written in one trip: a few megabytes at most.
const READ_AT_ONCE: usize = 16;
/// How many bytes are added up where they came in: less than a tenth of a millisecond's work.
const ADDED_IN_PLACE: usize = 20_000;
/// How often reading is begun anew when segments change meanwhile.
const ATTEMPTS: usize = 5;
/// How long what is to become a segment is kept if nobody makes it one, in seconds.
const STAGED_FOR_S: u64 = 600;

/// A part of a piece, by its number.
type PartOf = (Piece, usize);

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
        let (before, fresh) = read_waiting(shared, usize::MAX).await?;
        let mut sum = Tallying::new(query.clone());
        for fresh in &fresh {
            sum.add_fresh(fresh).map_err(malformed)?;
        }
        let pieces = Plan::new(query, before.state.as_ref()).pieces;
        let sum = add_all(shared, sum, pieces).await?;
        if state_text(shared).await? == before.text {
            return sum.finish(shared.calendar).map_err(malformed);
        }
    }
    Err(fault::contended(shared.keyspace.statistics_state()))
}

/// Adds every part of the pieces: while some are added up, the next are on their way.
async fn add_all(
    shared: &Shared,
    mut sum: Tallying,
    pieces: Vec<Piece>,
) -> Result<Tallying, StoreError> {
    let mut wanted: VecDeque<_> = pieces.into_iter().map(|piece| (piece, 0)).collect();
    let mut read = Vec::new();
    while !wanted.is_empty() || !read.is_empty() {
        let next: Vec<_> = wanted.drain(..READ_AT_ONCE.min(wanted.len())).collect();
        let names: Vec<_> = next.iter().map(|(piece, part)| (piece.segment, *part)).collect();
        let (parts, added) = tokio::join!(read_parts(shared, &names), add_some(sum, read));
        let (so_far, more) = added?;
        sum = so_far;
        wanted.extend(more);
        read = next.into_iter().zip(parts?).collect();
    }
    Ok(sum)
}

/// Adds parts, those that are there, and says which others their segments have.
async fn add_some(
    mut sum: Tallying,
    read: Vec<(PartOf, Option<Vec<u8>>)>,
) -> Result<(Tallying, Vec<PartOf>), StoreError> {
    if read.is_empty() {
        return Ok((sum, Vec::new()));
    }
    let bytes: usize = read.iter().filter_map(|(_, part)| part.as_ref().map(Vec::len)).sum();
    let add = move || {
        let mut more = Vec::new();
        for ((piece, number), part) in read {
            // Of those that are not the first, one that is not there has just been changed, as the state
            // tells.
            let Some(part) = part else { continue };
            let parts = sum.add(piece, &part)?;
            if number == 0 {
                more.extend((1..parts).map(|part| (piece, part)));
            }
        }
        Ok((sum, more))
    };
    // Much takes a while: not on a thread that serves requests.
    let added = if bytes < ADDED_IN_PLACE {
        add()
    } else {
        tokio::task::spawn_blocking(add).await.map_err(interrupted)?
    };
    added.map_err(malformed)
}

/// Folds what settlements have counted, and makes segments of days and months that are over.
pub(crate) async fn roll(shared: &Shared, now: Timestamp) -> Result<(), StoreError> {
    let now = Hour::of(shared.calendar, now);
    loop {
        let (before, fresh) = read_waiting(shared, FOLDED_AT_ONCE).await?;
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
        for (segment, part) in read_whole(shared, targets).await? {
            fold.add_stored(segment, &part).map_err(malformed)?;
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
            for (_, part) in &stored {
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
    let staged = stage(shared, &change.writes).await?;
    let mut command = script.call(2 + 2 * staged.len() + change.removals.len());
    command.arg(keyspace.statistics_state()).arg(keyspace.statistics_fresh());
    command.arg(&staged);
    for segment in change.writes.iter().map(|(segment, _)| segment).chain(&change.removals) {
        command.arg(keyspace.statistics_segment(*segment));
    }
    command.arg(&before.text).arg(state).arg(folded).arg(staged.len());
    let mut pipeline = Pipeline::with_capacity(1);
    pipeline.add_command(command);
    let answer = script.send_on_pool(&shared.pool, &pipeline).await?.pop();
    let done: i64 = connection::read(answer.unwrap_or_default(), "roll_statistics.lua")?;
    if done != 1 && !staged.is_empty() {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("UNLINK").arg(&staged);
        shared.pool.send(&pipeline).await?;
    }
    Ok(done == 1)
}

/// Writes segments where nobody looks, each part by a command of its own. Returns their names, in the same order.
async fn stage(
    shared: &Shared,
    writes: &[(SegmentName, Vec<Vec<u8>>)],
) -> Result<Vec<String>, StoreError> {
    // Somebody else may be at the same change.
    let token = RandomState::new().hash_one(0);
    let mut names = Vec::with_capacity(writes.len());
    let mut all = Vec::new();
    for (segment, parts) in writes {
        let name = shared.keyspace.staged_segment(*segment, token);
        all.extend(parts.iter().enumerate().map(|(number, part)| (name.clone(), number, part)));
        names.push(name);
    }
    for some in all.chunks(READ_AT_ONCE) {
        let mut pipeline = Pipeline::with_capacity(2 * some.len());
        for (name, number, part) in some {
            pipeline.cmd("HSET").arg(name).arg(*number).arg(&part[..]);
            pipeline.cmd("EXPIRE").arg(name).arg(STAGED_FOR_S);
        }
        shared.pool.send(&pipeline).await?;
    }
    Ok(names)
}

/// How far they have been made, and all that waits to be folded.
pub(crate) async fn progress(shared: &Shared) -> Result<StatisticsProgress, StoreError> {
    let (KnownState { state, .. }, fresh) = read_waiting(shared, usize::MAX).await?;
    Ok(StatisticsProgress { state, fresh })
}

/// The first hour that any statistic tells of; `None`: none does.
pub(crate) async fn begins(shared: &Shared) -> Result<Option<Hour>, StoreError> {
    let (KnownState { state, .. }, _) = read_waiting(shared, 1).await?;
    if let Some(state) = state {
        return Ok(Some(state.since));
    }
    let (_, fresh) = read_waiting(shared, usize::MAX).await?;
    Ok(fresh.iter().map(|fresh| fresh.hour).min())
}

/// The state, and its text, by which a change of it is told.
struct KnownState {
    text: String,
    state: Option<State>,
}

async fn state_text(shared: &Shared) -> Result<String, StoreError> {
    let mut pipeline = Pipeline::with_capacity(1);
    pipeline.cmd("GET").arg(shared.keyspace.statistics_state());
    let answer = shared.pool.send(&pipeline).await?.pop().unwrap_or_default();
    let text: Option<String> = connection::read(answer, "the state of the statistics")?;
    Ok(text.unwrap_or_default())
}

/// The state, and the first of what waits to be folded in it, at most so many.
async fn read_waiting(
    shared: &Shared,
    most: usize,
) -> Result<(KnownState, Vec<Fresh>), StoreError> {
    let (state, fresh) = (shared.keyspace.statistics_state(), shared.keyspace.statistics_fresh());
    let corrupt = |what: &str, why: String| StoreError::Corrupt { what: what.to_owned(), why };
    for _ in 0..ATTEMPTS {
        let text = state_text(shared).await?;
        let mut elements: Vec<Vec<u8>> = Vec::new();
        let (mut is_end, mut is_same) = (false, true);
        while !is_end && is_same && elements.len() < most {
            let count = ELEMENTS_AT_ONCE.min(most - elements.len());
            let mut pipeline = Pipeline::with_capacity(2);
            pipeline.cmd("LRANGE").arg(&fresh).arg(elements.len());
            pipeline.arg(elements.len() + count - 1);
            // Only with a change of the state does anything go at the front.
            pipeline.cmd("GET").arg(&state);
            let [some, now] = shared
                .pool
                .send(&pipeline)
                .await?
                .try_into()
                .map_err(|_| fault::unexpected("the statistics"))?;
            let some: Vec<Vec<u8>> = connection::read(some, "LRANGE")?;
            let now: Option<String> = connection::read(now, "the state of the statistics")?;
            is_end = some.len() < count;
            is_same = now.unwrap_or_default() == text;
            elements.extend(some);
        }
        if !is_same {
            continue;
        }
        let known = (!text.is_empty()).then(|| serde_json::from_str(&text)).transpose();
        let known = known.map_err(|why| corrupt(&state, why.to_string()))?;
        let read = |element: Vec<u8>| {
            let (hour, written) = element.split_first_chunk::<4>()?;
            let hour = Hour::from_number(u32::from_le_bytes(*hour));
            Some(Fresh { hour, written: written.to_vec() })
        };
        let elements: Option<Vec<_>> = elements.into_iter().map(read).collect();
        let elements = elements.ok_or_else(|| corrupt(&fresh, Malformed.to_string()))?;
        return Ok((KnownState { text, state: known }, elements));
    }
    Err(fault::contended(state))
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

/// Every part of some segments, of those that are there.
async fn read_whole(
    shared: &Shared,
    names: &[SegmentName],
) -> Result<Vec<(SegmentName, Vec<u8>)>, StoreError> {
    let mut pipeline = Pipeline::with_capacity(names.len());
    for segment in names {
        pipeline.cmd("HLEN").arg(shared.keyspace.statistics_segment(*segment));
    }
    let mut wanted = Vec::new();
    for (segment, answer) in names.iter().zip(shared.pool.send(&pipeline).await?) {
        let parts: usize = connection::read(answer, "HLEN")?;
        wanted.extend((0..parts).map(|part| (*segment, part)));
    }
    let mut read = Vec::with_capacity(wanted.len());
    for wanted in wanted.chunks(READ_AT_ONCE) {
        let parts = read_parts(shared, wanted).await?;
        let there = wanted.iter().zip(parts);
        read.extend(there.filter_map(|((segment, _), part)| Some((*segment, part?))));
    }
    Ok(read)
}

fn malformed(why: Malformed) -> StoreError {
    StoreError::Corrupt { what: "a statistic".to_owned(), why: why.to_string() }
}

fn interrupted(why: tokio::task::JoinError) -> StoreError {
    StoreError::Unavailable(Box::new(why))
}
