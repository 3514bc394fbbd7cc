//! What a commit counts.

use relay_domain::{Calendar, RequestRecord, Timestamp};

use super::cells::Cells;
use super::hours::Hour;
use super::roll::Fresh;

/// The cells of a commit, by the hour in which they count.
#[derive(Debug)]
pub struct CommitCells {
    calendar: Calendar,
    hours: Vec<(Hour, Cells)>,
}

impl CommitCells {
    /// None yet.
    #[must_use]
    pub fn new(calendar: Calendar) -> Self {
        Self { calendar, hours: Vec::new() }
    }

    /// Counts a request that ended at `now`.
    pub fn count(&mut self, record: &RequestRecord, now: Timestamp) {
        let hour = Hour::of(self.calendar, now);
        let at = self.hours.iter().position(|(known, _)| *known == hour);
        let at = at.unwrap_or_else(|| {
            self.hours.push((hour, Cells::default()));
            self.hours.len() - 1
        });
        if let Some((_, cells)) = self.hours.get_mut(at) {
            cells.count(record);
        }
    }

    /// What is to be appended in one atomic step with the commit.
    pub fn written(&self) -> impl Iterator<Item = Fresh> + '_ {
        self.hours.iter().map(|(hour, cells)| Fresh { hour: *hour, written: cells.write() })
    }
}
