//! The ledger.

use std::sync::Arc;

use async_trait::async_trait;
use relay_domain::{LimitScope, LimitState, Limits, RequestId, RequestRecord, Timestamp};
use relay_store::{
    Admission, AdmitRequest, Assignment, Binding, Checkpoint, ConfigVersion, Extension, Grant,
    HoldAnswer, Ledger, Line, Settled, Settlement, StoreError, Waiting,
};
use rusqlite::{Connection, params};

use crate::batch::blob;
use crate::bindings::Unknown;
use crate::error::SqliteError;
use crate::queue::State;
use crate::reader::read_version;
use crate::spent::Unread;
use crate::store::{Access, Core, SqliteOptions, SqliteStore};
use crate::stored::millis;
use crate::writer::{File, probe, settle_orphans};
use crate::{counters, limit_rows};

/// How many records are dropped in one go, so that nobody waits long for it.
const RECORDS_DROPPED_AT_ONCE: usize = 10_000;

#[async_trait]
impl Ledger for SqliteStore {
    /// Decided in memory, at once: nothing has been spent yet, so there is nothing that must be on the
    /// disk before the request goes on. Only the first look at what somebody has spent is one at the file. A
    /// file that takes no writes lets nobody in who has limits: it could not keep what is held of them.
    async fn admit(&self, request: &AdmitRequest) -> Result<Admission, StoreError> {
        let core = self.core();
        let version = core.reader()?.version()?;
        let mut limits = [Some(&request.limits), request.group.as_ref().map(|(_, limits)| limits)]
            .into_iter()
            .flatten();
        if limits.any(|limits| !limits.are_none()) {
            core.queue.check_writable()?;
        }
        let binding = core.binding(request)?;
        let has_budget = request.limits.has_budget()
            || request.group.as_ref().is_some_and(|(_, limits)| limits.has_budget());
        let admitted = core
            .decide(|state| {
                let admitted = state.holds.admit(request)?;
                if admitted.is_void {
                    state.void.push(request.request);
                }
                if admitted.decision.is_ok() {
                    core.queue.store_later(state, request.request, has_budget);
                }
                Ok(admitted)
            })
            .await?;
        let decision = admitted.decision.map(|limits| Grant { binding, limits });
        Ok(Admission { version, decision })
    }

    async fn assign(&self, assignment: &Assignment) -> Result<HoldAnswer, StoreError> {
        let core = self.core();
        core.serving()?;
        if !assignment.limits.are_none() {
            core.queue.check_writable()?;
        }
        let has_budget = assignment.limits.has_budget();
        core.decide(|state| {
            let answer = state.holds.assign(assignment)?;
            core.queue.store_later(state, assignment.request, has_budget);
            Ok(answer)
        })
        .await
    }

    async fn extend(&self, extension: &Extension) -> Result<HoldAnswer, StoreError> {
        let core = self.core();
        core.serving()?;
        core.decide(|state| {
            let answer = state.holds.extend(extension)?;
            if answer == HoldAnswer::Held {
                core.queue.store_later(state, extension.request, true);
            }
            Ok(answer)
        })
        .await
    }

    async fn checkpoint(&self, checkpoint: &Checkpoint) -> Result<bool, StoreError> {
        let Checkpoint { request, lease_until, progress } = checkpoint;
        let queue = self.core().serving()?;
        {
            let mut state = queue.open_state()?;
            if !state.holds.checkpoint(*request, *lease_until, progress.as_ref()) {
                return Ok(false);
            }
            if progress.is_none() {
                // Who runs is known here; in the file the end of a lease matters only after a crash.
                queue.store_later(&mut state, *request, false);
                return Ok(true);
            }
        }
        queue.store_now(*request).await
    }

    async fn settle(&self, settlement: &Settlement) -> Result<Settled, StoreError> {
        self.core().serving()?.settle(settlement).await
    }

    async fn begin_waiting(&self, waiting: &Waiting) -> Result<bool, StoreError> {
        Ok(self.core().serving()?.open_state()?.waiting.begin(waiting))
    }

    async fn end_waiting(&self, line: &Line, request: RequestId) -> Result<(), StoreError> {
        self.core().serving()?.open_state()?.waiting.end(line, request);
        Ok(())
    }

    async fn standings(
        &self,
        scopes: &[(LimitScope, Limits)],
        now: Timestamp,
    ) -> Result<Vec<Vec<LimitState>>, StoreError> {
        self.core().serving()?;
        self.core().standings(scopes, now).await
    }

