//! An engine for tests: on the embedded store in memory, whose ledger can be made to fail.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use relay_crypto::{KeyHasher, Keyring, SealFormat};
use relay_domain::{
    ApiKey, Calendar, Event, KeyDigest, LimitScope, LimitState, Limits, RequestId, RequestRecord,
    Timestamp,
};
use relay_journal::Journal;
use relay_pricing::PriceBook;
use relay_store::{
    Admission, AdmitRequest, Assignment, Checkpoint, ConfigVersion, Extension, HoldAnswer, Ledger,
    Line, Settled, Settlement, StoreError, Stores, Waiting,
};
use relay_store_sqlite::{Access, SqliteOptions, SqliteStore};
use relay_testkit::api_key;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::prices::Prices;
use crate::{Engine, EngineConfig, EngineParts, EventSink, SystemClock};

/// What clients of the fixture present.
pub(crate) const SECRET: &str = "cr_0123456789abcdef0123456789abcdef";

/// More settlements than any test has at once.
const AT_ONCE: usize = 1 << 20;

/// A ledger that can be away, slow, or say what a test wants.
pub(crate) struct TestLedger {
    real: Arc<dyn Ledger>,
    /// Every call fails.
    pub(crate) is_away: AtomicBool,
    /// Admission never answers.
    pub(crate) hangs: AtomicBool,
    /// It is there, and takes no writes.
    pub(crate) is_read_only: AtomicBool,
    /// How many settlements find it away.
    refused: AtomicUsize,
    /// Settlements wait until there is a permit for each.
    pub(crate) settles: Semaphore,
    /// Answers of [`Ledger::extend`], the next first; then it is as the real one says.
    pub(crate) extend_answers: Mutex<VecDeque<HoldAnswer>>,
    /// What was asked of it.
    pub(crate) extensions: Mutex<Vec<Extension>>,
    pub(crate) assign_answers: Mutex<VecDeque<HoldAnswer>>,
    pub(crate) assignments: Mutex<Vec<Assignment>>,
    pub(crate) settlements: Mutex<Vec<Settlement>>,
    pub(crate) checkpoints: Mutex<Vec<Checkpoint>>,
}

impl TestLedger {
    fn check(&self) -> Result<(), StoreError> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("it is away".into()));
        }
        Ok(())
    }

    pub(crate) fn go_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    /// As many settlements as this find it away.
    pub(crate) fn refuse_settlements(&self, most: usize) {
        self.refused.store(most, Ordering::SeqCst);
    }

    /// From now on, settlements are not answered, or are again.
    pub(crate) fn hold_settlements(&self, hold: bool) {
        if hold {
            self.settles.forget_permits(AT_ONCE);
        } else {
            self.settles.add_permits(AT_ONCE);
        }
    }
}

#[async_trait]
impl Ledger for TestLedger {
    async fn admit(&self, request: &AdmitRequest) -> Result<Admission, StoreError> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.check()?;
        self.real.admit(request).await
    }

    async fn assign(&self, assignment: &Assignment) -> Result<HoldAnswer, StoreError> {
        self.check()?;
        self.assignments.lock().unwrap().push(assignment.clone());
        let answer = self.assign_answers.lock().unwrap().pop_front();
        match answer {
            Some(answer) => Ok(answer),
            None => self.real.assign(assignment).await,
        }
    }

    async fn extend(&self, extension: &Extension) -> Result<HoldAnswer, StoreError> {
        self.extensions.lock().unwrap().push(extension.clone());
        self.check()?;
        let answer = self.extend_answers.lock().unwrap().pop_front();
        match answer {
            Some(answer) => Ok(answer),
            None => self.real.extend(extension).await,
        }
    }

    async fn checkpoint(&self, checkpoint: &Checkpoint) -> Result<bool, StoreError> {
        self.checkpoints.lock().unwrap().push(checkpoint.clone());
        self.check()?;
        self.real.checkpoint(checkpoint).await
    }

    async fn settle(&self, settlement: &Settlement) -> Result<Settled, StoreError> {
        self.check()?;
        drop(self.settles.acquire().await);
        let take = |left: usize| left.checked_sub(1);
        if self.refused.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
            return Err(StoreError::Unavailable("it is away for this".into()));
        }
        self.settlements.lock().unwrap().push(settlement.clone());
        self.real.settle(settlement).await
    }

    async fn reap(&self, now: Timestamp, max: usize) -> Result<Vec<RequestRecord>, StoreError> {
        self.check()?;
        self.real.reap(now, max).await
    }

    async fn begin_waiting(&self, waiting: &Waiting) -> Result<bool, StoreError> {
        self.check()?;
        self.real.begin_waiting(waiting).await
    }

    async fn end_waiting(&self, line: &Line, request: RequestId) -> Result<(), StoreError> {
        self.check()?;
        self.real.end_waiting(line, request).await
    }

    async fn standings(
        &self,
        scopes: &[(LimitScope, Limits)],
        now: Timestamp,
    ) -> Result<Vec<Vec<LimitState>>, StoreError> {
        self.real.standings(scopes, now).await
    }

    async fn restart(&self, scope: &LimitScope, now: Timestamp) -> Result<(), StoreError> {
        self.real.restart(scope, now).await
    }

    async fn version(&self) -> Result<ConfigVersion, StoreError> {
        self.check()?;
        self.real.version().await
    }

    async fn is_ready(&self) -> Result<(), StoreError> {
        self.check()?;
        if self.is_read_only.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("it takes no writes".into()));
        }
        self.real.is_ready().await
    }
}

