//! An open loop: requests at a fixed rate, for latency that does not hide behind waiting clients.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::interval;

use super::closed_loop::all;
use super::exchange::Connection;
use super::latency::percentiles_ms;
use super::request::{Requests, Shape};
use super::say;
use crate::bench::job::{Job, Mark, Tally};

/// Starts `per_second` requests a second and times each from its first byte out to its last byte in.
pub(crate) async fn run(
    job: &Job,
    per_second: u32,
    body_bytes: usize,
    (warm_up_ms, measure_ms): (u64, u64),
) -> Result<()> {
    let requests = Requests::new(job, Shape::Json { body_bytes });
    let idle = Rc::new(RefCell::new(Vec::new()));
    let times = Rc::new(RefCell::new(Vec::new()));
    let mut tasks = JoinSet::new();
    let mut ticks = interval(Duration::from_secs(1) / per_second);
    let warm_until = Instant::now() + Duration::from_millis(warm_up_ms);
    let end = warm_until + Duration::from_millis(measure_ms);
    let mut started = false;
    loop {
        ticks.tick().await;
        let now = Instant::now();
        if end <= now {
            break;
        }
        if !started && warm_until <= now {
            started = true;
            say(&Mark::Started)?;
        }
        let connection = idle.borrow_mut().pop();
        let mut connection = match connection {
            Some(connection) => connection,
            None => Connection::open(job.address).await?,
        };
        let request = requests.next();
        let (idle, times) = (Rc::clone(&idle), Rc::clone(&times));
        tasks.spawn_local(async move {
            let sent = Instant::now();
            connection.answer(request.bytes()).await?;
            if started {
                times.borrow_mut().push(sent.elapsed());
            }
            idle.borrow_mut().push(connection);
            anyhow::Ok(())
        });
    }
    all(&mut tasks).await?;
    let times = times.take();
    let requests = u32::try_from(times.len())?;
    let (p50_ms, p99_ms) = percentiles_ms(times);
    say(&Mark::Measured(Tally { requests, p50_ms, p99_ms, ..Tally::default() }))
}
