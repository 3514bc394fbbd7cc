//! What one commit writes: every settlement, checkpoint and hold that came up meanwhile.

use relay_domain::{
    AccountId, Calendar, LimitPeriod, LimitScope, ModelName, NanoUsd, RequestId, Timestamp,
};
use relay_store::budgets::spent_by;
use relay_store::statistics::CommitCells;
use relay_store::{Charge, Rebind, Settlement, StoreError, StoredRecord};
use rusqlite::{Connection, TransactionBehavior, params};

use crate::counters::Counters;
use crate::error::{SqliteError, corrupt};
use crate::holds::Hold;
use crate::limit_rows::{self, count_in_window};
use crate::stored::{HoldForm, millis, moment, outcome_name};
use crate::windows::Window;
use crate::{own_days, statistics};

/// What one commit writes.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) settlements: Vec<Settling>,
    /// Holds to write or to write anew.
    pub(crate) holds: Vec<(RequestId, Hold)>,
    /// Holds to remove for another reason than a settlement.
    pub(crate) void: Vec<RequestId>,
    /// Rate windows that have changed since they were written last.
    pub(crate) windows: Vec<(LimitScope, Window)>,
}

/// A settlement that is being written.
pub(crate) struct Settling {
    pub(crate) settlement: Settlement,
    /// Whether the file may have the hold. One whose request ended soon never came there.
    pub(crate) hold_is_stored: bool,
    /// Whose rate windows it counts in.
    pub(crate) windows: Vec<LimitScope>,
    /// The account's day that it counts in, if that does not begin on the hour: the file has to have it
    /// before the settlement is written.
    pub(crate) own_day: Option<(AccountId, LimitPeriod)>,
}

/// What a commit has written of settlements.
pub(crate) struct Written {
    /// The requests that the file knew to be settled: of them nothing is written, whatever memory thinks,
    /// for a commit that reported a failure may have happened.
    pub(crate) settled_before: Vec<RequestId>,
    /// What the others have used, which is in their records only.
    pub(crate) counters: Counters,
    /// How many they are.
    pub(crate) kept: u64,
    /// Where the last of them is.
    pub(crate) last: i64,
}

impl Batch {
    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.settlements.is_empty()
            && self.holds.is_empty()
            && self.void.is_empty()
            && self.windows.is_empty()
    }

    /// Writes all of it, or nothing.
    pub(crate) fn write(
        &self,
        connection: &mut Connection,
        calendar: Calendar,
    ) -> Result<Written, SqliteError> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut remove = transaction.prepare_cached("DELETE FROM hold WHERE request = ?1")?;
            for request in &self.void {
                remove.execute([blob(*request)])?;
            }
            let stored = self.settlements.iter().filter(|settling| settling.hold_is_stored);
            for settling in stored {
                remove.execute([blob(settling.settlement.record.id)])?;
            }
        }
        limit_rows::write_windows(&transaction, &self.windows)?;
        let written = self.write_settlements(&transaction, calendar)?;
        self.write_holds(&transaction)?;
        transaction.commit()?;
        Ok(written)
    }

    fn write_settlements(
        &self,
        connection: &Connection,
        calendar: Calendar,
    ) -> Result<Written, SqliteError> {
        let (mut settled_before, mut counters) = (Vec::new(), Counters::new(calendar));
        let (mut kept, mut last) = (0, 0);
        let mut cells = CommitCells::new(calendar);
        let has_own_days = own_days::are_kept(connection)?;
        // Always behind the last that was counted, even if all records have been dropped since.
        let mut keep = connection.prepare_cached(
            "INSERT INTO request (seq, id, record, key_id, account_id, model, served_model, status,
                 outcome, cost, counted_at)
             VALUES (
                 1 + max((SELECT seq FROM counted), (SELECT coalesce(max(seq), 0) FROM request)),
                 ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10
             ) ON CONFLICT (id) DO NOTHING",
        )?;
        for Settling { settlement, windows, .. } in &self.settlements {
            let record = &settlement.record;
            let form = serde_json::to_string(&StoredRecord::from(record.clone()))?;
            let columns = params![
                blob(record.id),
                form,
                record.key.as_str(),
                record.account.as_ref().map(AccountId::as_str),
                record.model.as_str(),
                record.served_model.as_ref().map(ModelName::as_str),
                record.status,
                outcome_name(record.outcome)?,
                record.cost.map(NanoUsd::as_nanos),
                (settlement.charge == Charge::Count).then(|| millis(settlement.now)),
            ];
            if keep.execute(columns)? == 0 {
                settled_before.push(record.id);
                continue;
            }
            kept += 1;
            last = connection.last_insert_rowid();
            match settlement.charge {
                Charge::Count => {
                    counters.count(record, settlement.now);
                    cells.count(record, settlement.now);
                    for scope in windows {
                        let amounts = (record.usage.total().get(), spent_by(record, scope));
                        count_in_window(connection, scope, amounts, settlement.now)?;
                    }
                    if let Some(account) = record.account.as_ref().filter(|_| has_own_days) {
                        let spent = spent_by(record, &LimitScope::Account(account.clone()));
                        own_days::count(connection, account, spent, (calendar, settlement.now))?;
                    }
                }
                Charge::Release => {}
            }
            if let Some(bind) = &settlement.bind {
                write_binding(connection, bind)?;
            }
        }
        statistics::append(connection, &cells)?;
        Ok(Written { settled_before, counters, kept, last })
    }

    fn write_holds(&self, connection: &Connection) -> Result<(), SqliteError> {
        let mut write = connection.prepare_cached(
            "INSERT INTO hold (request, lease_until, hold) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET lease_until = excluded.lease_until, hold = excluded.hold",
        )?;
        for (request, hold) in &self.holds {
            let form = serde_json::to_string(&HoldForm::of(hold))?;
            write.execute(params![blob(*request), millis(hold.lease_until), form])?;
        }
        Ok(())
    }
}

fn write_binding(connection: &Connection, bind: &Rebind) -> rusqlite::Result<()> {
    let mut write = connection.prepare_cached(
        "INSERT INTO binding (affinity, account, until) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET account = excluded.account, until = excluded.until",
    )?;
    let binding = &bind.binding;
    let columns = params![bind.affinity.as_str(), binding.account.as_str(), millis(binding.until)];
    write.execute(columns).map(drop)
}

/// Every hold in the file.
pub(crate) fn read_holds(connection: &Connection) -> Result<Vec<(RequestId, Hold)>, StoreError> {
    type Row = ([u8; 16], i64, String);
    let read = || -> rusqlite::Result<Vec<Row>> {
        let mut read = connection.prepare("SELECT request, lease_until, hold FROM hold")?;
        let rows = read.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect()
    };
    let holds =
        read().map_err(SqliteError::from)?.into_iter().map(|(request, lease_until, hold)| {
            let request = request_id(request);
            let form: HoldForm = serde_json::from_str(&hold)
                .map_err(|why| corrupt(format!("the hold of {request}"), why))?;
            Ok((request, form.into_hold(moment(lease_until))))
        });
    holds.collect()
}

/// A request's id as a column has it. It sorts as the id does.
pub(crate) fn blob(request: RequestId) -> [u8; 16] {
    request.as_u128().to_be_bytes()
}

/// The id of a column.
pub(crate) fn request_id(blob: [u8; 16]) -> RequestId {
    let number = u128::from_be_bytes(blob);
    let millis = u64::try_from(number >> 80).unwrap_or(u64::MAX);
    RequestId::new(Timestamp::from_millis(millis), number)
}
