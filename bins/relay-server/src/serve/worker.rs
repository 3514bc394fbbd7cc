//! One worker: a single-threaded runtime that accepts connections and serves them.

use std::io::ErrorKind;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;

use super::Plan;
use super::connection::Connections;

/// The pause after a failed accept: its usual cause, no free file descriptor, does not pass at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Starts a worker on a thread of its own. It ends when the lifecycle is finished.
///
/// # Errors
///
/// Fails if there is no thread or no runtime to be had.
pub(super) fn start(
    number: usize,
    listener: std::net::TcpListener,
    plan: Plan,
) -> Result<JoinHandle<()>> {
    let runtime = crate::runtime().with_context(|| format!("worker {number} cannot start"))?;
    // Taken here, so that nobody finds the server drained before its thread runs.
    let serving = plan.lifecycle.enter();
    let work = async move {
        if let Err(error) = serve(listener, &plan).await {
            tracing::error!(
                worker = number,
                error = format!("{error:#}"),
                "a worker failed; stopping"
            );
            plan.lifecycle.stop();
        }
        drop(serving);
        // What this worker's requests left to be settled runs here.
        plan.lifecycle.finished().await;
    };
    std::thread::Builder::new()
        .name(format!("relay-{number}"))
        .spawn(move || runtime.block_on(work))
        .with_context(|| format!("worker {number} cannot start"))
}

/// Accepts and serves until the end begins, and then until the last connection has ended.
///
/// # Errors
///
/// Fails if the listener cannot be used.
pub(super) async fn serve(listener: std::net::TcpListener, plan: &Plan) -> Result<()> {
    let listener = TcpListener::from_std(listener).context("the listener cannot be used")?;
    let connections = Connections::new(plan);
    let stop = plan.lifecycle.stop_signal();
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                failing = false;
                connections.take(stream, peer.ip());
            }
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "connections cannot be accepted");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.drained().await;
    Ok(())
}
