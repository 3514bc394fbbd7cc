//! The table with the goals beside it, and the same as JSON.

use std::fmt::Write as _;
use std::fs;

use serde_json::{Map, Value, json};

use super::candidate::Name;
use super::options::Options;
use super::results::{Figure, Results};

/// A line of the table.
struct Row {
    figure: Figure,
    id: &'static str,
    title: &'static str,
    decimals: usize,
    goal: Goal,
}

/// What the figure of Relay should not exceed, on the embedded store and on Redis.
#[derive(Clone, Copy)]
enum Goal {
    None,
    RatioToNginx(f64, f64),
    Value(f64, f64),
}

const ROWS: &[Row] = &[
    row(
        Figure::RequestsPerSecond,
        "requests_per_second",
        "requests a second, 64 connections",
        0,
        Goal::None,
    ),
    row(
        Figure::CpuPerRequest,
        "cpu_us_per_request",
        "CPU us a request, 2 KB",
        1,
        Goal::RatioToNginx(2.0, 2.7),
    ),
    row(
        Figure::CpuPerLargeRequest,
        "cpu_us_per_large_request",
        "CPU us a request, 200 KB",
        1,
        Goal::RatioToNginx(2.0, 2.2),
    ),
    row(Figure::Median, "p50_ms", "p50 ms at 300 a second", 3, Goal::None),
    row(Figure::AddedMedian, "added_p50_ms", "  added to direct", 3, Goal::Value(0.45, 0.6)),
    row(Figure::Percentile99, "p99_ms", "p99 ms at 300 a second", 3, Goal::None),
    row(Figure::AddedPercentile99, "added_p99_ms", "  added to direct", 3, Goal::None),
    row(Figure::FirstToken, "first_token_ms", "first token ms, 200 streams", 3, Goal::None),
    row(
        Figure::AddedFirstToken,
        "added_first_token_ms",
        "  added to direct",
        3,
        Goal::Value(0.4, 0.6),
    ),
    row(
        Figure::CpuPerThousandEvents,
        "cpu_s_per_1000_events",
        "CPU s per 1,000 events",
        4,
        Goal::RatioToNginx(1.4, 1.4),
    ),
    row(
        Figure::KilobytesPerStream,
        "kb_per_open_stream",
        "KB per open stream, of 1,000",
        1,
        Goal::Value(45.0, 45.0),
    ),
    row(Figure::IdleMegabytes, "idle_mb", "idle MB", 1, Goal::Value(20.0, 20.0)),
];

const NAMES: [Name; 4] = [Name::Direct, Name::Nginx, Name::Embedded, Name::Redis];

const fn row(
    figure: Figure,
    id: &'static str,
    title: &'static str,
    decimals: usize,
    goal: Goal,
) -> Row {
    Row { figure, id, title, decimals, goal }
}

/// The medians in columns, then Relay's ratios to nginx and how they stand to the goals.
pub(crate) fn table(results: &Results) -> String {
    let mut table = format!("{:34}", "median over the rounds");
    for name in NAMES {
        write!(table, "{name:>16}").ok(); // Writing to a string cannot fail.
    }
    writeln!(table, "   {:24}{:24}", "embedded: x nginx, goal", "Redis: x nginx, goal").ok();
    for row in ROWS {
        write!(table, "{:34}", row.title).ok();
        for name in NAMES {
            let cell = results
                .median(name, row.figure)
                .map_or("-".to_owned(), |value| format!("{value:.*}", row.decimals));
            write!(table, "{cell:>16}").ok();
        }
        writeln!(
            table,
            "   {:24}{}",
            row.verdict(results, Name::Embedded),
            row.verdict(results, Name::Redis)
        )
        .ok();
    }
    table
}