/// Remembers what it is told.
#[derive(Default)]
pub(crate) struct Events(pub(crate) Mutex<Vec<Event>>);

impl EventSink for Events {
    fn tell(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// A store and what watches it.
#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) stores: Stores,
    pub(crate) ledger: Arc<TestLedger>,
    pub(crate) events: Arc<Events>,
    pub(crate) tasks: TaskTracker,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let calendar = Calendar::UTC;
        let options = SqliteOptions {
            calendar,
            record_capacity: 100,
            // The records of its tests are as old as they say.
            record_lifetime: Duration::MAX,
            access: Access::Serve,
        };
        let mut stores = SqliteStore::in_memory(options).unwrap().stores();
        let ledger = Arc::new(TestLedger {
            real: Arc::clone(&stores.ledger),
            is_away: AtomicBool::default(),
            hangs: AtomicBool::default(),
            is_read_only: AtomicBool::default(),
            refused: AtomicUsize::default(),
            settles: Semaphore::new(AT_ONCE),
            extend_answers: Mutex::default(),
            extensions: Mutex::default(),
            assign_answers: Mutex::default(),
            assignments: Mutex::default(),
            settlements: Mutex::default(),
            checkpoints: Mutex::default(),
        });
        stores.ledger = ledger.clone();
        Self { stores, ledger, events: Arc::default(), tasks: TaskTracker::new() }
    }

    /// Adds the key that clients present, changed by `change`.
    pub(crate) async fn key(&self, change: impl FnOnce(&mut ApiKey)) -> ApiKey {
        let mut key = ApiKey { digest: digest(SECRET), ..api_key("k") };
        change(&mut key);
        self.stores.keys.create(&key).await.unwrap();
        key
    }

    /// An engine on this store.
    pub(crate) async fn engine(&self, journal: Option<Journal>) -> Engine {
        let config = EngineConfig {
            admission_timeout: Duration::from_millis(300),
            ..EngineConfig::default()
        };
        self.engine_with(config, journal).await
    }

    /// An engine of this `config` on this store.
    pub(crate) async fn engine_with(
        &self,
        config: EngineConfig,
        journal: Option<Journal>,
    ) -> Engine {
        let parts = EngineParts {
            config,
            clock: Arc::new(SystemClock),
            stores: self.stores.clone(),
            hasher: hasher(),
            keyring: keyring(SealFormat::Aead),
            prices: Arc::new(Prices::of(PriceBook::builtin().unwrap())),
            journal,
            events: self.events.clone(),
            tasks: self.tasks.clone(),
        };
        Engine::start(parts).await.unwrap()
    }
}

pub(crate) fn keyring(format: SealFormat) -> Keyring {
    Keyring::new(&"a key of the tests' own".into(), format)
}

pub(crate) fn hasher() -> KeyHasher {
    KeyHasher::new(&"a key of the tests' own".into())
}

pub(crate) fn digest(secret: &str) -> KeyDigest {
    KeyDigest::new(hasher().digest(secret))
}
