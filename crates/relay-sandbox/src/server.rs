//! Listening, and what a program that runs a sandbox holds in its hands.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::{Link, Wire};
use crate::error::SandboxError;
use crate::recorder::{RequestLog, Selection};
use crate::route;
use crate::script::Script;
use crate::upstream::Upstream;

/// Pause after a failed accept: the usual cause, no free file descriptor, does not pass at once.
const ACCEPT_RETRY: Duration = Duration::from_millis(20);

/// A sandbox that is bound to its address and accepts connections once it is served.
#[derive(Debug)]
pub struct Sandbox {
    listener: TcpListener,
    address: SocketAddr,
    upstream: Arc<Upstream>,
}

/// Scripts a sandbox and reads its records, from the same process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SandboxHandle {
    address: SocketAddr,
    upstream: Arc<Upstream>,
}

/// What is going on in a sandbox at the moment.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SandboxState {
    /// Connections that clients hold open.
    pub open_connections: u64,
    /// Requests whose answer is not over, streams included.
    pub requests_in_flight: u64,
    /// Streams that are not over.
    pub streams_in_flight: u64,
}

impl Sandbox {
    /// Binds to `address`; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// Whatever the operating system says against it.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, upstream: Arc::new(Upstream::new()) })
    }

    /// Records no requests: hashing every body would count in a benchmark.
    #[must_use]
    pub fn without_recording(self) -> Self {
        self.upstream.recorder.switch_off();
        self
    }

    /// The address it is bound to, with the port it got.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// For scripting this sandbox while it is served.
    pub fn handle(&self) -> SandboxHandle {
        SandboxHandle { address: self.address, upstream: Arc::clone(&self.upstream) }
    }

    /// Serves until `stop` is cancelled. Open connections are then closed at once, in mid-answer if need be.
    pub async fn serve(self, stop: CancellationToken) {
        let connections = TaskTracker::new();
        let mut accepted = 0;
        loop {
            let stream = tokio::select! {
                stream = self.listener.accept() => stream,
                () = stop.cancelled() => break,
            };
            if let Ok((stream, _)) = stream {
                accepted += 1;
                let connection = serve_connection(Arc::clone(&self.upstream), stream, accepted);
                let stop = stop.clone();
                connections.spawn(async move { stop.run_until_cancelled(connection).await });
            } else {
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
        connections.close();
        connections.wait().await;
    }
}

impl SandboxHandle {
    /// The address of the sandbox.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Plays `script` from its start for requests that present `key`.
    ///
    /// # Errors
    ///
    /// [`SandboxError::InvalidStatus`] and [`SandboxError::InvalidHeader`], if HTTP cannot carry what a step asks for.
    pub fn set_script(&self, key: &str, script: impl Into<Script>) -> Result<(), SandboxError> {
        self.upstream.scenarios.set(key.to_owned(), script.into())
    }

    /// Forgets the script of `key`.
    pub fn remove_script(&self, key: &str) {
        self.upstream.scenarios.remove(key);
    }

    /// Every recorded request, with bodies.
    pub fn requests(&self) -> RequestLog {
        self.upstream.recorder.select(&Selection { key: None, include_body: true })
    }

    /// The recorded requests that presented `key`, with bodies.
    pub fn requests_of(&self, key: &str) -> RequestLog {
        self.upstream.recorder.select(&Selection { key: Some(key), include_body: true })
    }

    /// Forgets all recorded requests.
    pub fn clear_requests(&self) {
        self.upstream.recorder.clear();
    }

    /// What is going on at the moment.
    pub fn state(&self) -> SandboxState {
        SandboxState::of(&self.upstream)
    }
}

impl SandboxState {
    pub(crate) fn of(upstream: &Upstream) -> Self {
        Self {
            open_connections: upstream.open_connections.count(),
            requests_in_flight: upstream.requests_in_flight.count(),
            streams_in_flight: upstream.streams_in_flight.count(),
        }
    }
}

async fn serve_connection(upstream: Arc<Upstream>, stream: TcpStream, id: u64) {
    let _open = upstream.open_connections.enter();
    stream.set_nodelay(true).ok(); // Without it small frames may come late, which a test can live with.
    let link = Arc::new(Link::new(id));
    let wire = Wire::new(stream, Arc::clone(&link));
    let service =
        service_fn(|request| route::handle(Arc::clone(&upstream), Arc::clone(&link), request));
    // A connection ends in error when the client leaves or the script breaks it off; the records say which.
    http1::Builder::new().header_read_timeout(None).serve_connection(wire, service).await.ok();
}

#[cfg(test)]
mod tests;
