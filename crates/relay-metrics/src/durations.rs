//! Histograms of durations that are counted without a lock.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::counter_grid::Axis;

/// A histogram for each value of one label. Clones are the same histograms.
#[derive(Clone, Debug)]
pub(crate) struct Durations {
    label: Axis,
    /// The upper ends of the buckets but the last, in microseconds, rising.
    bounds_us: &'static [u64],
    cells: Arc<[Cell]>,
}

#[derive(Debug)]
struct Cell {
    /// One more than there are bounds: the last takes what is beyond them all.
    buckets: Box<[AtomicU64]>,
    sum_us: AtomicU64,
}

impl Durations {
    pub(crate) fn new(label: Axis, bounds_us: &'static [u64]) -> Self {
        let cell = |_| Cell {
            buckets: (0..=bounds_us.len()).map(|_| AtomicU64::new(0)).collect(),
            sum_us: AtomicU64::new(0),
        };
        Self { label, bounds_us, cells: label.1.iter().map(cell).collect() }
    }

    /// Counts a duration in microseconds under the label's value at this position.
    pub(crate) fn observe_us(&self, at: usize, duration_us: u64) {
        let Some(cell) = self.cells.get(at) else { return };
        let bucket = self.bounds_us.partition_point(|bound| *bound < duration_us);
        if let Some(bucket) = cell.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
            cell.sum_us.fetch_add(duration_us, Ordering::Relaxed);
        }
    }

    /// Counts a duration under the label's value at this position.
    pub(crate) fn observe(&self, at: usize, duration: Duration) {
        self.observe_us(at, u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let ends = self.bounds_us.iter().map(|bound| seconds(*bound));
        let ends: Vec<f64> = ends.chain([f64::INFINITY]).collect();
        for (value, cell) in self.label.1.iter().zip(self.cells.iter()) {
            let counts = cell.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
            let buckets: Vec<(f64, u64)> = ends.iter().copied().zip(counts).collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            let sum = seconds(cell.sum_us.load(Ordering::Relaxed));
            let labels = [(self.label.0, *value)];
            let mut series = encoder.encode_family(&labels)?;
            series.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[expect(clippy::cast_precision_loss, reason = "what is read is shown, not counted on")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tests::text_of;

    #[test]
    fn a_duration_counts_up_to_its_bucket_and_not_beyond() {
        let durations = Durations::new(("op", &["a", "b"]), &[1_000, 250_000]);
        for micros in [0, 1_000, 1_001, 250_000, 250_001] {
            durations.observe_us(1, micros);
        }
        durations.observe(1, Duration::from_secs(2));
        let text = text_of("trip_seconds", durations);
        for line in [
            r#"trip_seconds_bucket{op="b",le="0.001"} 2"#,
            r#"trip_seconds_bucket{op="b",le="0.25"} 4"#,
            r#"trip_seconds_bucket{op="b",le="+Inf"} 6"#,
            r#"trip_seconds_count{op="b"} 6"#,
            r#"trip_seconds_sum{op="b"} 2.502002"#,
            r#"trip_seconds_count{op="a"} 0"#,
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