    async fn restart(&self, scope: &LimitScope, now: Timestamp) -> Result<(), StoreError> {
        let (queue, scope) = (Arc::clone(self.core().serving()?), scope.clone());
        let restart = {
            let queue = Arc::clone(&queue);
            move |file: &mut File| {
                // What is not counted yet would count after the restart.
                file.count()?;
                limit_rows::restart(&mut file.connection, &scope, now)?;
                let mut state = queue.state();
                state.holds.book.spent.forget(&scope);
                state.holds.book.windows.close(&scope);
                Ok(())
            }
        };
        queue.run_as_writer(restart).await
    }

    async fn reap(&self, now: Timestamp, max: usize) -> Result<Vec<RequestRecord>, StoreError> {
        let core = self.core();
        let (queue, options) = (Arc::clone(core.serving()?), core.options);
        let reap = move |file: &mut File| {
            let reaped = settle_orphans(&queue, file, (now, max))?;
            let connection = &file.connection;
            drop_bindings(connection, now)?;
            counters::prune(connection, options.calendar, now).map_err(SqliteError::from)?;
            limit_rows::prune(connection, options.calendar, now).map_err(SqliteError::from)?;
            queue.state().holds.book.windows.drop_ended(now);
            Ok(reaped)
        };
        let reaped = core.queue.run_as_writer(reap).await?;
        let drop_some =
            move |connection: &mut Connection| Ok(drop_records(connection, &options, now)?);
        // Between two of these the writer does what has come up meanwhile.
        while core.queue.run(drop_some).await? == RECORDS_DROPPED_AT_ONCE {}
        core.roll_statistics(now).await?;
        Ok(reaped)
    }

    async fn version(&self) -> Result<ConfigVersion, StoreError> {
        match self.core().options.access {
            Access::Serve => Ok(self.core().reader()?.version()?),
            Access::Administer => {
                let read = |connection: &mut Connection| Ok(read_version(connection)?);
                self.core().queue.run(read).await
            }
        }
    }

    async fn is_ready(&self) -> Result<(), StoreError> {
        let queue = Arc::clone(self.core().serving()?);
        queue.check_writable()?;
        let probing = Arc::clone(&queue);
        queue.run_as_writer(move |file| Ok(probe(&probing, file)?)).await
    }
}

impl Core {
    /// Decides something in memory. What memory does not know yet is read from the file first.
    async fn decide<T>(
        &self,
        decide: impl Fn(&mut State) -> Result<T, Unread>,
    ) -> Result<T, StoreError> {
        loop {
            let unread = match decide(&mut *self.queue.open_state()?) {
                Ok(decided) => return Ok(decided),
                Err(unread) => unread,
            };
            let queue = Arc::clone(&self.queue);
            let read = move |file: &mut File| Ok(file.read_all(&queue, &[unread])?);
            self.queue.run_as_writer(read).await?;
        }
    }

    /// How limits stand. What memory does not know yet of any of them is read from the file in one go.
    async fn standings(
        &self,
        scopes: &[(LimitScope, Limits)],
        now: Timestamp,
    ) -> Result<Vec<Vec<LimitState>>, StoreError> {
        let mut standings = vec![None; scopes.len()];
        loop {
            let mut unread = Vec::new();
            {
                let mut state = self.queue.open_state()?;
                for (standing, (scope, limits)) in standings.iter_mut().zip(scopes) {
                    if standing.is_some() {
                        continue;
                    }
                    match state.holds.book.standing(scope, limits, now) {
                        Ok(states) => *standing = Some(states),
                        Err(missing) => unread.push(missing),
                    }
                }
            }
            if unread.is_empty() {
                return Ok(standings.into_iter().flatten().collect());
            }
            let queue = Arc::clone(&self.queue);
            let read = move |file: &mut File| Ok(file.read_all(&queue, &unread)?);
            self.queue.run_as_writer(read).await?;
        }
    }

    /// The binding of a request's conversation, unless it has ended.
    fn binding(&self, request: &AdmitRequest) -> Result<Option<Binding>, StoreError> {
        let Some(affinity) = &request.affinity else { return Ok(None) };
        let known = self.queue.open_state()?.bindings.get(affinity);
        let binding = match known {
            Ok(known) => known,
            Err(Unknown { epoch }) => {
                let read = self.reader()?.binding(affinity)?;
                self.queue.open_state()?.bindings.remember(affinity, read.clone(), epoch);
                read
            }
        };
        Ok(binding.filter(|binding| request.now < binding.until))
    }
}

