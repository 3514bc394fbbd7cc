//! How long a person waits for the first word.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::closed_loop::all;
use super::exchange::Connection;
use super::latency::percentiles_ms;
use super::request::{Requests, Shape};
use super::say;
use crate::bench::job::{Job, Mark, Tally};

/// What marks the first token on the wire.
const FIRST_TOKEN: &[u8] = b"content_block_delta";

/// Opens `streams` evenly over `spread_ms`, twice on the same connections: the first wave fills the
/// proxy's pool towards the upstream, the second is timed from the request to the first token.
pub(crate) async fn run(job: &Job, streams: u32, spread_ms: u64) -> Result<()> {
    let requests = Requests::new(job, Shape::Stream);
    let mut connections = Vec::new();
    for _ in 0..streams {
        connections.push(Connection::open(job.address).await?);
    }
    let (connections, _) = wave(connections, &requests, spread_ms).await?;
    say(&Mark::Started)?;
    let (_, times) = wave(connections, &requests, spread_ms).await?;
    let (p50_ms, p99_ms) = percentiles_ms(times);
    say(&Mark::Measured(Tally { requests: streams, p50_ms, p99_ms, ..Tally::default() }))
}

async fn wave(
    connections: Vec<Connection>,
    requests: &Requests,
    spread_ms: u64,
) -> Result<(Vec<Connection>, Vec<Duration>)> {
    let done = Rc::new(RefCell::new((Vec::new(), Vec::new())));
    let gap = Duration::from_millis(spread_ms) / u32::try_from(connections.len())?.max(1);
    let mut tasks = JoinSet::new();
    let mut start = Duration::ZERO;
    for mut connection in connections {
        let done = Rc::clone(&done);
        let request = requests.next();
        tasks.spawn_local(async move {
            sleep(start).await;
            let sent = Instant::now();
            let mut stream = connection.stream(request.bytes()).await?;
            stream.read_until(FIRST_TOKEN).await?;
            let first_token = sent.elapsed();
            while stream.next_events().await?.is_some() {}
            let mut done = done.borrow_mut();
            done.0.push(connection);
            done.1.push(first_token);
            anyhow::Ok(())
        });
        start += gap;
    }
    all(&mut tasks).await?;
    Ok(done.take())
}
