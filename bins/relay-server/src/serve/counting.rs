//! What is counted while Relay serves: nothing, unless there is an address where Prometheus may read it.

use std::net::TcpListener;
use std::sync::Arc;

use anyhow::Result;
use relay_api::EdgeObserver;
use relay_engine::alerts::Alerts;
use relay_engine::{Engine, EventSink};
use relay_metrics::{Exposition, ExpositionParts, Metrics};
use relay_store::Stores;

use super::metrics_listener::{self, MetricsListener};
use crate::config::Config;
use crate::installation::Installation;

/// What is counted, if anything is, and the socket where it will be read.
pub(super) struct Counting(Option<(Arc<Metrics>, TcpListener)>);

impl Counting {
    /// # Errors
    ///
    /// Fails if the address that Prometheus is to read from cannot be used.
    pub(super) fn begin(config: &Config, installation: &Installation) -> Result<Self> {
        let Some(address) = config.sections.metrics.listen() else { return Ok(Self(None)) };
        let listener = metrics_listener::bind(address)?;
        let kind = installation.store_kind.name();
        Ok(Self(Some((Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"), kind)), listener))))
    }

    /// Where everything is kept, watched.
    pub(super) fn stores(&self, installation: &Installation) -> Stores {
        let stores = &installation.stores;
        self.0.as_ref().map_or_else(|| stores.clone(), |(metrics, _)| metrics.watch_stores(stores))
    }

    /// Where events go, watched.
    pub(super) fn events(&self, sink: Arc<dyn EventSink>) -> Arc<dyn EventSink> {
        match &self.0 {
            Some((metrics, _)) => metrics.watch_events(sink),
            None => sink,
        }
    }

    /// Who is told what the edge answers.
    pub(super) fn observer(&self) -> Option<Arc<dyn EdgeObserver>> {
        let (metrics, _) = self.0.as_ref()?;
        Some(Arc::clone(metrics) as Arc<dyn EdgeObserver>)
    }

    /// Where it is read, with the state of `engine` and `alerts`.
    pub(super) fn reader(
        self,
        engine: &Arc<Engine>,
        alerts: Arc<Alerts>,
    ) -> Option<MetricsListener> {
        let (metrics, listener) = self.0?;
        let parts = ExpositionParts { metrics, engine: Arc::clone(engine), alerts };
        Some(MetricsListener { listener, exposition: Exposition::new(parts) })
    }
}
