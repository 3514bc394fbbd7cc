//! What all runtimes of the process share.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use relay_domain::{AccountId, Event, EventKind, HealthEvent, KeyId, ModelName, UnpricedTreatment};
use relay_journal::{EntryId, Journal};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::airspace::Airspace;
use crate::classify::Lesson;
use crate::directory::Directory;
use crate::disconnect::Drains;
use crate::estimate::Experience;
use crate::events::health_change;
use crate::prices::Prices;
use crate::retry_budget::RetryBudget;
use crate::roster::AccountLive;
use crate::unkept::Unkept;
use crate::unpriced_models::UnpricedModels;
use crate::wait_room::WaitRoom;
use crate::{Clock, EngineConfig, EventSink};

/// Settlements that may be nowhere but in memory before nothing new is let in.
const MOST_UNKEPT: usize = 256;

/// What all runtimes of the process share.
pub(crate) struct Core {
    pub(crate) config: Arc<EngineConfig>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) directory: Directory,
    pub(crate) prices: Arc<Prices>,
    pub(crate) airspace: Airspace,
    /// Answers that are read on for clients that have left.
    pub(crate) drains: Drains,
    pub(crate) retries: RetryBudget,
    pub(crate) experience: Experience,
    pub(crate) events: Arc<dyn EventSink>,
    /// Takes settlements that the store does not.
    pub(crate) journal: Option<Journal>,
    /// Held by who delivers what is in the journal: of two, each would take the other's half-made step for the
    /// store's loss. The entries that cannot be read, of which each is told once.
    pub(crate) delivering: Mutex<HashSet<EntryId>>,
    /// Rings when something came into the journal.
    pub(crate) delivery: Notify,
    pub(crate) unkept: Unkept,
    /// Who waits for its turn.
    pub(crate) wait_room: Arc<WaitRoom>,
    unpriced: UnpricedModels,
    /// Whose turn it is among accounts of one priority.
    rotation: AtomicU64,
    tasks: TaskTracker,
}

/// What the core takes of [`EngineParts`](crate::EngineParts).
pub(crate) struct CoreParts {
    pub(crate) config: EngineConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) prices: Arc<Prices>,
    pub(crate) journal: Option<Journal>,
    pub(crate) events: Arc<dyn EventSink>,
    pub(crate) tasks: TaskTracker,
}

impl Core {
    pub(crate) fn new(directory: Directory, parts: CoreParts) -> Self {
        let CoreParts { config, clock, prices, journal, events, tasks } = parts;
        Self {
            drains: Drains::new(config.drain),
            config: Arc::new(config),
            clock,
            directory,
            prices,
            airspace: Airspace::default(),
            retries: RetryBudget::new(),
            experience: Experience::default(),
            events,
            journal,
            delivering: Mutex::default(),
            delivery: Notify::new(),
            unkept: Unkept::default(),
            wait_room: Arc::default(),
            unpriced: UnpricedModels::default(),
            rotation: AtomicU64::new(0),
            tasks,
        }
    }

    /// Whether so much waits for the store that nothing new may be begun.
    pub(crate) fn is_backlogged(&self) -> bool {
        self.unkept.exceeds(MOST_UNKEPT)
            || self.journal.as_ref().is_some_and(|journal| !journal.has_room())
    }

    /// Tells that `model` has no price, unless that was told just now.
    pub(crate) fn note_unpriced(
        &self,
        model: &ModelName,
        key: &KeyId,
        account: Option<&AccountId>,
        treatment: UnpricedTreatment,
    ) {
        if self.unpriced.is_due(model, self.clock.now()) {
            tracing::warn!(%model, ?treatment, "model has no price");
            let (model, key, account) = (model.clone(), key.clone(), account.cloned());
            self.tell(EventKind::ModelUnpriced { model, key, account, treatment });
        }
    }

    /// Tells an operator of something that happens now.
    fn tell(&self, kind: EventKind) {
        self.events.tell(Event { at: self.clock.now(), kind });
    }

    /// Runs `work` to its end beside what goes on; shutdown waits for it. Outside of a runtime, which is
    /// only after shutdown, there is nobody left to run it.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = Handle::try_current() {
            self.tasks.spawn_on(work, &runtime);
        }
    }

    /// Runs `work` to its end even if nobody waits for it any more; shutdown does.
    pub(crate) fn track<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.tasks.spawn(work)
    }

    /// Takes what an attempt told about an account: this process knows it at once, the store soon after.
    pub(crate) fn learn(self: &Arc<Self>, id: &AccountId, live: &Arc<AccountLive>, lesson: Lesson) {
        let now = self.clock.now();
        let event = match lesson {
            Lesson::Certain(HealthEvent::Succeeded) => {
                live.is_marked().then_some(HealthEvent::Succeeded)
            }
            Lesson::Certain(event) => Some(event),
            Lesson::Suspicion(trouble) => {
                live.breaker.failed(now).then(|| trouble.too_often(&self.config.rests))
            }
            Lesson::Nothing => None,
        };
        let Some(event) = event else { return };
        let before = live.health();
        live.learn(&event, now);
        if let Some(kind) = health_change(id, &before, &live.health(), now) {
            self.tell(kind);
        }
        let accounts = Arc::clone(&self.directory.stores.accounts);
        let (id, live) = (id.clone(), Arc::clone(live));
        self.spawn(async move {
            let told = accounts.apply_health(&id, &event, now).await;
            live.told(told.unwrap_or_else(|error| {
                tracing::warn!(account.id = %id, %error, "health not kept");
                None
            }));
        });
    }

    pub(crate) fn turn(&self) -> u64 {
        self.rotation.load(Ordering::Relaxed)
    }

    pub(crate) fn next_turn(&self) {
        self.rotation.fetch_add(1, Ordering::Relaxed);
    }
}