/// Drops the oldest records beyond the capacity, and those beyond their age, at most so many at once.
/// Returns how many.
fn drop_records(
    connection: &Connection,
    options: &SqliteOptions,
    now: Timestamp,
) -> Result<usize, SqliteError> {
    let limit = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let lifetime = u64::try_from(options.record_lifetime.as_millis()).unwrap_or(u64::MAX);
    let oldest = Timestamp::from_millis(now.as_millis().saturating_sub(lifetime));
    let outlived = connection
        .prepare_cached(
            "DELETE FROM request WHERE seq IN (
                 SELECT seq FROM request
                 WHERE id < ?1 AND (counted_at IS NULL OR seq <= (SELECT seq FROM counted))
                 ORDER BY id LIMIT ?2)",
        )?
        .execute(params![blob(RequestId::new(oldest, 0)), limit(RECORDS_DROPPED_AT_ONCE)])?;
    if outlived == RECORDS_DROPPED_AT_ONCE {
        return Ok(outlived);
    }
    let dropped = connection
        .prepare_cached(
            "DELETE FROM request WHERE seq IN (
                 SELECT seq FROM request
                 WHERE seq <= (SELECT max(seq) FROM request) - ?1
                     AND (counted_at IS NULL OR seq <= (SELECT seq FROM counted))
                 ORDER BY seq LIMIT ?2)",
        )?
        .execute(params![limit(options.record_capacity), limit(RECORDS_DROPPED_AT_ONCE)])?;
    Ok(dropped)
}

