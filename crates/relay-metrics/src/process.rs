//! The process as the operating system sees it, under the names that every Prometheus client uses. Only
//! Linux tells it.

use std::fs;

use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// Registers what there is to tell of this process at this moment.
pub(crate) fn register(registry: &mut Registry) {
    let Some(stat) = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| Stat::parse(&stat))
    else {
        return;
    };
    let page = whole(rustix::param::page_size());
    let cpu = seconds(stat.cpu_ticks);
    let help = "Processor time of the process, in user and system mode";
    registry.register("process_cpu_seconds", help, ConstCounter::new(cpu));
    let help = "Memory of the process that is in RAM";
    registry.register(
        "process_resident_memory_bytes",
        help,
        ConstGauge::new(stat.resident_pages.saturating_mul(page)),
    );
    registry.register("process_threads", "Threads of the process", ConstGauge::new(stat.threads));
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // The folder that is being read is one of them.
        let open = whole(open.count().saturating_sub(1));
        registry.register("process_open_fds", "Open file descriptors", ConstGauge::new(open));
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    if let Some(most) = limit {
        registry.register(
            "process_max_fds",
            "File descriptors that may be open",
            ConstGauge::new(most),
        );
    }
    if let Some(booted) = fs::read_to_string("/proc/stat").ok().and_then(|stat| booted_at(&stat)) {
        let started = booted + seconds(stat.started_ticks);
        let help = "When the process started, in seconds since 1970";
        registry.register("process_start_time_seconds", help, ConstGauge::new(started));
    }
}

/// What `/proc/self/stat` says.
#[derive(Debug, Eq, PartialEq)]
struct Stat {
    /// Of user and system mode.
    cpu_ticks: u64,
    threads: u64,
    /// After the machine's start.
    started_ticks: u64,
    resident_pages: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The second field is a name in parentheses, with whatever in it.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)?.saturating_add(field(15)?),
            threads: field(20)?,
            started_ticks: field(22)?,
            resident_pages: field(24)?,
        })
    }
}

/// When the machine started, in seconds since 1970, from `/proc/stat`.
fn booted_at(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[expect(clippy::cast_precision_loss, reason = "ticks of a process are few")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tests::text_of_registry;

    #[test]
    fn a_name_with_blanks_and_parentheses_shifts_nothing() {
        let text = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 11 31 0 0 20 0 5 0 900 1000000 321 0";
        let expected = Stat { cpu_ticks: 42, threads: 5, started_ticks: 900, resident_pages: 321 };
        assert_eq!(Stat::parse(text), Some(expected));
        assert_eq!(Stat::parse("7 (cut off) S 1 7"), None);
        assert_eq!(booted_at("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000.0));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_told_of() {
        let mut registry = Registry::default();
        register(&mut registry);
        let text = text_of_registry(&registry);
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_threads",
            "process_open_fds",
            "process_max_fds",
            "process_start_time_seconds",
        ] {
            let value = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
            let value: f64 = value.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap();
            assert!(0.0 <= value, "{name}: {value}");
        }
    }
}
