//! Many streams at once, each with an event now and then: what a team that waits for answers looks like.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::closed_loop::all;
use super::exchange::Connection;
use super::request::{Requests, Shape};
use super::say;
use crate::bench::job::{Job, Mark, Tally};

/// Opens `streams` evenly over `spread_ms`, lets them settle, and counts their events while all are open.
pub(crate) async fn run(
    job: &Job,
    streams: u32,
    spread_ms: u64,
    (settle_ms, measure_ms): (u64, u64),
) -> Result<()> {
    let events = Rc::new(Cell::new(0_u32));
    let finished = Rc::new(Cell::new(0_u32));
    let requests = Requests::new(job, Shape::Stream);
    let mut tasks = JoinSet::new();
    for index in 0..streams {
        let start = Duration::from_millis(spread_ms) * index / streams;
        let (events, finished) = (Rc::clone(&events), Rc::clone(&finished));
        let request = requests.next();
        let address = job.address;
        tasks.spawn_local(async move {
            sleep(start).await;
            let mut connection = Connection::open(address).await?;
            let mut stream = connection.stream(request.bytes()).await?;
            while let Some(arrived) = stream.next_events().await? {
                events.set(events.get() + arrived);
            }
            finished.set(finished.get() + 1);
            anyhow::Ok(())
        });
    }
    let timed = async {
        sleep(Duration::from_millis(spread_ms + settle_ms)).await;
        let before = events.get();
        say(&Mark::Started)?;
        sleep(Duration::from_millis(measure_ms)).await;
        let events = events.get() - before;
        ensure!(finished.get() == 0, "a stream ended before the events were counted");
        say(&Mark::Measured(Tally { requests: streams, events, ..Tally::default() }))
    };
    let (timed, finished) = tokio::join!(timed, all(&mut tasks));
    finished.and(timed)
}
