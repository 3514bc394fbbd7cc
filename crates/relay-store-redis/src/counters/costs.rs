//! v1's sums of what a key cost and was charged, each a text of dollars under a name of its own. Budgets of
//! keys are read from them.

use std::collections::HashMap;

use relay_domain::{KeyId, NanoUsd, Period};

use super::amounts::Amounts;
use crate::call::Call;
use crate::keyspace::Keyspace;

const DAY: u64 = 24 * 3_600;
/// How long v1 keeps what a key was charged for Claude models in a week, in seconds.
pub(crate) const CLAUDE_WEEK_S: u64 = 14 * DAY;

/// What a batch adds to sums.
#[derive(Debug, Default)]
pub(crate) struct Costs {
    /// By key, period (a total is every period) and week of the key.
    added: HashMap<(KeyId, [Period; 4], String), Amounts>,
    /// By key and another week.
    elsewhere: HashMap<(KeyId, String), Amounts>,
}

impl Costs {
    /// Adds a counted request of a key, in these periods and this week of the key.
    pub(crate) fn add(&mut self, key: &KeyId, periods: [Period; 4], week: &str, added: &Amounts) {
        *self.added.entry((key.clone(), periods, week.to_owned())).or_default() += added;
    }

    /// Adds a request that was added before, in another week of the key.
    pub(crate) fn add_elsewhere(&mut self, key: &KeyId, week: &str, added: &Amounts) {
        *self.elsewhere.entry((key.clone(), week.to_owned())).or_default() += added;
    }

    /// Appends the sums. Like v1's, none begins with nothing.
    pub(crate) fn write(&self, call: &mut Call<'_>, keyspace: &Keyspace) {
        let mut all: Vec<Sum> = Vec::with_capacity(10 * self.added.len());
        for ((key, periods, week), amounts) in &self.added {
            all.extend(sums(key, *periods, week, amounts, keyspace));
        }
        for ((key, week), amounts) in &self.elsewhere {
            all.extend(sums_of_week(key, week, amounts, keyspace));
        }
        all.retain(|(_, amount, _)| *amount != NanoUsd::ZERO);
        call.arg(all.len());
        for (name, amount, lifetime) in all {
            call.name(name);
            // Plain decimals of integers: no float on the way.
            call.arg(amount.to_string());
            call.optional(lifetime);
        }
    }
}

/// The name of a sum, what is added to it, and how long it is kept after that, in seconds.
pub(super) type Sum = (String, NanoUsd, Option<u64>);

/// The sums to which `amounts` of a key are added, in these periods and this week of the key.
pub(super) fn sums(
    key: &KeyId,
    [total, month, day, hour]: [Period; 4],
    week: &str,
    amounts: &Amounts,
    keyspace: &Keyspace,
) -> [Sum; 10] {
    let Amounts { cost, charged, claude_cost, claude_charged, .. } = *amounts;
    let [week_charged, week_cost] = sums_of_week(key, week, amounts, keyspace);
    [
        (keyspace.charged(key, day), charged, Some(30 * DAY)),
        (keyspace.charged(key, month), charged, Some(90 * DAY)),
        (keyspace.charged(key, hour), charged, Some(7 * DAY)),
        (keyspace.charged(key, total), charged, None),
        (keyspace.cost(key, total), cost, None),
        (keyspace.cost(key, day), cost, Some(30 * DAY)),
        week_charged,
        (keyspace.claude_charged(key, None), claude_charged, None),
        week_cost,
        (keyspace.claude_cost(key, None), claude_cost, None),
    ]
}

/// Those of them that belong to the week.
fn sums_of_week(key: &KeyId, week: &str, amounts: &Amounts, keyspace: &Keyspace) -> [Sum; 2] {
    let Amounts { claude_cost, claude_charged, .. } = *amounts;
    let week = Some(week);
    [
        (keyspace.claude_charged(key, week), claude_charged, Some(CLAUDE_WEEK_S)),
        (keyspace.claude_cost(key, week), claude_cost, Some(CLAUDE_WEEK_S)),
    ]
}
