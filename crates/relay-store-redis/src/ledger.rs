//! The ledger in Redis. A request costs two trips on a connection that it shares with others.

mod batch;
mod hold;
mod queue;

use std::sync::Arc;

use async_trait::async_trait;
use redis::{Pipeline, Value};
use relay_domain::{
    AccountId, LimitKind, LimitScope, LimitState, Limits, RequestId, RequestRecord, Timestamp,
};
use relay_store::{
    Admission, AdmitRequest, Assignment, Binding, Checkpoint, ConfigVersion, Denial, Extension,
    Grant, HoldAnswer, Ledger, Settled, Settlement, StoreError,
};
use serde::Deserialize;

use self::batch::{Prepared, Terms};
use self::queue::{Flush, Queue};
use crate::connection::{self, SharedConnection};
use crate::fault;
use crate::keyspace::Keyspace;
use crate::shared::Shared;
use crate::statistics;

/// How much longer than the last lease in it a key's set of leases is kept, in milliseconds (v1's).
const SLOTS_GRACE_MS: u64 = 30_000;
/// How many outlived records one call of `reap` drops at most.
const DROP_AT_ONCE: usize = 1_000;

/// The ledger.
pub(crate) struct RedisLedger {
    queue: Arc<Queue<Sender>>,
}

/// What settlements and all other requests are sent with.
struct Sender {
    shared: Arc<Shared>,
    connection: SharedConnection,
}

/// A binding as v1 and Relay write it.
#[derive(Deserialize)]
struct BindingForm {
    #[serde(rename = "accountId")]
    account: AccountId,
    /// v1 leaves this to the name's lifetime.
    #[serde(default)]
    until: Option<Timestamp>,
}

