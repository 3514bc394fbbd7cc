//! Serving: runtimes side by side, one a processor, each with its own listener and upstream connections.
//!
//! The main thread is the first of them and keeps house besides. A first signal lets open streams end, a
//! second one ends them.

mod connection;
mod counting;
mod descriptors;
mod lifecycle;
mod listener;
mod metrics_listener;
mod opening;
mod unread;
mod waiting;
mod worker;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use relay_api::admin::{AdminConfig, AdminParts};
use relay_api::health::Draining;
use relay_api::{Edge, EdgeConfig};
use relay_crypto::TokenSigner;
use relay_engine::alerts::{AlertParts, AlertWork, Alerts};
use relay_engine::prices::{PriceKeeper, PriceKeeperParts};
use relay_engine::{Engine, EngineParts, EventSink, Relay};
use relay_journal::{Damage, Journal, JournalError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use counting::Counting;
pub(crate) use lifecycle::{Lifecycle, Signals};
use metrics_listener::MetricsListener;
use unread::UNREAD_FOR;
use waiting::Waiting;

use crate::config::{Config, Notices};
use crate::installation::{Installation, hasher, keyring};
use crate::terminal::say;

/// Settlements that wait for the store, in bytes: some 30,000 of the usual size. Beyond it nothing new is let
/// in.
const JOURNAL_BYTES: u64 = 32 * 1024 * 1024;
/// How long settlements may take once the last stream has ended.
const SETTLING: Duration = Duration::from_secs(10);

/// What every worker needs to serve.
#[derive(Clone)]
pub(crate) struct Plan {
    engine: Arc<Engine>,
    /// Makes an edge around a worker's own Relay.
    edge: Arc<dyn Fn(Relay) -> Edge + Send + Sync>,
    lifecycle: Lifecycle,
    /// How long a client of HTTP/2 may leave an answer unread.
    unread_for: Duration,
}

/// A server that is bound to its address and ready to accept.
pub(crate) struct Server {
    plan: Plan,
    prices: Arc<PriceKeeper>,
    alerts: AlertWork,
    listeners: Vec<TcpListener>,
    address: SocketAddr,
    drain: Duration,
    /// Settlements and what else goes on beside the requests.
    tasks: TaskTracker,
    draining: Draining,
    metrics: Option<MetricsListener>,
}

/// Serves until a signal ends it.
///
/// # Errors
///
/// Fails if the server cannot start, saying what to do.
pub(crate) async fn serve(config: &Config) -> Result<()> {
    tell(config.notices());
    // Before the store, which may come later than Relay, and before orphans are settled: of two servers, the
    // one that cannot listen touches nothing.
    let listeners = bind(config)?;
    // Before anybody is answered: who sees that Relay lives may ask it to end.
    let mut signals = Signals::new()?;
    let waiting = Waiting::begin(&listeners)?;
    let server = tokio::select! {
        server = opening::open(config, listeners, waiting) => server?,
        () = signals.next() => {
            tracing::info!("asked to end before the store was open");
            return Ok(());
        }
    };
    server.run(signals).await
}

/// Takes the address that `config` names, with a socket for each worker.
///
/// # Errors
///
/// Fails if the address is taken, or may not be used.
pub(crate) fn bind(config: &Config) -> Result<Vec<TcpListener>> {
    descriptors::raise_limit();
    let server = &config.sections.server;
    listener::bind(server.address(), server.workers())
}

/// Tells what an operator should know of the configuration.
fn tell(notices: &Notices) {
    for doubt in notices.doubts() {
        tracing::warn!("{doubt}");
    }
    if !notices.ignored.is_empty() {
        tracing::info!(
            variables = notices.ignored.join(" "),
            "variables that mean nothing to Relay are ignored; `relay-server config show` says why"
        );
    }
}

/// Opens the journal in the data folder.
fn open_journal(data_dir: &Path) -> Result<Journal> {
    let journal = Journal::open(data_dir, JOURNAL_BYTES);
    let what_to_do = match &journal {
        Err(JournalError::Unusable { .. }) => {
            ": make the data folder and what is in it readable and writable for the user that Relay runs as, or \
             set RELAY_DATA_DIR to one that is; what this one keeps is delivered by the first start that can open it"
        }
        Ok(_) | Err(_) => "",
    };
    journal.with_context(|| format!("the journal cannot be opened{what_to_do}"))
}

/// Tells what of the journal could not be read.
fn tell_damage(damage: &Damage) {
    let Damage { places, bytes, aside } = damage;
    if *places == 0 {
        return;
    }
    let of_the_file = if aside.is_empty() {
        "it could not be written anew, for want of room or because there are too many copies of damaged ones \
         beside it, and stays as it is: what is in it is delivered all the same"
    } else {
        "a copy of it is kept aside"
    };
    tracing::error!(
        places,
        bytes,
        ?aside,
        "the journal was damaged: settlements may be missing, at most one for each place; {of_the_file}"
    );
}

impl Server {
    /// Settles what a killed predecessor left, and is ready to accept on `listeners`.
    ///
    /// # Errors
    ///
    /// Fails if the store fails.
    pub(crate) async fn prepare(
        config: &Config,
        installation: &Installation,
        listeners: Vec<TcpListener>,
    ) -> Result<Self> {
        let sections = &config.sections;
        let address =
            listeners.first().context("no listener")?.local_addr().context("no address")?;
        let counting = Counting::begin(config, installation)?;
        let stores = counting.stores(installation);
        let tasks = TaskTracker::new();
        let prices = keep_prices(config, installation).await?;
        let journal = open_journal(&sections.store.data_dir)?;
        tell_damage(journal.damage());
        let (alerts, alert_work) = Alerts::new(AlertParts {
            repository: Arc::clone(&installation.stores.events),
            clock: Arc::clone(&installation.clock),
            webhooks: sections.webhooks.config(),
        });
        let alerts = Arc::new(alerts);
        let events = counting.events(Arc::clone(&alerts) as Arc<dyn EventSink>);
        let engine = Engine::start(EngineParts {
            config: sections.upstream.engine(
                &sections.keys.prefix,
                sections.server.workers(),
                &sections.sticky,
                &sections.health,
            ),
            clock: Arc::clone(&installation.clock),
            stores: stores.clone(),
            hasher: hasher(&installation.secrets),
            keyring: keyring(&installation.secrets, config),
            prices: Arc::clone(prices.prices()),
            journal: Some(journal),
            events,
            tasks: tasks.clone(),
        })
        .await
        .context("the store cannot be read")?;
        engine.reap().await;
        let engine = Arc::new(engine);
        let draining = Draining::default();
        let router = relay_api::admin::router(AdminParts {
            config: AdminConfig {
                session_ttl: sections.admin.session_timeout(),
                environment: sections.server.environment.clone(),
                cors_origins: sections.cors.allowed().to_vec(),
                listens_on: Some(address),
            },
            operator: Arc::clone(&installation.operator),
            engine: Arc::clone(&engine),
            prices: Arc::clone(&prices),
            alerts: Arc::clone(&alerts),
            stores,
            store_kind: installation.store_kind.name(),
            signer: TokenSigner::new(&installation.secrets.jwt),
            clock: Arc::clone(&installation.clock),
            draining: draining.clone(),
        });
        let edge = EdgeConfig {
            max_body_bytes: sections.server.max_body_bytes(),
            trusted_proxies: sections.server.trusted_proxies.into(),
        };
        let observer = counting.observer();
        let edge = Arc::new(move |relay| {
            let edge = Edge::new(relay, router.clone(), edge);
            match &observer {
                Some(observer) => edge.observed_by(Arc::clone(observer)),
                None => edge,
            }
        });
        let metrics = counting.reader(&engine, alerts);
        let lifecycle = Lifecycle::default();
        let plan = Plan { engine, edge, lifecycle, unread_for: UNREAD_FOR };
        let (alerts, drain) = (alert_work, sections.server.drain());
        Ok(Self { plan, prices, alerts, listeners, address, drain, tasks, draining, metrics })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// For stopping it from elsewhere.
    pub(crate) fn lifecycle(&self) -> Lifecycle {
        self.plan.lifecycle.clone()
    }

    /// Serves until it is told to stop, by one of `signals` or by its [`Lifecycle`], and until what it has
    /// begun has ended.
    ///
    /// # Errors
    ///
    /// Fails if a worker cannot start.
    pub(crate) async fn run(self, signals: Signals) -> Result<()> {
        let Self { plan, prices, alerts, listeners, drain, tasks, draining, metrics, address: _ } =
            self;
        let lifecycle = plan.lifecycle.clone();
        let beside = TaskTracker::new();
        let house_closed = CancellationToken::new();
        let engine = Arc::clone(&plan.engine);
        let keeping = house_closed.clone();
        beside.spawn(async move { engine.keep_house(keeping).await });
        let keeping = house_closed.clone();
        beside.spawn(async move { prices.keep(keeping).await });
        let alerts_closed = CancellationToken::new();
        let telling = beside.spawn(alerts.run(alerts_closed.clone()));
        if let Some(metrics) = metrics {
            beside.spawn(metrics.serve(house_closed.clone()));
        }
        let watching = lifecycle.clone();
        beside.spawn(async move { watching.watch(signals, draining, drain).await });

        let mut listeners = listeners.into_iter();
        let ours = listeners.next().context("no listener")?;
        let mut threads = Vec::new();
        for (listener, number) in listeners.zip(1..) {
            threads.push(worker::start(number, listener, plan.clone())?);
        }
        worker::serve(ours, &plan).await?;
        lifecycle.all_drained().await;
        // What is read on for clients that have left may end as well, for as long as what was open.
        plan.engine.drained(&lifecycle.kill_signal()).await;

        // Leases were renewed to the last stream's end; now only settlements are under way.
        house_closed.cancel();
        tasks.close();
        if tokio::time::timeout(SETTLING, tasks.wait()).await.is_err() {
            tracing::warn!(
                unsettled = tasks.len(),
                "stopping with requests unsettled; the next start settles them"
            );
        }
        // The last settlements may have had something to tell.
        alerts_closed.cancel();
        if let Err(error) = telling.await {
            tracing::warn!(%error, "the last events may be missing");
        }
        lifecycle.finish();
        for thread in threads {
            // One that panicked has said so.
            thread.join().ok();
        }
        Ok(())
    }
}

impl Plan {
    /// The edge of one worker, with upstream connections of its own.
    fn edge(&self) -> Edge {
        (self.edge)(Relay::new(&self.engine))
    }
}

/// Reads what things cost, and what operators say about it.
async fn keep_prices(config: &Config, installation: &Installation) -> Result<Arc<PriceKeeper>> {
    let section = &config.sections.pricing;
    let source = section.source().map_err(|(path, why)| anyhow!("{path} {why}"))?;
    let keeper = PriceKeeper::new(PriceKeeperParts {
        source,
        refresh: section.refresh(),
        settings: Arc::clone(&installation.stores.settings),
        audit: Arc::clone(&installation.stores.audit),
        clock: Arc::clone(&installation.clock),
    });
    let keeper = keeper.context("the builtin prices cannot be read")?;
    keeper.start().await;
    if let Some(failure) = keeper.status().failure {
        say(format!(
            "warning: the price source {} is not taken, and builtin prices hold: {}",
            keeper.status().source,
            failure.why
        ));
    }
    Ok(Arc::new(keeper))
}

#[cfg(test)]
mod tests;
