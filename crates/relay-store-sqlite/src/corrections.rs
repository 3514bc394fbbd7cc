//! Corrections of what settled requests came to.

use std::sync::Arc;

use async_trait::async_trait;
use relay_domain::{Calendar, LimitScope, NanoUsd, Timestamp};
use relay_store::statistics::{CommitCells, Hour};
use relay_store::{Corrected, Correction, Corrections, StoreError, StoredRecord};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use crate::batch::blob;
use crate::error::SqliteError;
use crate::spent::Amount;
use crate::store::SqliteStore;
use crate::usage::{columns, into_record};
use crate::writer::File;
use crate::{counters, limit_rows, own_days, statistics};

#[async_trait]
impl Corrections for SqliteStore {
    /// One transaction for all of them. What memory knows of budgets is then read from the file again.
    async fn correct(
        &self,
        corrections: &[Correction],
        _now: Timestamp,
    ) -> Result<Vec<Corrected>, StoreError> {
        let (core, corrections) = (self.core(), corrections.to_vec());
        let (queue, calendar) = (Arc::clone(core.serving()?), core.options.calendar);
        let correct = {
            let queue = Arc::clone(&queue);
            move |file: &mut File| {
                // What is corrected must have been counted as it was.
                file.count()?;
                let outcome = write(&mut file.connection, &corrections, calendar);
                // Also after a failure: the commit may have happened.
                let spent = &mut queue.state().holds.book.spent;
                for (scope, _) in corrections.iter().flat_map(Correction::spent) {
                    spent.forget(&scope);
                }
                outcome
            }
        };
        queue.run_as_writer(correct).await
    }
}

fn write(
    connection: &mut Connection,
    corrections: &[Correction],
    calendar: Calendar,
) -> Result<Vec<Corrected>, StoreError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(SqliteError::from)?;
    let begins = statistics::begins(&transaction)?;
    let mut cells = CommitCells::new(calendar);
    let mut outcomes = Vec::with_capacity(corrections.len());
    for correction in corrections {
        if !replace(&transaction, correction)? {
            outcomes.push(Corrected::NotAsRead);
            continue;
        }
        let counted_at = correction.counted_at();
        // What was taken in from elsewhere, or is older than statistics are, is in none.
        if begins.is_some_and(|begins| begins <= Hour::of(calendar, counted_at)) {
            cells.correct(correction.before(), &correction.after(), counted_at);
        }
        move_sums(&transaction, correction, calendar).map_err(SqliteError::from)?;
        outcomes.push(Corrected::Made);
    }
    statistics::append(&transaction, &cells).map_err(SqliteError::from)?;
    transaction.commit().map_err(SqliteError::from)?;
    Ok(outcomes)
}

/// Replaces the record, if it is as it was read.
fn replace(connection: &Connection, correction: &Correction) -> Result<bool, StoreError> {
    let (before, after) = (correction.before(), correction.after());
    let found = connection
        .prepare_cached("SELECT id, record FROM request WHERE id = ?1")
        .and_then(|mut read| read.query_row([blob(before.id)], columns).optional())
        .map_err(SqliteError::from)?;
    if found.map(into_record).transpose()?.as_ref() != Some(before) {
        return Ok(false);
    }
    let cost = after.cost.map(NanoUsd::as_nanos);
    let form = serde_json::to_string(&StoredRecord::from(after)).map_err(SqliteError::from)?;
    connection
        .prepare_cached("UPDATE request SET record = ?2, cost = ?3 WHERE id = ?1")
        .and_then(|mut write| write.execute(params![blob(before.id), form, cost]))
        .map_err(SqliteError::from)?;
    Ok(true)
}

/// Moves counters, and what of budgets does not follow from them.
fn move_sums(
    connection: &Connection,
    correction: &Correction,
    calendar: Calendar,
) -> rusqlite::Result<()> {
    counters::correct(connection, correction, calendar)?;
    let counted_at = correction.counted_at();
    for (scope, spent) in correction.spent() {
        let difference = Amount { all: spent.all, claude: spent.claude };
        limit_rows::correct_restart(connection, &scope, difference, counted_at)?;
        if let LimitScope::Account(account) = &scope {
            own_days::count(connection, account, spent.all, (calendar, counted_at))?;
        }
    }
    Ok(())
}
