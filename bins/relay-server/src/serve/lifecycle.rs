//! How a server ends: first nothing new, then what is open, then what is left over.

use std::time::Duration;

use anyhow::{Context as _, Result};
use relay_api::health::Draining;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// The stages of a server's end. Clones are the same server's.
#[derive(Clone, Default)]
pub(crate) struct Lifecycle {
    /// Accept nothing new; let what is open end.
    stop: CancellationToken,
    /// End what is still open.
    kill: CancellationToken,
    /// Everything is settled: runtimes may end.
    finish: CancellationToken,
    /// Workers that still have connections.
    serving: TaskTracker,
}

impl Lifecycle {
    /// Begins the end.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Returns once the end has begun.
    pub(crate) async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// A worker's own view of the end's begin: waiting on one shared by all costs more.
    pub(super) fn stop_signal(&self) -> CancellationToken {
        self.stop.child_token()
    }

    /// The same of what is still open.
    pub(super) fn kill_signal(&self) -> CancellationToken {
        self.kill.child_token()
    }

    /// Held by a worker as long as it has connections.
    pub(super) fn enter(&self) -> TaskTrackerToken {
        self.serving.token()
    }

    /// Returns once no worker has a connection.
    pub(super) async fn all_drained(&self) {
        self.serving.close();
        self.serving.wait().await;
    }

    /// Lets the runtimes end.
    pub(super) fn finish(&self) {
        self.finish.cancel();
    }

    pub(super) async fn finished(&self) {
        self.finish.cancelled().await;
    }

    /// Turns signals into stages: the first stops, and the second or `drain` later kills.
    pub(super) async fn watch(&self, mut signals: Signals, draining: Draining, drain: Duration) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = signals.next() => {
                tracing::info!(drain_s = drain.as_secs(), "stopping; a second signal stops at once");
            }
        }
        draining.begin();
        self.stop.cancel();
        tokio::select! {
            () = signals.next() => {}
            () = tokio::time::sleep(drain) => {}
        }
        tracing::warn!("open requests are cut off");
        self.kill.cancel();
    }
}

/// What asks a process to end: SIGTERM and SIGINT.
pub(crate) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// # Errors
    ///
    /// Fails if the operating system does not hand them over.
    pub(crate) fn new() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let receive = |kind| signal(kind).context("signals cannot be received");
        Ok(Self {
            terminate: receive(SignalKind::terminate())?,
            interrupt: receive(SignalKind::interrupt())?,
        })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
