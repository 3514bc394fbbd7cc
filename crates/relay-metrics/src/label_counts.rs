//! Counters by a label whose values are not known beforehand, and may be chosen by strangers: so many get a
//! counter of their own, and all others share one.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// What stands for every value that got no counter of its own.
const OTHER: &str = "other";

/// A counter for each of the first values of one label, and one for the others. Clones are the same
/// counters.
#[derive(Clone, Debug)]
pub(crate) struct LabelCounts {
    label: &'static str,
    slots: Arc<[Slot]>,
    others: Arc<AtomicU64>,
}

/// Free until it gets a value, which it then keeps.
#[derive(Debug, Default)]
struct Slot {
    value: OnceLock<Box<str>>,
    count: AtomicU64,
}

impl LabelCounts {
    /// So many values get a counter of their own.
    pub(crate) fn new(label: &'static str, most: usize) -> Self {
        let slots = (0..most).map(|_| Slot::default()).collect();
        Self { label, slots, others: Arc::default() }
    }

    /// Counts one under `value`.
    pub(crate) fn count(&self, value: &str) {
        // Slots are filled in their order, so the first free one is behind all that are taken.
        let own = self
            .slots
            .iter()
            .filter(|_| value != OTHER)
            .find(|slot| **slot.value.get_or_init(|| value.into()) == *value);
        own.map_or(&*self.others, |slot| &slot.count).fetch_add(1, Ordering::Relaxed);
    }
}

impl EncodeMetric for LabelCounts {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let known = self.slots.iter().map_while(|slot| Some((&**slot.value.get()?, &slot.count)));
        for (value, count) in known.chain([(OTHER, &*self.others)]) {
            let labels = [(self.label, value)];
            let mut series = encoder.encode_family(&labels)?;
            series.encode_counter::<NoLabelSet, _, u64>(&count.load(Ordering::Relaxed), None)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tests::text_of;

    #[test]
    fn the_first_values_have_their_own_series_and_the_rest_share_one() {
        let counts = LabelCounts::new("model", 2);
        for value in ["a\"\\\n", "b", "c", "b", "d", OTHER] {
            counts.count(value);
        }
        let text = text_of("seen", counts);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                r#"seen_total{model="a\"\\\n"} 1"#,
                r#"seen_total{model="b"} 2"#,
                r#"seen_total{model="other"} 3"#,
            ]
        );
    }

    #[test]
    fn values_that_come_at_once_are_each_counted_once() {
        let counts = LabelCounts::new("model", 8);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..1_000 {
                        counts.count(["a", "b", "c"][round % 3]);
                    }
                });
            }
        });
        let text = text_of("seen", counts);
        assert!(text.contains(r#"seen_total{model="a"} 1336"#), "{text}");
        assert!(text.contains(r#"seen_total{model="c"} 1332"#), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("seen_total")).count(), 4);
    }
}
