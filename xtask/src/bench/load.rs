//! The load process: `xtask bench-load JOB`, started by the benchmark on a core of its own.
//!
//! It writes HTTP/1.1 by hand: on the machine's second core it competes with the sandbox, so every
//! microsecond that a client library would take is one that slows the measured path.
#![expect(
    clippy::print_stdout,
    reason = "its answers go to the benchmark through its standard output"
)]

mod closed_loop;
mod exchange;
mod first_token;
mod latency;
mod open_loop;
mod open_streams;
mod request;

use anyhow::{Context as _, Result, bail};

use super::job::{Job, Mark, Work};

/// Does the job that the only argument describes.
///
/// # Errors
///
/// Fails when an answer is not what it must be: figures over failed requests would mean nothing.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let [job] = arguments else { bail!("expected one job") };
    let job: Job = serde_json::from_str(job).context("cannot read the job")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        match job.work {
            Work::ClosedLoop { connections, body_bytes, warm_up_ms, measure_ms } => {
                closed_loop::run(&job, connections, body_bytes, (warm_up_ms, measure_ms)).await
            }
            Work::OpenLoop { per_second, body_bytes, warm_up_ms, measure_ms } => {
                open_loop::run(&job, per_second, body_bytes, (warm_up_ms, measure_ms)).await
            }
            Work::OpenStreams { streams, spread_ms, settle_ms, measure_ms } => {
                open_streams::run(&job, streams, spread_ms, (settle_ms, measure_ms)).await
            }
            Work::FirstToken { streams, spread_ms } => {
                first_token::run(&job, streams, spread_ms).await
            }
        }
    })?;
    say(&Mark::Finished)
}

/// One line to the benchmark. Standard output is flushed at every line end.
fn say(mark: &Mark) -> Result<()> {
    println!("{}", serde_json::to_string(mark)?);
    Ok(())
}