/// Every value of every round, the medians, the ratios, the goals, and what machine it was.
pub(crate) fn json(results: &Results, options: &Options) -> Value {
    let figures: Map<String, Value> = ROWS
        .iter()
        .map(|row| {
            let candidates: Map<String, Value> = NAMES
                .iter()
                .filter(|name| results.median(**name, row.figure).is_some())
                .map(|name| (name.id().to_owned(), row.json(results, *name)))
                .collect();
            (row.id.to_owned(), Value::Object(candidates))
        })
        .collect();
    json!({
        "machine": { "cpu": cpu_model(), "kernel": kernel() },
        "rounds": options.rounds,
        "stream_rounds": options.stream_rounds,
        "slice_ms": options.slice.as_secs_f64() * 1e3,
        "figures": figures,
    })
}

impl Row {
    /// The goal of a candidate, and what it holds against it.
    fn goal(&self, results: &Results, name: Name) -> Option<(f64, f64)> {
        let of_store = |embedded, redis| match name {
            Name::Embedded => Some(embedded),
            Name::Redis => Some(redis),
            Name::Direct | Name::Nginx => None,
        };
        match self.goal {
            Goal::None => None,
            Goal::RatioToNginx(embedded, redis) => {
                of_store(embedded, redis).zip(results.ratio_to_nginx(name, self.figure))
            }
            Goal::Value(embedded, redis) => {
                of_store(embedded, redis).zip(results.median(name, self.figure))
            }
        }
    }

    fn verdict(&self, results: &Results, name: Name) -> String {
        let Some(ratio) = results.ratio_to_nginx(name, self.figure) else { return String::new() };
        let Some((goal, held)) = self.goal(results, name) else { return format!("{ratio:5.2}") };
        let word = if held <= goal { "ok" } else { "MISSED" };
        format!("{ratio:5.2}  {goal:>5} {word}")
    }

    fn json(&self, results: &Results, name: Name) -> Value {
        let mut value = json!({
            "median": results.median(name, self.figure),
            "rounds": results.rounds(name, self.figure),
            "ratio_to_nginx": results.ratio_to_nginx(name, self.figure),
        });
        if let Some((goal, held)) = self.goal(results, name) {
            value["goal"] = json!(goal);
            value["met"] = json!(held <= goal);
        }
        value
    }
}

fn cpu_model() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name"));
    model.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, model)| model).to_owned()
}

fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_held_against_the_right_figure() {
        let mut results = Results::default();
        for (figure, nginx, relay) in [
            (Figure::CpuPerRequest, 10.0, 21.0),
            (Figure::AddedMedian, 0.1, 0.44),
            (Figure::RequestsPerSecond, 2.0, 1.0),
        ] {
            results.push(Name::Nginx, figure, nginx);
            results.push(Name::Embedded, figure, relay);
            results.push(Name::Redis, figure, relay);
        }
        let verdict = |figure: Figure, name| {
            ROWS.iter()
                .find(|row| row.figure == figure)
                .map(|row| row.verdict(&results, name))
                .unwrap()
        };
        assert_eq!(verdict(Figure::CpuPerRequest, Name::Embedded), " 2.10      2 MISSED");
        assert_eq!(verdict(Figure::CpuPerRequest, Name::Redis), " 2.10    2.7 ok");
        assert_eq!(verdict(Figure::AddedMedian, Name::Embedded), " 4.40   0.45 ok");
        assert_eq!(verdict(Figure::RequestsPerSecond, Name::Redis), " 0.50");
        assert_eq!(verdict(Figure::IdleMegabytes, Name::Redis), "");
        let table = table(&results);
        assert_eq!(table.lines().count(), ROWS.len() + 1);
        let options = Options::parse(&[]).unwrap();
        let json = json(&results, &options);
        assert_eq!(json["figures"]["cpu_us_per_request"]["relay_embedded"]["met"], false);
        assert_eq!(json["figures"]["added_p50_ms"]["relay_redis"]["goal"], 0.6);
        assert_eq!(json["figures"]["idle_mb"], json!({}));
    }
}
