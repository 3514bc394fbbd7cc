//! A closed loop: as many requests as the connections can carry.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::exchange::Connection;
use super::request::{Requests, Shape};
use super::say;
use crate::bench::job::{Job, Mark, Tally};

/// Keeps `connections` busy and counts what is answered in the measured part.
///
/// The load goes on through both ends of that part, so that work which a proxy does after an answer
/// weighs equally at both.
pub(crate) async fn run(
    job: &Job,
    connections: u32,
    body_bytes: usize,
    (warm_up_ms, measure_ms): (u64, u64),
) -> Result<()> {
    let answered = Rc::new(Cell::new(0_u32));
    let stop = Rc::new(Cell::new(false));
    let requests = Requests::new(job, Shape::Json { body_bytes });
    let mut workers = JoinSet::new();
    for _ in 0..connections {
        let mut connection = Connection::open(job.address).await?;
        let mut request = requests.next();
        let (answered, stop) = (Rc::clone(&answered), Rc::clone(&stop));
        workers.spawn_local(async move {
            while !stop.get() {
                connection.answer(request.bytes()).await?;
                answered.set(answered.get() + 1);
                request.next_session();
            }
            anyhow::Ok(())
        });
    }
    let timed = async {
        sleep(Duration::from_millis(warm_up_ms)).await;
        let before = answered.get();
        say(&Mark::Started)?;
        sleep(Duration::from_millis(measure_ms)).await;
        let requests = answered.get() - before;
        say(&Mark::Measured(Tally { requests, ..Tally::default() }))?;
        stop.set(true);
        anyhow::Ok(())
    };
    let (timed, finished) = tokio::join!(timed, all(&mut workers));
    finished.and(timed)
}

/// Waits for every task; the first that fails ends the process, and with it the others.
pub(crate) async fn all(workers: &mut JoinSet<Result<()>>) -> Result<()> {
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    Ok(())
}
