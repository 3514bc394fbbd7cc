//! Several settlements as one call: each atomic with the removal of its hold, their counters added up.

use redis::Pipeline;
use relay_domain::{Calendar, Period, RequestId, Timestamp};
use relay_store::statistics::CommitCells;
use relay_store::{Charge, Settlement, StoreError, StoredRecord};
use serde::Serialize;

use crate::counters::Increments;
use crate::keyspace::{AccountFamily, Keyspace};
use crate::scripts::Script;
use crate::statistics;

/// A settlement with what can be computed of it before it meets others in a batch.
pub(super) struct Prepared {
    settlement: Settlement,
    record_json: String,
    periods: [Period; 4],
}

/// The value of a binding: v1's, with the end that v1 leaves to the name's lifetime.
#[derive(Serialize)]
struct BindingForm<'a> {
    #[serde(rename = "accountId")]
    account: &'a str,
    #[serde(rename = "accountType")]
    kind: &'static str,
    until: Timestamp,
}

impl Prepared {
    /// Prepares a settlement that ended in `calendar`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if its record cannot be written as JSON.
    pub(super) fn new(settlement: &Settlement, calendar: Calendar) -> Result<Self, StoreError> {
        let Settlement { record, charge, bind, budgets, now } = settlement.clone();
        let stored = StoredRecord::from(record);
        let record_json =
            serde_json::to_string(&stored).map_err(|error| StoreError::Refused(Box::new(error)))?;
        let settlement = Settlement { record: stored.into(), charge, bind, budgets, now };
        Ok(Self { settlement, record_json, periods: calendar.periods(now) })
    }

    /// Which request it ends.
    pub(super) fn request(&self) -> RequestId {
        self.settlement.record.id
    }
}

/// What a batch is to be done with.
pub(super) struct Terms<'a> {
    pub(super) keyspace: &'a Keyspace,
    pub(super) script: &'a Script,
    pub(super) calendar: Calendar,
    /// How many records are kept.
    pub(super) record_capacity: usize,
    /// Only requests whose lease has ended by then may be settled.
    pub(super) ended_by: Option<Timestamp>,
}

/// The call of `settle.lua` for `batch`, whose requests must differ.
pub(super) fn call(batch: &[&Prepared], terms: &Terms<'_>) -> Result<Pipeline, StoreError> {
    let keyspace = terms.keyspace;
    let mut parts = Parts::new(terms.calendar);
    for prepared in batch {
        parts.add(&prepared.settlement, prepared.periods, keyspace)?;
    }
    let Parts { bindings, keys, accounts, increments, cells } = &parts;
    let names = 5 + 2 * batch.len() + bindings.len() + keys.len() + accounts.len();

    let mut command = terms.script.call(names + 4 * increments.len());
    command.arg(keyspace.holds()).arg(keyspace.records()).arg(keyspace.record_index());
    command.arg(keyspace.keys_by_use()).arg(keyspace.statistics_fresh());
    for prepared in batch {
        command.arg(keyspace.hold(prepared.request()));
    }
    for prepared in batch {
        command.arg(keyspace.concurrency(&prepared.settlement.record.key));
    }
    for (name, _, _) in bindings {
        command.arg(name);
    }
    for (id, _) in keys {
        command.arg(keyspace.key(id));
    }
    for ((family, id), _) in accounts {
        command.arg(keyspace.account(*family, id));
    }
    for name in increments.names(keyspace) {
        command.arg(name);
    }

    command.arg(batch.len()).arg(bindings.len()).arg(keys.len()).arg(accounts.len());
    command.arg(increments.len()).arg(terms.record_capacity);
    match terms.ended_by {
        Some(moment) => command.arg(moment.as_millis()),
        None => command.arg(""),
    };
    for prepared in batch {
        let record = &prepared.settlement.record;
        command.arg(record.id.to_string()).arg(&prepared.record_json);
        command.arg(record.id.arrived_at().as_millis());
    }
    for (_, value, lifetime_ms) in bindings {
        command.arg(value).arg(*lifetime_ms);
    }
    for (id, used) in keys {
        command.arg(*id).arg(used.to_string()).arg(used.as_millis());
    }
    for (_, used) in accounts {
        command.arg(used.to_string());
    }
    for (kind, added) in increments.arguments() {
        command.arg(kind);
        for increment in added {
            command.arg(increment.to_string());
        }
    }
    for fresh in cells.written() {
        command.arg(statistics::element(&fresh));
    }
    let mut pipeline = Pipeline::with_capacity(1);
    pipeline.add_command(command);
    Ok(pipeline)
}

/// What a batch touches besides its requests.
struct Parts<'a> {
    /// Name, value, lifetime in milliseconds.
    bindings: Vec<(String, String, u64)>,
    keys: Vec<(&'a str, Timestamp)>,
    accounts: Vec<((AccountFamily, &'a str), Timestamp)>,
    increments: Increments,
    cells: CommitCells,
}

impl<'a> Parts<'a> {
    fn new(calendar: Calendar) -> Self {
        Self {
            bindings: Vec::new(),
            keys: Vec::new(),
            accounts: Vec::new(),
            increments: Increments::default(),
            cells: CommitCells::new(calendar),
        }
    }

    fn add(
        &mut self,
        settlement: &'a Settlement,
        periods: [Period; 4],
        keyspace: &Keyspace,
    ) -> Result<(), StoreError> {
        let Settlement { record, charge, bind, now, budgets: _ } = settlement;
        if let Some(bind) = bind {
            let lifetime = bind.binding.until.since(*now).as_millis();
            // A binding that has ended already is written with the shortest life: it replaces the old.
            let lifetime_ms = u64::try_from(lifetime).unwrap_or(u64::MAX).clamp(1, MAX_LIFETIME_MS);
            let kind = AccountFamily::of_new(record.platform).sticky_kind();
            let account = bind.binding.account.as_str();
            let form = BindingForm { account, kind, until: bind.binding.until };
            let value = serde_json::to_string(&form)
                .map_err(|error| StoreError::Refused(Box::new(error)))?;
            let name = keyspace.binding(record.platform, &bind.affinity);
            self.bindings.push((name, value, lifetime_ms));
        }
        if *charge == Charge::Release {
            return Ok(());
        }
        used_at(&mut self.keys, record.key.as_str(), *now);
        if let Some(account) = &record.account {
            for family in AccountFamily::of_platform(record.platform) {
                used_at(&mut self.accounts, (*family, account.as_str()), *now);
            }
        }
        self.increments.count(record, periods);
        self.cells.count(record, *now);
        Ok(())
    }
}

/// The longest lifetime that is given to a name: Redis refuses absurd ones.
const MAX_LIFETIME_MS: u64 = 1_000 * 24 * 3_600_000;

fn used_at<T: PartialEq>(uses: &mut Vec<(T, Timestamp)>, id: T, now: Timestamp) {
    match uses.iter_mut().find(|(known, _)| *known == id) {
        Some((_, latest)) => *latest = now.max(*latest),
        None => uses.push((id, now)),
    }
}