impl RedisLedger {
    /// A ledger with a connection of its own, made when it is first needed.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let connection = SharedConnection::new(shared.client.clone());
        Self { queue: Arc::new(Queue::new(Sender { shared, connection })) }
    }

    fn sender(&self) -> &Sender {
        self.queue.flusher()
    }

    fn keyspace(&self) -> &Keyspace {
        &self.sender().shared.keyspace
    }

    /// What is common to every admission: versions, and the binding if a conversation is known.
    fn admission_reads(&self, request: &AdmitRequest) -> Pipeline {
        let keyspace = self.keyspace();
        let mut pipeline = Pipeline::with_capacity(4);
        pipeline.cmd("MGET").arg(keyspace.key_version()).arg(keyspace.account_version());
        if let Some(affinity) = &request.affinity {
            pipeline.cmd("GET").arg(keyspace.binding(request.platform, affinity));
        }
        pipeline
    }

    /// Takes the hold alone. The index first: an entry of it without a hold is nothing, a hold that is
    /// not in it would never be reaped.
    fn hold(&self, pipeline: &mut Pipeline, request: &AdmitRequest) -> Result<(), StoreError> {
        let id = request.request.to_string();
        let hold = hold::write(request)?;
        let keyspace = self.keyspace();
        pipeline.cmd("ZADD").arg(keyspace.holds()).arg(request.lease_until.as_millis()).arg(&id);
        pipeline.cmd("SET").arg(keyspace.hold(request.request)).arg(hold);
        pipeline.arg("PX").arg(hold::LIFETIME_MS);
        Ok(())
    }

    fn hold_with_slot(
        &self,
        pipeline: &mut Pipeline,
        request: &AdmitRequest,
        limit: u32,
    ) -> Result<(), StoreError> {
        let keyspace = self.keyspace();
        let mut command = self.sender().shared.scripts.admit.call(3);
        command.arg(keyspace.concurrency(&request.key)).arg(keyspace.holds());
        command.arg(keyspace.hold(request.request));
        command.arg(request.request.to_string()).arg(limit).arg(request.now.as_millis());
        command.arg(request.lease_until.as_millis()).arg(hold::write(request)?);
        command.arg(hold::LIFETIME_MS).arg(SLOTS_GRACE_MS);
        pipeline.add_command(command);
        Ok(())
    }

    async fn binding(
        &self,
        request: &AdmitRequest,
        answer: Value,
    ) -> Result<Option<Binding>, StoreError> {
        // v2 keeps a hash under the same name, which GET refuses: no binding of ours.
        let Value::BulkString(json) = answer else { return Ok(None) };
        let Ok(BindingForm { account, until }) = serde_json::from_slice(&json) else {
            return Ok(None);
        };
        let until = match (until, &request.affinity) {
            (Some(until), _) => until,
            (None, Some(affinity)) => {
                let name = self.keyspace().binding(request.platform, affinity);
                let mut pipeline = Pipeline::with_capacity(1);
                pipeline.cmd("PTTL").arg(name);
                let [left] = answers(self.sender().connection.send(&pipeline).await?, "PTTL")?;
                let left: i64 = connection::read(left, "PTTL")?;
                request.now.plus(std::time::Duration::from_millis(u64::try_from(left).unwrap_or(0)))
            }
            (None, None) => return Ok(None),
        };
        Ok((request.now < until).then_some(Binding { account, until }))
    }

    /// Extends the slot that a request has of its key's limit, unless it has lost it.
    async fn extend_slot(&self, key: &str, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let Ok(key) = relay_domain::KeyId::try_from(key) else { return Ok(()) };
        let Sender { shared, connection } = self.sender();
        let mut command = shared.scripts.extend_slot.call(1);
        command.arg(shared.keyspace.concurrency(&key)).arg(checkpoint.request.to_string());
        command.arg(checkpoint.lease_until.as_millis()).arg(SLOTS_GRACE_MS);
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.add_command(command);
        for answer in shared.scripts.extend_slot.send(connection, &pipeline).await? {
            connection::accepted(answer)?;
        }
        Ok(())
    }

    async fn outlived_holds(
        &self,
        now: Timestamp,
        max: usize,
    ) -> Result<Vec<RequestId>, StoreError> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("ZRANGEBYSCORE").arg(self.keyspace().holds());
        pipeline.arg("-inf").arg(now.as_millis()).arg("LIMIT").arg(0).arg(max);
        let [ids] = answers(self.sender().connection.send(&pipeline).await?, "ZRANGEBYSCORE")?;
        let ids: Vec<String> = connection::read(ids, "ZRANGEBYSCORE")?;
        // What is not an id cannot be settled; it is not ours either.
        Ok(ids.iter().filter_map(|id| RequestId::try_from(id.as_str()).ok()).collect())
    }

    /// Settles one orphan, unless it was settled or extended meanwhile.
    async fn reap_one(
        &self,
        request: RequestId,
        hold: Option<String>,
        now: Timestamp,
    ) -> Result<Option<RequestRecord>, StoreError> {
        let Some(hold) = hold else {
            // A hold that has outlived even its own lifetime, or an admission that was cut off.
            return self.forget(request).await.map(|()| None);
        };
        let settlement = match hold::orphan(request, &hold, now) {
            Ok(settlement) => settlement,
            Err(error) => {
                tracing::error!(request.id = %request, %error, "an orphan cannot be settled");
                return self.forget(request).await.map(|()| None);
            }
        };
        let prepared = Prepared::new(&settlement, self.sender().shared.calendar)?;
        let done = self.sender().settle_batch(&[&prepared], Some(now)).await?;
        Ok(done.first().copied().unwrap_or(false).then_some(settlement.record))
    }

    async fn forget(&self, request: RequestId) -> Result<(), StoreError> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("ZREM").arg(self.keyspace().holds()).arg(request.to_string());
        let [removed] = answers(self.sender().connection.send(&pipeline).await?, "ZREM")?;
        connection::accepted(removed).map(|_| ())
    }

    async fn drop_outlived_records(&self, now: Timestamp) -> Result<(), StoreError> {
        let keyspace = self.keyspace();
        let lifetime = self.sender().shared.record_lifetime.as_millis();
        let lifetime_ms = u64::try_from(lifetime).unwrap_or(u64::MAX);
        let oldest = now.as_millis().saturating_sub(lifetime_ms);
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("ZRANGEBYSCORE").arg(keyspace.record_index());
        pipeline.arg("-inf").arg(oldest).arg("LIMIT").arg(0).arg(DROP_AT_ONCE);
        let [ids] = answers(self.sender().connection.send(&pipeline).await?, "ZRANGEBYSCORE")?;
        let ids: Vec<String> = connection::read(ids, "ZRANGEBYSCORE")?;
        if ids.is_empty() {
            return Ok(());
        }
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("HDEL").arg(keyspace.records()).arg(&ids);
        pipeline.cmd("ZREM").arg(keyspace.record_index()).arg(&ids);
        for answer in self.sender().connection.send(&pipeline).await? {
            connection::accepted(answer)?;
        }
        Ok(())
    }
}