/// Drops bindings that have ended.
fn drop_bindings(connection: &Connection, now: Timestamp) -> Result<(), SqliteError> {
    connection.prepare_cached("DELETE FROM binding WHERE until <= ?1")?.execute([millis(now)])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use relay_domain::{Calendar, LimitKind, Limits, Period};
    use relay_store::contract::fixture::{
        admit_request, admitted, at, checkpoint, key_id, record, request_id, settlement, usage,
    };
    use relay_store::contract::spender::{Spender, Whose, amount, with_limit};
    use relay_store::{UsageRepository as _, UsageScope};

    use super::*;
    use crate::batch::{Batch, Settling, read_holds};
    use crate::holds::Hold;

    fn store() -> SqliteStore {
        let calendar = Calendar::UTC;
        let options = SqliteOptions {
            calendar,
            record_capacity: 10,
            record_lifetime: Duration::from_hours(24),
            access: Access::Serve,
        };
        SqliteStore::in_memory(options).unwrap()
    }

    /// From now on every write is refused, or is not any more.
    async fn refuse_writes(store: &SqliteStore, refuse: bool) {
        let switch = move |connection: &mut Connection| {
            connection.pragma_update(None, "query_only", refuse).map_err(SqliteError::from)?;
            Ok(())
        };
        store.core().queue.run(switch).await.unwrap();
    }

    /// Waits until the store has found out that it is written to again.
    async fn is_written_again(store: &SqliteStore) {
        refuse_writes(store, false).await;
        let deadline = Instant::now() + Duration::from_secs(10);
        while store.is_ready().await.is_err() {
            assert!(Instant::now() < deadline, "it takes no writes");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn requests(store: &SqliteStore) -> u64 {
        let scope = UsageScope::Key(key_id("k"));
        store.totals(&scope, Period::Total).await.unwrap().requests
    }

    fn one_at_a_time(number: u8) -> AdmitRequest {
        let limits = Limits { concurrency: Some(1), ..Limits::default() };
        AdmitRequest { limits, ..admit_request(number, "k", at(0)) }
    }

    #[tokio::test]
    async fn a_settlement_that_failed_did_not_happen_and_can_be_repeated() {
        let store = store();
        assert!(store.admit(&one_at_a_time(0)).await.unwrap().decision.is_ok());
        refuse_writes(&store, true).await;
        let end = settlement(record(0, "k"), at(1));
        let (first, second) = tokio::join!(store.settle(&end), store.settle(&end));
        assert!(first.is_err() && second.is_err(), "{first:?}, {second:?}");
        assert_eq!(requests(&store).await, 0);
        assert_eq!(store.record(request_id(0)).await.unwrap(), None);
        assert!(store.admit(&one_at_a_time(1)).await.is_err(), "nobody with limits is let in");
        assert!(store.admit(&admit_request(3, "k", at(0))).await.unwrap().decision.is_ok());
        assert!(store.is_ready().await.is_err());

        is_written_again(&store).await;
        assert!(store.admit(&one_at_a_time(1)).await.unwrap().decision.is_err(), "it is held");
        assert!(store.settle(&end).await.unwrap().is_first());
        assert!(!store.settle(&end).await.unwrap().is_first());
        assert_eq!(requests(&store).await, 1);
        let free = Limits { concurrency: Some(2), ..Limits::default() };
        let next = AdmitRequest { limits: free, ..one_at_a_time(2) };
        assert!(store.admit(&next).await.unwrap().decision.is_ok(), "one place is taken");
    }

    /// Ten of everything that is weighed in a window and in a day.
    fn budgets() -> Limits {
        let kinds = [LimitKind::WindowTokens, LimitKind::WindowCost, LimitKind::DailyCost];
        let set = |limits, kind| with_limit(limits, kind, Some(10));
        kinds.into_iter().fold(Limits::default(), set)
    }

    /// Writes a settlement as by a commit that reports a failure and yet happened: memory is not told.
    async fn commit_unnoticed(store: &SqliteStore, end: &Settlement) {
        let settling = Settling {
            settlement: end.clone(),
            hold_is_stored: true,
            windows: vec![LimitScope::Key(end.record.key.clone())],
            own_day: None,
        };
        let batch = Batch { settlements: vec![settling], ..Batch::default() };
        let write = move |file: &mut File| {
            let written = batch.write(&mut file.connection, Calendar::UTC).unwrap();
            assert_eq!((written.settled_before, written.kept), (vec![], 1));
            file.uncounted.lose();
            Ok(())
        };
        store.core().queue.run_as_writer(write).await.unwrap();
    }

    #[tokio::test]
    async fn a_settlement_that_failed_still_holds_its_budget() {
        let store = store();
        let spender = Spender::new(&store.stores(), Whose::Group, "failed", budgets());
        spender.enter(0, 6, at(0)).await.unwrap();
        refuse_writes(&store, true).await;
        assert!(store.settle(&spender.end(0, 1, at(1))).await.is_err());
        is_written_again(&store).await;
        assert!(spender.enter(1, 5, at(1)).await.is_err(), "it is not known that it came to less");
        spender.finish(0, 1, at(1)).await;
        spender.enter(1, 9, at(1)).await.unwrap();
    }

    #[tokio::test]
    async fn a_commit_that_happened_though_it_failed_is_spent_once() {
        for reaped in [false, true] {
            let store = store();
            let spender = Spender::new(&store.stores(), Whose::Key, "happened", budgets());
            spender.enter(0, 6, at(0)).await.unwrap();
            // The window is in the file, and the first look at what is spent is behind us.
            spender.enter(1, 1, at(0)).await.unwrap();
            spender.finish(1, 1, at(0)).await;
            commit_unnoticed(&store, &spender.end(0, 3, at(1))).await;
            assert!(spender.enter(2, 5, at(1)).await.is_err(), "it holds what it held");
            if reaped {
                assert_eq!(store.reap(at(60_000), 9).await.unwrap(), []);
            } else {
                assert!(!spender.settle(0, 3, at(2)).await.is_first());
            }
            let standing = spender.standing(at(60_000)).await;
            let used = |state: &LimitState| state.used / amount(state.limit, 1);
            assert_eq!(standing.iter().map(used).collect::<Vec<_>>(), [4, 4, 4], "{standing:?}");
            assert!(standing.iter().all(|state| state.held == 0), "{standing:?}");
        }
    }

    #[tokio::test]
    async fn a_hold_of_a_budget_is_written_with_the_next_commit() {
        let store = store();
        let spender = Spender::new(&store.stores(), Whose::Key, "next", budgets());
        admitted(&store.stores(), 9, "k", at(0)).await;
        spender.enter(0, 6, at(0)).await.unwrap();
        store.settle(&settlement(record(9, "k"), at(1))).await.unwrap();
        let read = |connection: &mut Connection| read_holds(connection);
        let holds = store.core().queue.run(read).await.unwrap();
        let weights: Vec<_> = holds.iter().map(|(_, hold)| hold.estimate.tokens).collect();
        assert_eq!(weights, [6]);
    }

    #[tokio::test]
    async fn a_window_that_could_not_be_written_is_written_later() {
        let store = store();
        let spender = Spender::new(&store.stores(), Whose::Key, "later", budgets());
        spender.enter(0, 1, at(0)).await.unwrap();
        refuse_writes(&store, true).await;
        assert!(store.settle(&spender.end(0, 1, at(1))).await.is_err());
        refuse_writes(&store, false).await;
        spender.finish(0, 1, at(1)).await;
        let read = |connection: &mut Connection| limit_rows::read_windows(connection);
        let windows = store.core().queue.run(read).await.unwrap();
        let window = windows.get(&spender.scope()).unwrap();
        assert_eq!((window.requests, window.tokens), (1, 1));
    }

    #[tokio::test]
    async fn a_commit_that_happened_though_it_failed_counts_once() {
        for reaped in [false, true] {
            let store = store();
            admitted(&store.stores(), 0, "k", at(0)).await;
            assert!(store.checkpoint(&checkpoint(0, at(60_000), usage(1))).await.unwrap());
            let end = settlement(record(0, "k"), at(1));
            commit_unnoticed(&store, &end).await;
            if reaped {
                assert_eq!(store.reap(at(60_000), 9).await.unwrap(), []);
            } else {
                assert!(!store.settle(&end).await.unwrap().is_first(), "it was settled before");
            }
            assert_eq!(requests(&store).await, 1, "reaped: {reaped}");
            assert_eq!(store.record(request_id(0)).await.unwrap(), Some(end.record));
            let read = |connection: &mut Connection| read_holds(connection);
            assert_eq!(store.core().queue.run(read).await.unwrap(), []);
            assert_eq!(store.reap(at(900_000), 9).await.unwrap(), []);
        }
    }

    #[tokio::test]
    async fn one_reap_drops_all_records_beyond_the_capacity() {
        let store = store();
        let fill = |connection: &mut Connection| {
            let sql = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 25000)
                 INSERT INTO request (id, record) SELECT cast(n AS BLOB), '{}' FROM n";
            Ok(connection.execute(sql, []).map_err(SqliteError::from)?)
        };
        assert_eq!(store.core().queue.run(fill).await.unwrap(), 25_000);
        store.reap(at(0), 9).await.unwrap();
        let count = |connection: &mut Connection| {
            let sql = "SELECT count(*) FROM request";
            Ok(connection.query_row(sql, [], |row| row.get(0)).map_err(SqliteError::from)?)
        };
        let left: i64 = store.core().queue.run(count).await.unwrap();
        assert_eq!(left, 10);
    }

    #[tokio::test]
    async fn a_checkpoint_that_failed_says_so_and_is_not_forgotten() {
        let store = store();
        admitted(&store.stores(), 0, "k", at(0)).await;
        refuse_writes(&store, true).await;
        assert!(store.checkpoint(&checkpoint(0, at(60_000), usage(1))).await.is_err());
        assert!(store.reap(at(60_000), 9).await.is_err());
        refuse_writes(&store, false).await;
        let reaped = store.reap(at(60_000), 9).await.unwrap();
        assert_eq!(reaped.iter().map(|orphan| orphan.usage).collect::<Vec<_>>(), [usage(1)]);
        assert_eq!(requests(&store).await, 1);
    }

    /// Waits until the file has a hold like this.
    async fn wait_for_hold(store: &SqliteStore, is_so: fn(&Hold) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let read = |connection: &mut Connection| read_holds(connection);
            let holds = store.core().queue.run(read).await.unwrap();
            if holds.iter().any(|(_, hold)| is_so(hold)) {
                return;
            }
            assert!(Instant::now() < deadline, "{holds:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_hold_is_written_some_time_later_also_after_a_failure() {
        let store = store();
        admitted(&store.stores(), 0, "k", at(0)).await;
        wait_for_hold(&store, |hold| hold.progress.is_none()).await;
        refuse_writes(&store, true).await;
        assert!(store.checkpoint(&checkpoint(0, at(60_000), usage(1))).await.is_err());
        refuse_writes(&store, false).await;
        wait_for_hold(&store, |hold| hold.progress.is_some()).await;
    }

    #[tokio::test]
    async fn a_slot_is_free_before_the_settlement_is_written() {
        let store = store();
        assert!(store.admit(&one_at_a_time(0)).await.unwrap().decision.is_ok());
        let end = settlement(record(0, "k"), at(1));
        let mut settling = std::pin::pin!(store.settle(&end));
        let polled = std::future::poll_fn(|context| {
            std::task::Poll::Ready(settling.as_mut().poll(context).is_pending())
        });
        assert!(polled.await, "a settlement waits for its commit");
        assert!(store.admit(&one_at_a_time(1)).await.unwrap().decision.is_ok());
        assert!(settling.await.unwrap().is_first());
    }

    #[tokio::test]
    async fn holds_of_requests_that_end_soon_are_never_written() {
        let store = store();
        let written = |connection: &mut Connection| Ok(connection.total_changes());
        let before = store.core().queue.run(written).await.unwrap();
        for number in 0..20 {
            admitted(&store.stores(), number, "k", at(0)).await;
            store.settle(&settlement(record(number, "k"), at(0))).await.unwrap().is_first();
        }
        let after = store.core().queue.run(written).await.unwrap();
        // A record and its statistic each; of all together a counter of key, account and model in four
        // periods, and that they are counted.
        assert_eq!(after - before, 20 * (1 + 1) + 3 * 4 + 1);
    }
}
