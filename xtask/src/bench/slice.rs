//! One slice: a job for the load process, and the proxy's clocks around it.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::candidate::Candidate;
use super::job::{Job, Mark, Tally, Work};
use super::probe::{CpuTime, resident_kib};
use super::server::{Core, pinned};
use super::{Binaries, LOAD_TASK};

/// What a slice gave.
pub(crate) struct Slice {
    /// What the load process counted.
    pub(crate) tally: Tally,
    /// CPU time of the proxy's processes meanwhile; zero for the direct way.
    pub(crate) cpu: Duration,
    /// Their resident memory at the end of it, in KiB; zero for the direct way.
    pub(crate) resident_kib: u32,
}

/// Runs `work` against `candidate` to its end.
///
/// # Errors
///
/// Fails when any answer was wrong, or the proxy died.
pub(crate) fn run(candidate: &Candidate, binaries: &Binaries, work: Work) -> Result<Slice> {
    let job = Job { address: candidate.address, key: candidate.key.clone(), work };
    let job = serde_json::to_string(&job)?;
    let words = [binaries.load.display().to_string(), LOAD_TASK.to_owned(), job];
    let mut load = pinned(Core::Rest, &words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the load")?;
    let lines = BufReader::new(load.stdout.take().context("the load has no output")?).lines();
    let result = read(candidate.pid(), lines);
    if result.is_err() {
        load.kill().ok(); // Most likely it has ended already, with the reason on our terminal.
    }
    let status = load.wait()?;
    ensure!(
        status.success(),
        "{}: the load failed on {work:?}; the proxy's last words:\n{}",
        candidate.name,
        candidate.last_words()
    );
    result.with_context(|| format!("{}: {work:?}", candidate.name))
}

fn read(pid: Option<u32>, lines: impl Iterator<Item = std::io::Result<String>>) -> Result<Slice> {
    let cpu_now = || pid.map(CpuTime::of).transpose();
    let mut before = None;
    let mut slice = None;
    for line in lines {
        match serde_json::from_str(&line?).context("the load said something strange")? {
            Mark::Started => before = cpu_now()?,
            Mark::Measured(tally) => {
                let cpu = match (before, cpu_now()?) {
                    (Some(before), Some(after)) => after.since(before),
                    _ => Duration::ZERO,
                };
                let resident_kib = pid.map_or(Ok(0), resident_kib)?;
                slice = Some(Slice { tally, cpu, resident_kib });
            }
            Mark::Finished => return slice.context("the load finished without a result"),
        }
    }
    bail!("the load ended too early")
}
