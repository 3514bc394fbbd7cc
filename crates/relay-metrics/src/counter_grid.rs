//! Counters by labels of which every value is known beforehand: one for each combination, in one row of
//! atomics.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// A label and the values that it may have.
pub(crate) type Axis = (&'static str, &'static [&'static str]);

/// What the counters count.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counts {
    /// Things.
    Whole,
    /// Nano-dollars, shown as dollars.
    NanoDollars,
}

/// One counter for each combination of the values of `N` labels. Clones are the same counters.
#[derive(Clone, Debug)]
pub(crate) struct CounterGrid<const N: usize> {
    axes: [Axis; N],
    counts: Counts,
    cells: Arc<[AtomicU64]>,
}

impl<const N: usize> CounterGrid<N> {
    pub(crate) fn new(axes: [Axis; N], counts: Counts) -> Self {
        let size = axes.iter().map(|(_, values)| values.len()).product();
        Self { axes, counts, cells: (0..size).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Adds to the counter at `place`: for each label the position of its value.
    pub(crate) fn add(&self, place: [usize; N], amount: u64) {
        let index =
            place.iter().zip(&self.axes).fold(0, |i, (at, (_, values))| i * values.len() + at);
        if let Some(cell) = self.cells.get(index) {
            cell.fetch_add(amount, Ordering::Relaxed);
        }
    }

    /// The labels of the cell with this index.
    fn labels(&self, mut index: usize) -> [(&'static str, &'static str); N] {
        let mut labels = [("", ""); N];
        for (label, (name, values)) in labels.iter_mut().zip(&self.axes).rev() {
            *label = (name, values[index % values.len()]);
            index /= values.len();
        }
        labels
    }
}

impl<const N: usize> EncodeMetric for CounterGrid<N> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (index, cell) in self.cells.iter().enumerate() {
            let (labels, value) = (self.labels(index), cell.load(Ordering::Relaxed));
            let mut series = encoder.encode_family(&labels)?;
            match self.counts {
                Counts::Whole => series.encode_counter::<NoLabelSet, _, u64>(&value, None)?,
                Counts::NanoDollars => {
                    series.encode_counter::<NoLabelSet, _, u64>(&dollars(value), None)?;
                }
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

/// At the edge money becomes a float, because Prometheus knows nothing else.
#[expect(clippy::cast_precision_loss, reason = "what is read is shown, not counted on")]
fn dollars(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tests::text_of;

    #[test]
    fn every_combination_has_a_series_of_its_own() {
        let grid = CounterGrid::new([("a", &["x", "y"]), ("b", &["1", "2", "3"])], Counts::Whole);
        grid.add([1, 2], 5);
        grid.add([1, 2], 2);
        grid.add([0, 1], 1);
        let text = text_of("things", grid);
        for line in [
            r#"things_total{a="x",b="1"} 0"#,
            r#"things_total{a="x",b="2"} 1"#,
            r#"things_total{a="y",b="3"} 7"#,
        ] {
            assert!(text.contains(line), "{text}");
        }
        assert_eq!(text.lines().filter(|line| line.starts_with("things_total")).count(), 6);
    }

    #[test]
    fn money_is_shown_in_dollars() {
        let grid = CounterGrid::new([("a", &["x"])], Counts::NanoDollars);
        grid.add([0], 1_250_000_001);
        let text = text_of("cost_dollars", grid);
        assert!(text.contains(r#"cost_dollars_total{a="x"} 1.250000001"#), "{text}");
    }
}
