//! What all runtimes of the process share.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use relay_domain::{AccountId, HealthEvent};
use relay_pricing::PriceBook;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::classify::Lesson;
use crate::directory::Directory;
use crate::flight::Airspace;
use crate::retry_budget::RetryBudget;
use crate::roster::AccountLive;
use crate::unpriced_models::UnpricedModels;
use crate::{Clock, EngineConfig};

/// What all runtimes of the process share.
pub(crate) struct Core {
    pub(crate) config: Arc<EngineConfig>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) directory: Directory,
    pub(crate) prices: Arc<PriceBook>,
    pub(crate) airspace: Airspace,
    pub(crate) retries: RetryBudget,
    pub(crate) unpriced: UnpricedModels,
    /// Whose turn it is among accounts of one priority.
    rotation: AtomicU64,
    tasks: TaskTracker,
}

impl Core {
    pub(crate) fn new(
        config: EngineConfig,
        clock: Arc<dyn Clock>,
        directory: Directory,
        prices: Arc<PriceBook>,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            config: Arc::new(config),
            clock,
            directory,
            prices,
            airspace: Airspace::default(),
            retries: RetryBudget::new(),
            unpriced: UnpricedModels::default(),
            rotation: AtomicU64::new(0),
            tasks,
        }
    }

    /// Runs `work` to its end beside what goes on; shutdown waits for it. Outside of a runtime, which is
    /// only after shutdown, there is nobody left to run it.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = Handle::try_current() {
            self.tasks.spawn_on(work, &runtime);
        }
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
        live.learn(&event, now);
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
