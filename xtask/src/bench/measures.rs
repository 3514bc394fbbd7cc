//! The measures: which load gives which figures.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Binaries;
use super::candidate::{Candidate, Candidates, Name};
use super::job::{Tally, Work};
use super::options::{
    FIRST_TOKEN_STREAMS, LARGE_BODY_BYTES, LARGE_CONNECTIONS, LATENCY_RATE, OPEN_STREAMS, Options,
    SMALL_BODY_BYTES, SMALL_CONNECTIONS,
};
use super::probe::resident_kib;
use super::results::{Figure, Results};
use super::sandbox::Scenario;
use super::slice::{self, Slice};

const WARM_UP_MS: u64 = 500;

/// How long the streams of a wave take to open, and how long each then stays open in silence.
const FIRST_TOKEN_SPREAD_MS: u64 = 1000;
const FIRST_TOKEN_SILENCE_MS: u64 = 1200;

/// Four events a second on each stream: a model that thinks while it writes.
const DRIP_MS: u64 = 250;
const STREAMS_SPREAD_MS: u64 = 2000;
const STREAMS_SETTLE_MS: u64 = 1000;

/// Memory is settled this long after a start: what a start needs for a moment has been given back.
const IDLE: Duration = Duration::from_secs(6);

/// One round of everything that is measured on requests.
///
/// # Errors
///
/// Fails when any request does.
pub(crate) fn requests(
    candidates: &Candidates,
    binaries: &Binaries,
    options: &Options,
    results: &mut Results,
) -> Result<()> {
    let measure_ms = u64::try_from(options.slice.as_millis())?;
    let closed_loop = |connections, body_bytes| Work::ClosedLoop {
        connections,
        body_bytes,
        warm_up_ms: WARM_UP_MS,
        measure_ms,
    };
    candidates.sandbox.play(Scenario::Answer)?;
    for candidate in &candidates.all {
        let work = closed_loop(SMALL_CONNECTIONS, SMALL_BODY_BYTES);
        let slice = slice::run(candidate, binaries, work)?;
        let per_second = f64::from(slice.tally.requests) / options.slice.as_secs_f64();
        results.push(candidate.name, Figure::RequestsPerSecond, per_second);
        push_cpu(results, candidate, Figure::CpuPerRequest, &slice)?;
    }
    for candidate in &candidates.all {
        let work = Work::OpenLoop {
            per_second: LATENCY_RATE,
            body_bytes: SMALL_BODY_BYTES,
            warm_up_ms: WARM_UP_MS,
            measure_ms,
        };
        let Tally { p50_ms, p99_ms, .. } = slice::run(candidate, binaries, work)?.tally;
        results.push(candidate.name, Figure::Median, p50_ms);
        results.push(candidate.name, Figure::Percentile99, p99_ms);
        push_added(results, candidate.name, Figure::Median, Figure::AddedMedian);
        push_added(results, candidate.name, Figure::Percentile99, Figure::AddedPercentile99);
    }
    for candidate in &candidates.all {
        let work = closed_loop(LARGE_CONNECTIONS, LARGE_BODY_BYTES);
        let slice = slice::run(candidate, binaries, work)?;
        push_cpu(results, candidate, Figure::CpuPerLargeRequest, &slice)?;
    }
    candidates.sandbox.play(Scenario::Linger { silence_ms: FIRST_TOKEN_SILENCE_MS })?;
    for candidate in &candidates.all {
        let streams = FIRST_TOKEN_STREAMS;
        let work = Work::FirstToken { streams, spread_ms: FIRST_TOKEN_SPREAD_MS };
        let slice = slice::run(candidate, binaries, work)?;
        results.push(candidate.name, Figure::FirstToken, slice.tally.p50_ms);
        push_added(results, candidate.name, Figure::FirstToken, Figure::AddedFirstToken);
    }
    Ok(())
}

/// One round of what is measured on open streams, each proxy freshly started.
///
/// # Errors
///
/// Fails when a proxy does not restart, or any stream breaks.
pub(crate) fn open_streams(
    candidates: &mut Candidates,
    binaries: &Binaries,
    options: &Options,
    results: &mut Results,
) -> Result<()> {
    let measure_ms = u64::try_from(options.slice.as_millis())?;
    let work = Work::OpenStreams {
        streams: OPEN_STREAMS,
        spread_ms: STREAMS_SPREAD_MS,
        settle_ms: STREAMS_SETTLE_MS,
        measure_ms,
    };
    // A second more than the load needs: no stream may end while they are counted.
    let lasts_ms = STREAMS_SPREAD_MS + STREAMS_SETTLE_MS + measure_ms + 1000;
    candidates.sandbox.play(Scenario::Drip { delta_ms: DRIP_MS, lasts_ms })?;
    for candidate in &mut candidates.all {
        candidate.restart()?;
        let Some(pid) = candidate.pid() else { continue };
        sleep(IDLE);
        let idle_kib = resident_kib(pid)?;
        results.push(candidate.name, Figure::IdleMegabytes, f64::from(idle_kib) / 1024.0);
        let slice = slice::run(candidate, binaries, work)?;
        let grown = f64::from(slice.resident_kib) - f64::from(idle_kib);
        results.push(candidate.name, Figure::KilobytesPerStream, grown / f64::from(OPEN_STREAMS));
        ensure!(0 < slice.tally.events, "{}: no events", candidate.name);
        let per_thousand = slice.cpu.as_secs_f64() * 1000.0 / f64::from(slice.tally.events);
        results.push(candidate.name, Figure::CpuPerThousandEvents, per_thousand);
    }
    Ok(())
}

fn push_cpu(
    results: &mut Results,
    candidate: &Candidate,
    figure: Figure,
    slice: &Slice,
) -> Result<()> {
    ensure!(0 < slice.tally.requests, "{}: not one request was answered", candidate.name);
    if candidate.name != Name::Direct {
        let micros = slice.cpu.as_secs_f64() * 1e6 / f64::from(slice.tally.requests);
        results.push(candidate.name, figure, micros);
    }
    Ok(())
}

/// What a proxy adds to the direct way of the same round, which comes first.
fn push_added(results: &mut Results, name: Name, of: Figure, added: Figure) {
    let Some((direct, through)) = results.last(Name::Direct, of).zip(results.last(name, of)) else {
        return;
    };
    if name != Name::Direct {
        results.push(name, added, through - direct);
    }
}