#[async_trait]
impl Ledger for RedisLedger {
    async fn admit(&self, request: &AdmitRequest) -> Result<Admission, StoreError> {
        let Sender { shared, connection } = self.sender();
        let mut pipeline = self.admission_reads(request);
        let mut answers = match request.limits.concurrency {
            None => {
                self.hold(&mut pipeline, request)?;
                connection.send(&pipeline).await?
            }
            Some(limit) => {
                self.hold_with_slot(&mut pipeline, request, limit)?;
                shared.scripts.admit.send(connection, &pipeline).await?
            }
        }
        .into_iter();
        let mut next = || answers.next().ok_or_else(|| fault::unexpected("an admission"));
        let version = version_of(next()?)?;
        let binding = if request.affinity.is_some() { next()? } else { Value::Nil };
        let decision = match request.limits.concurrency {
            None => {
                connection::accepted(next()?)?;
                connection::accepted(next()?)?;
                Ok(())
            }
            Some(limit) => match connection::read::<i64>(next()?, "an admission")? {
                ..0 => Ok(()),
                used => Err(Denial {
                    scope: LimitScope::Key(request.key.clone()),
                    limit: LimitKind::Concurrency,
                    used: used.unsigned_abs(),
                    allowed: u64::from(limit),
                    resets_at: None,
                }),
            },
        };
        let decision = match decision {
            Ok(()) => {
                Ok(Grant { binding: self.binding(request, binding).await?, limits: Vec::new() })
            }
            Err(denial) => Err(denial),
        };
        Ok(Admission { version, decision })
    }

    async fn checkpoint(&self, checkpoint: &Checkpoint) -> Result<bool, StoreError> {
        let Sender { shared, connection } = self.sender();
        let keyspace = &shared.keyspace;
        let mut command = shared.scripts.checkpoint.call(2);
        command.arg(keyspace.hold(checkpoint.request)).arg(keyspace.holds());
        command.arg(checkpoint.request.to_string()).arg(checkpoint.lease_until.as_millis());
        command.arg(hold::write_progress(checkpoint.progress.as_ref())?).arg(hold::LIFETIME_MS);
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.add_command(command);
        let sent = shared.scripts.checkpoint.send(connection, &pipeline).await?;
        let [answer] = answers(sent, "a checkpoint")?;
        let slot: Option<String> = connection::read(answer, "a checkpoint")?;
        let Some(slot) = slot else { return Ok(false) };
        if !slot.is_empty() {
            self.extend_slot(&slot, checkpoint).await?;
        }
        Ok(true)
    }

    async fn settle(&self, settlement: &Settlement) -> Result<Settled, StoreError> {
        let prepared = Prepared::new(settlement, self.sender().shared.calendar)?;
        let first = self.queue.settle(Arc::new(prepared)).await?;
        Ok(if first { Settled::Now { crossed: Vec::new() } } else { Settled::Before })
    }

    async fn assign(&self, _assignment: &Assignment) -> Result<HoldAnswer, StoreError> {
        Ok(HoldAnswer::Held)
    }

    async fn extend(&self, _extension: &Extension) -> Result<HoldAnswer, StoreError> {
        Ok(HoldAnswer::Held)
    }

    async fn standing(
        &self,
        _scope: &LimitScope,
        _limits: &Limits,
        _now: Timestamp,
    ) -> Result<Vec<LimitState>, StoreError> {
        Ok(Vec::new())
    }

