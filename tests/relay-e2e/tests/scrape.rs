//! What Prometheus reads of a Relay, parsed as strictly as its text format is written.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use relay_e2e::{Answer, Exchange, Relay, Request};
use relay_testkit::eventually;

/// Lets the system choose the port; [`address`] finds it.
pub(crate) const LISTEN: (&str, &str) = ("RELAY_METRICS_LISTEN", "127.0.0.1:0");

/// Everything that was read at one moment.
#[derive(Debug)]
pub(crate) struct Scrape {
    pub(crate) text: String,
    /// By name and labels, as they are written.
    samples: BTreeMap<String, f64>,
    types: BTreeMap<String, String>,
}

/// Where metrics are read, from what the server printed at its last start.
pub(crate) async fn address(relay: &Relay) -> SocketAddr {
    let mut address = None;
    eventually("the address of the metrics is printed", async || {
        let printed = relay.printed();
        let mut urls = printed.lines().filter_map(|line| line.trim().strip_prefix("metrics "));
        let place = urls.next_back().and_then(|url| url.split('/').nth(2));
        address = place.and_then(|place| place.parse().ok());
        address.is_some()
    })
    .await;
    address.unwrap()
}

/// What there is at `path` of the address where metrics are read.
pub(crate) async fn get(relay: &Relay, path: &str) -> Answer {
    Exchange::open(address(relay).await, &Request::get(path)).await.finish().await
}

/// Reads and parses.
pub(crate) async fn scrape(relay: &Relay) -> Scrape {
    let answer = get(relay, "/metrics").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    Scrape::parse(answer.text())
}

impl Scrape {
    /// # Panics
    ///
    /// If a line is none of the format's, a series comes twice or without its type, or a histogram does not
    /// add up.
    fn parse(text: String) -> Self {
        let (mut samples, mut types) = (BTreeMap::new(), BTreeMap::new());
        let mut helped = BTreeSet::new();
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').unwrap();
                assert!(!words.is_empty() && helped.insert(name.to_owned()), "{line}");
            } else if let Some(told) = line.strip_prefix("# TYPE ") {
                let (name, kind) = told.split_once(' ').unwrap();
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
                check_labels(series);
                let family = family(series, &types).unwrap_or_else(|| panic!("no type: {line}"));
                assert!(helped.contains(family), "no help: {line}");
                let is_counter = types[family] == "counter";
                assert!(!is_counter || family.ends_with("_total"), "{line}");
                let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
                assert!(samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
            }
        }
        let scrape = Self { text, samples, types };
        scrape.check_histograms();
        scrape
    }

    /// The value of a series, written as it is in the text.
    pub(crate) fn value(&self, series: &str) -> f64 {
        let value = self.samples.get(series);
        *value.unwrap_or_else(|| panic!("no {series} in {}", self.text))
    }

    /// The sum over all series of a name.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        self.series(name).map(|(_, value)| value).sum()
    }

    /// Every series of a name.
    pub(crate) fn series(&self, name: &str) -> impl Iterator<Item = (&str, f64)> {
        let of_name = move |series: &&String| bare(series) == name;
        let found = self.samples.iter().filter(move |(series, _)| of_name(series));
        found.map(|(series, value)| (series.as_str(), *value))
    }

    /// The name of every family.
    pub(crate) fn families(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }

    fn check_histograms(&self) {
        for name in self.types.iter().filter(|(_, kind)| *kind == "histogram").map(|(name, _)| name)
        {
            let mut last: BTreeMap<String, (f64, f64)> = BTreeMap::new();
            for line in
                self.text.lines().filter(|line| line.starts_with(&format!("{name}_bucket{{")))
            {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let value: f64 = value.parse().unwrap();
                let (end, others) = without_end(series);
                let (before, below) = last.insert(others, (end, value)).unwrap_or((0.0, 0.0));
                assert!(before < end && below <= value, "{line}");
            }
            assert!(!last.is_empty(), "{name} has no buckets");
            for (labels, (end, all)) in last {
                assert!(end.is_infinite(), "{name} {labels}");
                let count = self.samples.iter().find(|(series, _)| {
                    bare(series) == format!("{name}_count") && without_end(series).1 == labels
                });
                assert_eq!(count.map(|(_, count)| *count), Some(all), "{name} {labels}");
            }
        }
    }
}

/// The name without its labels.
fn bare(series: &str) -> &str {
    series.split('{').next().unwrap_or_default()
}

/// The family that a series belongs to.
fn family<'a>(series: &'a str, types: &BTreeMap<String, String>) -> Option<&'a str> {
    let name = bare(series);
    let of_histogram = ["_bucket", "_sum", "_count"].into_iter().find_map(|end| {
        let family = name.strip_suffix(end)?;
        (types.get(family).is_some_and(|kind| kind == "histogram")).then_some(family)
    });
    of_histogram.or_else(|| types.contains_key(name).then_some(name))
}

/// Labels are names with texts in quotes, in which quotes, backslashes and line ends are escaped.
fn check_labels(series: &str) {
    let Some((name, labels)) = series.split_once('{') else { return };
    assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{series}");
    let mut rest = labels.strip_suffix('}').unwrap_or_else(|| panic!("{series}"));
    while !rest.is_empty() {
        let (label, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("{series}"));
        assert!(label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{series}");
        let mut escaped = false;
        let end = value.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        rest = &value[end.unwrap_or_else(|| panic!("{series}")) + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

/// The upper end of a bucket, and the labels without it.
fn without_end(series: &str) -> (f64, String) {
    let labels = series.split_once('{').map_or("", |(_, labels)| labels.trim_end_matches('}'));
    let (ends, others): (Vec<&str>, Vec<&str>) =
        labels.split(',').partition(|label| label.starts_with("le="));
    let end = ends.first().map_or("0", |end| end.trim_start_matches("le=").trim_matches('"'));
    (end.parse().unwrap(), others.join(","))
}
