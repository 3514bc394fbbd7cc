//! The figures of all rounds, and their medians.

use std::collections::BTreeMap;

use super::candidate::Name;

/// What is measured.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Figure {
    RequestsPerSecond,
    CpuPerRequest,
    CpuPerLargeRequest,
    Median,
    AddedMedian,
    Percentile99,
    AddedPercentile99,
    FirstToken,
    AddedFirstToken,
    CpuPerThousandEvents,
    KilobytesPerStream,
    IdleMegabytes,
}

/// Every value of every round.
#[derive(Default)]
pub(crate) struct Results {
    values: BTreeMap<(Figure, Name), Vec<f64>>,
}

impl Results {
    /// Adds the value of one more round.
    pub(crate) fn push(&mut self, name: Name, figure: Figure, value: f64) {
        self.values.entry((figure, name)).or_default().push(value);
    }

    /// The value of the latest round.
    pub(crate) fn last(&self, name: Name, figure: Figure) -> Option<f64> {
        self.rounds(name, figure).last().copied()
    }

    /// The values of all rounds, in order.
    pub(crate) fn rounds(&self, name: Name, figure: Figure) -> &[f64] {
        self.values.get(&(figure, name)).map_or(&[], Vec::as_slice)
    }

    /// The median over the rounds.
    pub(crate) fn median(&self, name: Name, figure: Figure) -> Option<f64> {
        median(self.rounds(name, figure).to_vec())
    }

    /// The median over the rounds of the ratio to nginx in the same round.
    pub(crate) fn ratio_to_nginx(&self, name: Name, figure: Figure) -> Option<f64> {
        let nginx = self.rounds(Name::Nginx, figure);
        median(self.rounds(name, figure).iter().zip(nginx).map(|(value, of)| value / of).collect())
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get(values.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_taken_over_rounds_and_ratios_inside_them() {
        let mut results = Results::default();
        // The second round was disturbed for both: the ratio does not care.
        for (nginx, relay) in [(10.0, 20.0), (100.0, 190.0), (11.0, 22.0), (12.0, 25.2)] {
            results.push(Name::Nginx, Figure::CpuPerRequest, nginx);
            results.push(Name::Embedded, Figure::CpuPerRequest, relay);
        }
        let near =
            |value: Option<f64>, expected: f64| value.is_some_and(|v| (v - expected).abs() < 1e-9);
        assert!(near(results.median(Name::Nginx, Figure::CpuPerRequest), 11.5));
        assert!(near(results.ratio_to_nginx(Name::Embedded, Figure::CpuPerRequest), 2.0));
        assert!(near(results.last(Name::Embedded, Figure::CpuPerRequest), 25.2));
        assert_eq!(results.median(Name::Direct, Figure::CpuPerRequest), None);
        assert_eq!(results.ratio_to_nginx(Name::Redis, Figure::CpuPerRequest), None);
    }
}
