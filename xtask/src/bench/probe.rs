//! What the kernel says about a process and those that it started.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// The kernel shows times in ticks of a hundredth of a second on every platform that we build for.
const TICK: Duration = Duration::from_millis(10);

/// CPU time that a program has used up to now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuTime {
    /// Of the threads that live, to the nanosecond.
    threads: Duration,
    /// Of the whole program, threads that ended included, to the tick.
    ticks: Duration,
}

impl CpuTime {
    /// Reads the clocks of `pid` and of the processes below it.
    ///
    /// # Errors
    ///
    /// Fails when the process is gone.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let mut time = Self { threads: Duration::ZERO, ticks: Duration::ZERO };
        for pid in family(pid)? {
            for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
                // A thread may end while we read.
                if let Ok(schedstat) = fs::read_to_string(thread?.path().join("schedstat")) {
                    let run = schedstat.split_whitespace().next().context("empty schedstat")?;
                    time.threads += Duration::from_nanos(run.parse()?);
                }
            }
            let [user, system] = stat(pid)?.ticks;
            time.ticks += TICK * (user + system);
        }
        Ok(time)
    }

    /// What was used since `before`. The exact clocks lose what ended threads had used; the coarse one
    /// shows it when that is much.
    pub(crate) fn since(self, before: Self) -> Duration {
        let threads = self.threads.saturating_sub(before.threads);
        let ticks = self.ticks.saturating_sub(before.ticks);
        threads.max(ticks.saturating_sub(2 * TICK))
    }
}

/// Resident memory of `pid` and of the processes below it, in KiB.
///
/// # Errors
///
/// Fails when the process is gone.
pub(crate) fn resident_kib(pid: u32) -> Result<u32> {
    let mut sum = 0;
    for pid in family(pid)? {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
        sum += kib.parse::<u32>()?;
    }
    Ok(sum)
}

/// A process and all that it started, directly or not.
fn family(ancestor: u32) -> Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // Processes come and go while we read.
        if let Ok(stat) = stat(pid) {
            parents.push((pid, stat.parent));
        }
    }
    let mut family = vec![ancestor];
    let mut next = 0;
    while let Some(&member) = family.get(next) {
        family.extend(parents.iter().filter(|(_, parent)| *parent == member).map(|(pid, _)| pid));
        next += 1;
    }
    Ok(family)
}

struct Stat {
    parent: u32,
    ticks: [u32; 2],
}

/// The fields behind the program's name, which may hold anything, even a parenthesis.
fn stat(pid: u32) -> Result<Stat> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let number = |index: usize| -> Result<u32> {
        Ok(fields.get(index).context("stat is too short")?.parse()?)
    };
    Ok(Stat { parent: number(1)?, ticks: [number(11)?, number(12)?] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn the_work_of_this_process_is_seen() {
        let before = CpuTime::of(std::process::id()).unwrap();
        let started = Instant::now();
        let mut used = Duration::ZERO;
        while used < Duration::from_millis(20) && started.elapsed() < Duration::from_secs(10) {
            used = CpuTime::of(std::process::id()).unwrap().since(before);
        }
        assert!(Duration::from_millis(20) <= used, "{used:?}");
    }

    #[test]
    fn ended_threads_are_not_forgotten() {
        let ms = Duration::from_millis;
        let before = CpuTime { threads: ms(100), ticks: ms(100) };
        let cases = [
            ("exact clocks are preferred", (ms(151), ms(160)), ms(51)),
            ("a worker ended with its time", (ms(110), ms(300)), ms(180)),
            ("and nothing goes backwards", (ms(50), ms(100)), ms(0)),
        ];
        for (name, (threads, ticks), expected) in cases {
            assert_eq!(CpuTime { threads, ticks }.since(before), expected, "{name}");
        }
    }

    #[test]
    fn memory_and_children_are_found() {
        assert!(1000 < resident_kib(std::process::id()).unwrap());
        let mut child = std::process::Command::new("sleep").arg("20").spawn().unwrap();
        let family = family(std::process::id()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(family.contains(&child.id()), "{family:?}");
        assert!(resident_kib(u32::MAX).is_err());
    }
}
