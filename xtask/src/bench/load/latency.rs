//! Percentiles of a set of times.

use std::time::Duration;

/// The median and the 99th percentile, in milliseconds; zero when there is nothing.
pub(crate) fn percentiles_ms(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort_unstable();
    let at = |percent: usize| {
        let rank = (times.len() * percent).div_ceil(100).saturating_sub(1);
        times.get(rank).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    (at(50), at(99))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let ms =
            |range: std::ops::RangeInclusive<u64>| range.rev().map(Duration::from_millis).collect();
        let near = |(a, b): (f64, f64), expected: (f64, f64)| {
            (a - expected.0).abs() < 1e-9 && (b - expected.1).abs() < 1e-9
        };
        assert!(near(percentiles_ms(ms(1..=200)), (100.0, 198.0)));
        assert!(near(percentiles_ms(ms(7..=7)), (7.0, 7.0)));
        assert!(near(percentiles_ms(Vec::new()), (0.0, 0.0)));
    }
}