    async fn restart(&self, _scope: &LimitScope, _now: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    async fn reap(&self, now: Timestamp, max: usize) -> Result<Vec<RequestRecord>, StoreError> {
        let ids = if max == 0 { Vec::new() } else { self.outlived_holds(now, max).await? };
        let mut reaped = Vec::with_capacity(ids.len());
        if !ids.is_empty() {
            let mut pipeline = Pipeline::with_capacity(1);
            pipeline.cmd("MGET");
            for id in &ids {
                pipeline.arg(self.keyspace().hold(*id));
            }
            let [holds] = answers(self.sender().connection.send(&pipeline).await?, "MGET")?;
            let holds: Vec<Option<String>> = connection::read(holds, "MGET")?;
            for (id, hold) in ids.into_iter().zip(holds) {
                reaped.extend(self.reap_one(id, hold, now).await?);
            }
        }
        self.drop_outlived_records(now).await?;
        statistics::roll(&self.sender().shared, now).await?;
        Ok(reaped)
    }

    async fn version(&self) -> Result<ConfigVersion, StoreError> {
        let keyspace = self.keyspace();
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("MGET").arg(keyspace.key_version()).arg(keyspace.account_version());
        let [versions] = answers(self.sender().connection.send(&pipeline).await?, "MGET")?;
        version_of(versions)
    }
}

impl Sender {
    /// Settles a batch. Those that are not held are left out and the others tried again: each is done
    /// whole or not at all.
    async fn settle_batch(
        &self,
        batch: &[&Prepared],
        ended_by: Option<Timestamp>,
    ) -> Result<Vec<bool>, StoreError> {
        let Shared { keyspace, scripts, record_capacity, calendar, .. } = &*self.shared;
        let script = &scripts.settle;
        let (record_capacity, calendar) = (*record_capacity, *calendar);
        let terms = Terms { keyspace, script, calendar, record_capacity, ended_by };
        let mut held: Vec<usize> = (0..batch.len()).collect();
        while !held.is_empty() {
            let trying: Vec<_> = held.iter().filter_map(|at| batch.get(*at).copied()).collect();
            let pipeline = batch::call(&trying, &terms)?;
            let [answer] = answers(script.send(&self.connection, &pipeline).await?, "settle.lua")?;
            match outcome(answer)? {
                BatchOutcome::Done => break,
                BatchOutcome::Refused(refusal) => {
                    tracing::error!(refusal, "a counter could not be written");
                    break;
                }
                BatchOutcome::Missing(missing) => {
                    for at in missing.into_iter().rev() {
                        if at < held.len() {
                            held.remove(at);
                        }
                    }
                }
            }
        }
        Ok((0..batch.len()).map(|at| held.contains(&at)).collect())
    }
}

impl Flush for Sender {
    async fn flush(&self, batch: &[Arc<Prepared>]) -> Result<Vec<bool>, StoreError> {
        let batch: Vec<_> = batch.iter().map(AsRef::as_ref).collect();
        self.settle_batch(&batch, None).await
    }
}

enum BatchOutcome {
    Done,
    Missing(Vec<usize>),
    Refused(String),
}

fn outcome(answer: Value) -> Result<BatchOutcome, StoreError> {
    let Value::Array(items) = connection::accepted(answer)? else {
        return Err(fault::unexpected("settle.lua"));
    };
    if let Some(Value::BulkString(refusal)) = items.first() {
        return Ok(BatchOutcome::Refused(String::from_utf8_lossy(refusal).into_owned()));
    }
    if items.is_empty() {
        return Ok(BatchOutcome::Done);
    }
    let missing = items.into_iter().map(|item| connection::read(item, "settle.lua"));
    Ok(BatchOutcome::Missing(missing.collect::<Result<_, _>>()?))
}

fn version_of(answer: Value) -> Result<ConfigVersion, StoreError> {
    let (keys, accounts): (Option<u64>, Option<u64>) = connection::read(answer, "the versions")?;
    Ok(ConfigVersion { keys: keys.unwrap_or(0), accounts: accounts.unwrap_or(0) })
}

fn answers<const N: usize>(
    answers: Vec<Value>,
    what: &'static str,
) -> Result<[Value; N], StoreError> {
    answers.try_into().map_err(|_| fault::unexpected(what))
}
