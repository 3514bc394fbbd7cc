//! v1's sets of what was used when. Without them a v1 finds none of the counters.

use std::collections::HashMap;

use relay_domain::{Period, PeriodKind};

use super::families::Counted;
use crate::call::Call;
use crate::keyspace::{Index, Keyspace};

const DAY: u64 = 24 * 3_600;

/// What a batch adds to indexes.
#[derive(Debug, Default)]
pub(crate) struct Indexes {
    members: HashMap<(Index, Period), Vec<String>>,
    months: Vec<Period>,
}

impl Indexes {
    /// Adds what was counted in `periods`. The same is added once by a caller that counts it once.
    pub(crate) fn add(&mut self, counted: &Counted, periods: [Period; 4]) {
        let Some((index, member, kinds)) = counted.indexed() else { return };
        for period in periods.into_iter().filter(|period| kinds.contains(&period.kind())) {
            self.members.entry((index, period)).or_default().push(member.clone());
            if period.kind() == PeriodKind::Month && !self.months.contains(&period) {
                self.months.push(period);
            }
        }
    }

    /// Appends the indexes.
    pub(crate) fn write(&self, call: &mut Call<'_>, keyspace: &Keyspace) {
        call.arg(self.members.len() + self.months.len());
        for ((index, period), members) in &self.members {
            let name = keyspace.index(*index, *period);
            let lifetime = match period.kind() {
                PeriodKind::Hour => 7 * DAY,
                PeriodKind::Day => 32 * DAY,
                PeriodKind::Month | PeriodKind::Total => 365 * DAY,
            };
            call.name(name.clone());
            call.name(keyspace.emptiness(&name));
            call.arg(lifetime);
            call.arg(members.len());
            for member in members {
                call.arg(member.clone());
            }
        }
        for month in &self.months {
            call.name(keyspace.months());
            call.name(keyspace.emptiness(keyspace.months()));
            call.arg("");
            call.arg(1_u64);
            call.arg(month.to_string());
        }
    }
}
