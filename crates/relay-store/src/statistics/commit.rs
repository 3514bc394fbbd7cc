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
        self.cells(now).count(record);
    }

    /// Corrects what a request came to that was counted at `counted_at`.
    pub fn correct(
        &mut self,
        before: &RequestRecord,
        after: &RequestRecord,
        counted_at: Timestamp,
    ) {
        self.cells(counted_at).correct(before, after);
    }

    /// The cells of the hour in which `moment` lies.
    fn cells(&mut self, moment: Timestamp) -> &mut Cells {
        let hour = Hour::of(self.calendar, moment);
        let at = self.hours.iter().position(|(known, _)| *known == hour);
        let at = at.unwrap_or_else(|| {
            self.hours.push((hour, Cells::default()));
            self.hours.len() - 1
        });
        &mut self.hours[at].1
    }

    /// What is to be appended in one atomic step with the commit.
    pub fn written(&self) -> impl Iterator<Item = Fresh> + '_ {
        self.hours.iter().map(|(hour, cells)| Fresh { hour: *hour, written: cells.write() })
    }
}

#[cfg(test)]
mod tests {
    use relay_domain::{
        KeyId, ModelName, NanoUsd, Platform, RequestId, ServedTerms, TokenCount, TokenUsage,
        UsageSource,
    };

    use super::*;
    use crate::statistics::Table;
    use crate::{Orphan, Progress, Settlement};

    const NOW: Timestamp = Timestamp::from_millis(1_795_407_776_474);

    fn unpriced(number: u128) -> RequestRecord {
        let progress = Progress {
            account: "a".to_owned().try_into().unwrap(),
            served_model: None,
            usage: TokenUsage { output: TokenCount::new(7), ..TokenUsage::ZERO },
            usage_source: UsageSource::Partial,
            terms: ServedTerms::default(),
            cost: None,
            presumed_cost: None,
            cost_by_kind: None,
            charged: None,
            edits: Vec::new(),
        };
        let orphan = Orphan {
            request: RequestId::new(NOW, number),
            key: KeyId::try_from("k").unwrap(),
            group: None,
            platform: Platform::ClaudeConsole,
            model: ModelName::try_from("m").unwrap(),
            stream: true,
            started_at: NOW,
            progress: Some(progress),
        };
        Settlement::orphaned(orphan, NOW).record
    }

    fn sum(commits: &[CommitCells]) -> Vec<u8> {
        let mut sum = Cells::default();
        for fresh in commits.iter().flat_map(CommitCells::written) {
            sum.add(&fresh.written, Table::HourCells).unwrap();
        }
        sum.write()
    }

    #[test]
    fn what_was_counted_and_corrected_is_as_if_it_had_been_counted_right() {
        let commit = |fill: &dyn Fn(&mut CommitCells)| {
            let mut cells = CommitCells::new(Calendar::UTC);
            fill(&mut cells);
            cells
        };
        let price = Some(NanoUsd::from_nanos(123_456));
        let priced = |number| RequestRecord { cost: price, charged: price, ..unpriced(number) };
        let counted = commit(&|cells| (0..3).for_each(|n| cells.count(&unpriced(n), NOW)));
        let corrected = commit(&|cells| {
            (0..2).for_each(|n| cells.correct(&unpriced(n), &priced(n), NOW));
        });
        let taken_back = commit(&|cells| cells.correct(&priced(1), &unpriced(1), NOW));
        let right = commit(&|cells| {
            cells.count(&priced(0), NOW);
            (1..3).for_each(|n| cells.count(&unpriced(n), NOW));
        });
        assert_eq!(sum(&[counted, corrected, taken_back]), sum(&[right]));
    }
}
