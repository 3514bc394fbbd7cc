//! What all runtimes of the process share.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use relay_pricing::PriceBook;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::directory::Directory;
use crate::flight::Airspace;
use crate::retry_budget::RetryBudget;
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

    pub(crate) fn turn(&self) -> u64 {
        self.rotation.load(Ordering::Relaxed)
    }

    pub(crate) fn next_turn(&self) {
        self.rotation.fetch_add(1, Ordering::Relaxed);
    }
}
