//! What the sections have against their values.

use std::ops::RangeInclusive;

use super::Problem;

/// What the sections have against their values, all of it.
#[derive(Default)]
pub(super) struct Objections(Vec<(&'static str, String)>);

impl Objections {
    /// The setting at `path` cannot be used.
    pub(super) fn add(&mut self, path: &'static str, why: impl Into<String>) {
        self.0.push((path, why.into()));
    }

    /// Refuses a number outside of `range`, in the unit that the setting's name says.
    pub(super) fn within(&mut self, path: &'static str, value: u64, range: RangeInclusive<u64>) {
        if !range.contains(&value) {
            let (start, end) = (range.start(), range.end());
            self.add(path, format!("{value} is not between {start} and {end}"));
        }
    }

    /// The same as problems; `origin` tells where the value of a setting came from.
    pub(super) fn into_problems(self, origin: impl Fn(&str) -> String) -> Vec<Problem> {
        let problem = |(path, why): (&str, String)| Problem::Unusable {
            path: path.to_owned(),
            origin: origin(path),
            why,
        };
        self.0.into_iter().map(problem).collect()
    }
}
