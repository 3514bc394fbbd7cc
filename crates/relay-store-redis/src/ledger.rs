//! The ledger in Redis. A request costs two trips on a connection that it shares with others; one more if it
//! is given to an account that has limits.

mod admission;
mod assignment;
mod batch;
mod crossings;
mod effort;
mod hold;
mod meter;
mod queue;
mod reaping;
mod standing;
mod uses;
mod waiting;

use std::sync::Arc;

use async_trait::async_trait;
use redis::{Pipeline, Value};
use relay_domain::{LimitScope, LimitState, Limits, RequestId, RequestRecord, Timestamp};
use relay_store::{
    Admission, AdmitRequest, Assignment, Checkpoint, ConfigVersion, Extension, HoldAnswer, Ledger,
    Line, Settled, Settlement, StoreError, Waiting,
};

use self::batch::Prepared;
use self::hold::Part;
use self::meter::Meter;
pub(crate) use self::meter::day_field;
use self::queue::{Flush, Queue};
pub(crate) use self::uses::{binding_lifetime, binding_text};
use crate::connection::{self, SharedConnection};
use crate::fault;
use crate::shared::Shared;

/// How much longer than the last lease in it a scope's set of leases is kept, in milliseconds (v1's).
const SLOTS_GRACE_MS: u64 = 30_000;
/// How long what was written to find out whether anything can be is kept, in seconds.
const READINESS_S: u64 = 60;
/// How often a script is called that has to be told more names, or the beginning of a period first. Each call
/// tells one of few that are missing.
const ATTEMPTS: usize = 16;

/// The ledger.
pub(crate) struct RedisLedger {
    queue: Arc<Queue<Sender>>,
}

/// What settlements and all other requests are sent with.
struct Sender {
    shared: Arc<Shared>,
    connection: SharedConnection,
}

/// What a script of the ledger has decided.
#[derive(Debug)]
enum Verdict {
    /// It is done; with what there is to tell.
    Done(Vec<i64>),
    /// The limit of the scope at this position is in the way.
    Denied { scope: i64, limit: [i64; 4] },
    /// Nothing is done: the hold has these parts in scopes that were not named.
    Elsewhere(Vec<Part>),
    /// There is no such hold.
    Gone,
    /// Nothing is done: it is not known what had been spent when the period of this budget began.
    Unknown { scope: i64, budget: i64 },
}

impl Verdict {
    fn read(answer: Value, what: &'static str) -> Result<Self, StoreError> {
        let unexpected = || fault::unexpected(what);
        let Value::Array(items) = connection::accepted(answer)? else { return Err(unexpected()) };
        let mut items = items.into_iter();
        let kind: i64 = connection::read(items.next().ok_or_else(unexpected)?, what)?;
        if kind == 2 {
            let texts = items.map(|item| connection::read::<Option<String>>(item, what));
            let texts = texts.collect::<Result<Vec<_>, _>>()?;
            return Ok(Self::Elsewhere(
                texts.into_iter().flatten().filter_map(Part::parse).collect(),
            ));
        }
        let told =
            items.map(|item| connection::read(item, what)).collect::<Result<Vec<i64>, _>>()?;
        match (kind, told.as_slice()) {
            (0, &[scope, line, used, held, opened]) => {
                Ok(Self::Denied { scope, limit: [line, used, held, opened] })
            }
            (1, _) => Ok(Self::Done(told)),
            (3, []) => Ok(Self::Gone),
            (4, &[scope, budget]) => Ok(Self::Unknown { scope, budget }),
            _ => Err(unexpected()),
        }
    }
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
}

#[async_trait]
impl Ledger for RedisLedger {
    async fn admit(&self, request: &AdmitRequest) -> Result<Admission, StoreError> {
        self.sender().admit(request).await
    }

    async fn assign(&self, assignment: &Assignment) -> Result<HoldAnswer, StoreError> {
        self.sender().assign(assignment).await
    }

    async fn extend(&self, extension: &Extension) -> Result<HoldAnswer, StoreError> {
        self.sender().extend(extension).await
    }

    async fn checkpoint(&self, checkpoint: &Checkpoint) -> Result<bool, StoreError> {
        self.sender().checkpoint(checkpoint).await
    }

    async fn settle(&self, settlement: &Settlement) -> Result<Settled, StoreError> {
        let prepared = Prepared::new(settlement.clone(), &self.sender().shared)?;
        self.queue.settle(Arc::new(prepared)).await
    }

    async fn reap(&self, now: Timestamp, max: usize) -> Result<Vec<RequestRecord>, StoreError> {
        self.sender().reap(now, max).await
    }

    async fn begin_waiting(&self, waiting: &Waiting) -> Result<bool, StoreError> {
        self.sender().begin_waiting(waiting).await
    }

    async fn end_waiting(&self, line: &Line, request: RequestId) -> Result<(), StoreError> {
        self.sender().end_waiting(line, request).await
    }

    async fn standings(
        &self,
        scopes: &[(LimitScope, Limits)],
        now: Timestamp,
    ) -> Result<Vec<Vec<LimitState>>, StoreError> {
        self.sender().standings(scopes, now).await
    }

    async fn restart(&self, scope: &LimitScope, now: Timestamp) -> Result<(), StoreError> {
        self.sender().restart(scope, now).await
    }

    async fn version(&self) -> Result<ConfigVersion, StoreError> {
        let Sender { shared, connection } = self.sender();
        let keyspace = &shared.keyspace;
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("MGET").arg(keyspace.key_version()).arg(keyspace.account_version());
        let [versions] = answers(connection.send(&pipeline).await?, "MGET")?;
        version_of(versions)
    }

    async fn is_ready(&self) -> Result<(), StoreError> {
        let Sender { shared, connection } = self.sender();
        let mut pipeline = Pipeline::with_capacity(1);
        let name = shared.keyspace.readiness();
        pipeline.cmd("SET").arg(name).arg(1).arg("EX").arg(READINESS_S);
        let [written] = answers(connection.send(&pipeline).await?, "SET")?;
        connection::accepted(written).map(drop)
    }
}

impl Sender {
    fn meter<'a>(&'a self, scope: &'a LimitScope, limits: &'a Limits, now: Timestamp) -> Meter<'a> {
        let Shared { calendar, keyspace, .. } = &*self.shared;
        Meter { scope, limits, now, calendar: *calendar, keyspace }
    }
}

impl Flush for Sender {
    async fn flush(&self, batch: &[Arc<Prepared>]) -> Result<Vec<Settled>, StoreError> {
        let batch: Vec<_> = batch.iter().map(AsRef::as_ref).collect();
        self.settle_batch(&batch, None).await
    }
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
