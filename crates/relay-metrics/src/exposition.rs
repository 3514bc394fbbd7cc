//! Everything there is to read, at one moment.

use std::fmt;
use std::sync::Arc;

use relay_engine::Engine;
use relay_engine::alerts::Alerts;

use crate::{Metrics, reading, text};

/// What an exposition reads.
pub struct ExpositionParts {
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whose state is looked up.
    pub engine: Arc<Engine>,
    /// Who tells how events fared.
    pub alerts: Arc<Alerts>,
}

/// Everything there is to read.
pub struct Exposition(ExpositionParts);

impl Exposition {
    /// An exposition of `parts`.
    #[must_use]
    pub fn new(parts: ExpositionParts) -> Self {
        Self(parts)
    }

    /// All of it in Prometheus' text format ([`CONTENT_TYPE`](crate::CONTENT_TYPE)). Asks the store whether it
    /// is there, for no longer than a request would.
    ///
    /// # Errors
    ///
    /// Fails if a value cannot be written, which would be a fault of Relay's own.
    pub async fn text(&self) -> Result<String, fmt::Error> {
        let ExpositionParts { metrics, engine, alerts } = &self.0;
        let vitals = engine.vitals().await;
        let now = reading::registry(&vitals, alerts.counts());
        text::write(&[&metrics.registry, &now])
    }
}
